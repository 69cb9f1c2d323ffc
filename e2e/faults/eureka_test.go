package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka/eurekatest"
)

// eurekaPoll is how often the bridge asks.
const eurekaPoll = time.Second

// TestEurekaRestartedEmpty restarts a real server, which forgets everything, and says so with status 200. Its clients hear at their next
// renewal that they are unknown, and register again, one after the other. No version of the output may lack one of them.
func TestEurekaRestartedEmpty(t *testing.T) {
	t.Parallel()
	server := lab.StartEureka(t, lab.EurekaOptions{})
	for _, size := range []struct{ services, instances int }{{3, 3}, {50, 10}} {
		t.Run(strconv.Itoa(size.services*size.instances), func(t *testing.T) {
			restartedEmpty(t, server, eurekaInstances(size.services, size.instances))
		})
	}
}

func eurekaInstances(services, instances int) []eurekatest.Instance {
	var all []eurekatest.Instance
	for s := range services {
		for i := range instances {
			all = append(all, eurekatest.NewInstance(fmt.Sprintf("SHOP-%d", s), fmt.Sprintf("10.0.%d.%d", s, i+1), 8080))
		}
	}
	return all
}

func eurekaEndpoint(i eurekatest.Instance) oracle.Endpoint {
	return oracle.Endpoint{Host: i.VIPAddress + ".eureka", Address: i.IPAddr, Port: uint32(i.Port.Number)}
}

func restartedEmpty(t *testing.T, server *lab.Eureka, instances []eurekatest.Instance) {
	t.Helper()
	client := &eurekatest.Client{Base: "http://" + server.Addr + "/eureka"}
	s := &scene{t: t, journal: &oracle.Journal{}, loose: true}
	s.bridge = bridge.New(t, bridge.Options{
		Program: program, Source: fmt.Sprintf(`{eureka: {servers: [{url: "http://%s/eureka"}], pollInterval: %s}}`, server.Addr, eurekaPoll),
	})
	recorder, err := oracle.Record(s.bridge.Out)
	if err != nil {
		t.Fatal(err)
	}
	s.recorder = recorder
	want := oracle.Endpoints{}
	for _, i := range instances {
		err := s.journal.Register(eurekaEndpoint(i), func() error { return client.Register(t.Context(), i) })
		if err != nil {
			t.Fatal(err)
		}
		want[eurekaEndpoint(i)] = 0
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, i := range instances[1:] {
			if err := client.Deregister(ctx, i.App, i.InstanceID); err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(s.judge)
	s.bridge.Start(t)
	t.Cleanup(func() { s.bridge.Stop(t) })
	s.await(settleLimit, want)

	server.Restart(t)
	s.bridge.Await(t, settleLimit, "everything is held", func(m bridge.Metrics) bool {
		return m.Sum("instances") == 0 && int(m.Sum("held")) >= len(instances)
	})
	rand.Shuffle(len(instances), func(a, b int) { instances[a], instances[b] = instances[b], instances[a] })
	for part := range 3 { // As the polls see it: some, most, all.
		for _, i := range instances[part*len(instances)/3 : (part+1)*len(instances)/3] {
			if err := client.Renew(t.Context(), i.App, i.InstanceID); !errors.Is(err, eurekatest.ErrUnknown) {
				t.Fatalf("renewal after the restart: %v", err)
			}
			if err := client.Register(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
		lab.Pass(t, 2*eurekaPoll)
	}
	s.bridge.Await(t, settleLimit, "nothing is held", func(m bridge.Metrics) bool { return m.Sum("held") == 0 })
	s.await(settleLimit, want)

	gone := instances[0]
	err = s.journal.Deregister(eurekaEndpoint(gone), eurekaPoll+removalLimit, func() error {
		return client.Deregister(t.Context(), gone.App, gone.InstanceID)
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(want, eurekaEndpoint(gone))
	s.await(settleLimit, want)
}
