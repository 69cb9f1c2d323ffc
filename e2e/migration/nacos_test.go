package migration_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/source/nacos/nacostest"
)

// nacos is a server that speaks the protocol of Nacos: Dubbo providers of interfaces register there, or plain services.
type nacos struct {
	server   *nacostest.Server
	registry *nacostest.Registry
	dubbo    bool
	// registered has what is registered of each service.
	registered map[string][]any
}

func newNacos(t *testing.T, dubbo bool) *nacos {
	t.Helper()
	registry := nacostest.NewRegistry()
	server := nacostest.New(registry, nacostest.Options{Version: 3})
	if err := server.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return &nacos{server: server, registry: registry, dubbo: dubbo, registered: map[string][]any{}}
}

func (r *nacos) name() string { return "nacos" }

func (r *nacos) spec() string {
	more := "hosts: {suffix: mesh}, rules: [{name: http, match: {services: ['*']}, protocol: HTTP}]"
	if r.dubbo {
		more = "hosts: {}"
	}
	return fmt.Sprintf(`{source: {nacos: {servers: [%q]}}, %s}`, r.server.Addr(), more)
}

func (r *nacos) original(n int) string {
	if r.dubbo {
		return "providers:" + dubboInterface(n) + "::"
	}
	return fmt.Sprintf("shop-%d", n)
}

func (r *nacos) register(service string, p place) error {
	inst := nacostest.At(p.address, int64(p.port))
	if r.dubbo {
		inst.Metadata["protocol"], inst.Metadata["side"] = "dubbo", "provider"
	}
	r.publish(service, append(r.registered[service], inst))
	return nil
}

func (r *nacos) deregister(service string, p place) error {
	var left []any
	for _, other := range r.registered[service] {
		if inst, ok := other.(nacostest.Instance); ok && inst.IP != p.address {
			left = append(left, inst)
		}
	}
	r.publish(service, left)
	return nil
}

func (r *nacos) publish(service string, list []any) {
	r.registered[service] = list
	r.registry.Set(nacostest.Key{Namespace: "public", Group: "DEFAULT_GROUP", Name: service}, list...)
}

// TestZooKeeperToNacos is a migration of Dubbo services.
func TestZooKeeperToNacos(t *testing.T) {
	t.Parallel()
	from, to := newZooKeeper(t, "zookeeper", false), newNacos(t, true)
	newScene(t, dubboHost, from, to).thereAndBack(from, to)
}

// TestConsulToNacos is a migration of services that are neither Dubbo's nor Spring's.
func TestConsulToNacos(t *testing.T) {
	t.Parallel()
	from, to := newConsul(t), newNacos(t, false)
	newScene(t, meshHost, from, to).thereAndBack(from, to)
}
