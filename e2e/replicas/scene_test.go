package replicas_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/audit"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

const (
	namespace = "shop"
	root      = "/dubbo"
	// settleLimit ends a wait that hangs.
	settleLimit = 90 * time.Second
	// churnInterval is the time between two changes in the registry.
	churnInterval = 50 * time.Millisecond
	// quietTime is how long a new leader is watched that has nothing to write.
	quietTime = 5 * time.Second
	// leads is what a replica says when it begins to lead, to its operator.
	leads = "this replica leads now"
)

// lease is how replicas agree on a leader. With short, a test of many leaders does not last for long.
type lease struct{ duration, renew, retry time.Duration }

func short() lease { return lease{4 * time.Second, 3 * time.Second, 500 * time.Millisecond} }

func usual() providers.Population { return providers.Population{Interfaces: 25, Instances: 4} }

// scene is a registry with providers, an API server with one Registry, replicas of the bridge, and the oracle that watches.
type scene struct {
	t        *testing.T
	kube     *lab.Kube
	person   *lab.Kubectl
	lease    lease
	replicas map[string]*lab.Process
	users    map[string]string
	fleet    *providers.Fleet
	churn    *providers.Churn
	journal  *oracle.Journal
	recorder *oracle.Recorder
}

// newScene starts everything with three replicas, and waits until all is published.
func newScene(t *testing.T, l lease) *scene {
	t.Helper()
	s := &scene{t: t, kube: lab.StartKube(t), lease: l, replicas: map[string]*lab.Process{}, journal: &oracle.Journal{}}
	zookeeper := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	s.users, s.person = s.kube.Replicas(t), s.kube.Kubectl(t)
	person := s.person
	person.DefineRegistries(t)
	person.Run(t, "create", "clusterrolebinding", "bridges", "--clusterrole=cluster-admin", "--group=bridges")
	person.Run(t, "create", "namespace", namespace)

	fleet, err := providers.Connect(t.Context(), providers.Options{Server: zookeeper.Addr, Root: root, Journal: s.journal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Close)
	s.fleet = fleet
	if err := fleet.RegisterAll(usual().All()); err != nil {
		t.Fatal(err)
	}
	s.churn = providers.NewChurn(fleet, usual(), providers.Seed(t, *seedFlag))
	if s.recorder, err = oracle.RecordCluster(t.Context(), oracle.Cluster{Etcd: s.kube.Etcd(), Namespace: namespace}); err != nil {
		t.Fatal(err)
	}
	person.Feed(t, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: dubbo, namespace: %s}
spec: {source: {zookeeper: {servers: ["%s"]}}}
`, namespace, zookeeper.Addr), "apply", "-f", "-")
	for _, user := range slices.Sorted(maps.Keys(s.users)) {
		s.start(user)
	}
	s.settle()
	return s
}

// start starts a replica, again when it ended.
func (s *scene) start(user string) {
	s.t.Helper()
	s.replicas[user] = lab.StartProcess(s.t, user, program, "run", "--output", "kube", "--kubeconfig", s.users[user], "--instance", "replicas",
		"--namespace", namespace, "--listen", "", "--lease-duration", s.lease.duration.String(), "--renew-deadline", s.lease.renew.String(),
		"--retry-period", s.lease.retry.String())
}

// leader waits until one replica leads, and returns its user.
func (s *scene) leader() (user string) {
	s.t.Helper()
	lab.Await(s.t, settleLimit, "a replica leads", func(context.Context) error {
		var found []string
		for name, process := range s.replicas {
			if strings.Contains(process.Output(), leads) {
				found = append(found, name)
			}
		}
		if len(found) != 1 {
			return fmt.Errorf("%v lead", found)
		}
		user = found[0]
		return nil
	})
	return user
}

// follower waits until another replica leads than this one.
func (s *scene) follower(before string) (user string) {
	s.t.Helper()
	lab.Await(s.t, settleLimit, "another replica leads", func(context.Context) error {
		for name, process := range s.replicas {
			if name != before && strings.Contains(process.Output(), leads) {
				user = name
				return nil
			}
		}
		return errors.New("none does")
	})
	return user
}

// settle waits until the output is what the registry's own client says.
func (s *scene) settle() {
	s.t.Helper()
	registered, err := s.fleet.Registered()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), settleLimit)
	defer cancel()
	if err := s.recorder.Await(ctx, func(published oracle.Endpoints) bool { return maps.Equal(published, registered) }); err != nil {
		published, _ := s.recorder.Published()
		s.t.Fatalf("output and registry still differ (%v): %v", err, oracle.Diff(published, registered, time.Now()))
	}
	s.journal.Agreed()
}

// described waits until the status of the Registry says how many endpoints are published, and returns the version of the Registry.
func (s *scene) described() (resourceVersion string) {
	s.t.Helper()
	published, _ := s.recorder.Published()
	s.person.Run(s.t, "-n", namespace, "wait", "registry/dubbo", "--timeout=60s",
		fmt.Sprintf("--for=jsonpath={.status.summary.published}=%d", len(published)))
	return s.resourceVersion()
}

// resourceVersion returns the version of the Registry.
func (s *scene) resourceVersion() string {
	s.t.Helper()
	return s.person.Run(s.t, "-n", namespace, "get", "registry/dubbo", "--output=jsonpath={.metadata.resourceVersion}")
}

// churned runs what while instances come and go.
func (s *scene) churned(what func()) {
	s.t.Helper()
	s.churn.During(s.t, churnInterval, what)
}

// pass lets time pass.
func (s *scene) pass(length time.Duration) {
	s.t.Helper()
	lab.Pass(s.t, length)
}

// judge lets the oracle judge the objects, and the audit log which replica wrote them and the status of Registries.
func (s *scene) judge() {
	s.t.Helper()
	until := time.Now()
	if err := s.recorder.Close(); err != nil {
		s.t.Error(err)
	}
	versions, missed := s.recorder.Versions()
	for _, finding := range oracle.Judge(oracle.Case{
		Versions: versions, Journal: s.journal, Until: until, Missed: missed, OneWritePerCause: true,
		Valid: translatetest.CheckManifest,
	}) {
		s.t.Error(finding)
	}
	requests := slices.DeleteFunc(s.kube.Audit(s.t, namespace), func(r audit.Request) bool { return s.users[r.User] == "" })
	statuses := 0
	for i := range requests {
		if requests[i].Resource == "registries/status" {
			statuses++
		}
	}
	if statuses == 0 {
		s.t.Error("the audit log does not say who writes the status of Registries")
	}
	for _, finding := range audit.Usurped(requests, s.lease.duration) {
		s.t.Error(finding)
	}
	s.t.Logf("%d versions, %d requests of replicas in the audit log, %d of them write a status", len(versions), len(requests), statuses)
}

// signal sends a signal to a replica.
func (s *scene) signal(user string, signal syscall.Signal) { s.replicas[user].Signal(signal) }
