package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

// Limits. They end a test that hangs, or say what "soon" is on a machine that runs several servers at once.
const (
	settleLimit = 60 * time.Second
	// removalLimit is how soon a deregistration has to show while nothing is wrong.
	removalLimit = 5 * time.Second
	// recoveryLimit is how soon everything has to be right after trouble of less than ten seconds: pauses double from one second.
	recoveryLimit = 20 * time.Second
	// churnInterval is the time between two changes while something is wrong.
	churnInterval = 50 * time.Millisecond
)

// usual is a population of a hundred instances.
func usual() providers.Population { return providers.Population{Interfaces: 25, Instances: 4} }

// servers are what scenes share.
type servers struct {
	kube      *lab.Kube
	zookeeper *lab.ZooKeeper
}

// scene is a namespace and a root of the registry with providers, a bridge between them, and the oracle that watches.
type scene struct {
	servers
	t         *testing.T
	namespace string
	options   bridge.Options
	bridge    *bridge.Bridge
	fleet     *providers.Fleet
	churn     *providers.Churn
	journal   *oracle.Journal
	recorder  *oracle.Recorder
	client    dynamic.Interface
	// foreign is what an object of somebody else says; it is not judged.
	foreign string
	// loose allows more than one write per cause, for tests in which others write too.
	loose bool
}

// newScene is newSilentScene, and at the end of the test the oracle judges.
func newScene(t *testing.T, shared servers, kubeconfig string) *scene {
	t.Helper()
	s := newSilentScene(t, shared, kubeconfig)
	t.Cleanup(s.judge)
	return s
}

// newSilentScene registers the usual population and starts the recorder; the bridge is configured to reach an API server by a kubeconfig,
// and does not run.
func newSilentScene(t *testing.T, shared servers, kubeconfig string) *scene {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ",", "").Replace(t.Name()))
	s := &scene{
		servers: shared, t: t, namespace: name, journal: &oracle.Journal{}, client: shared.kube.Client(t),
		options: bridge.Options{
			Program: program, Servers: []string{shared.zookeeper.Addr}, Root: "/" + name, Namespace: name, Kubeconfig: kubeconfig,
		},
	}
	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": map[string]any{"scene": name}},
	}}
	namespaces := s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	if _, err := namespaces.Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	fleet, err := providers.Connect(t.Context(), providers.Options{Server: shared.zookeeper.Addr, Root: s.options.Root, Journal: s.journal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.Close)
	s.fleet = fleet
	if err := fleet.RegisterAll(usual().All()); err != nil {
		t.Fatal(err)
	}
	s.churn = providers.NewChurn(fleet, usual(), providers.Seed(t, *seedFlag))
	s.bridge = bridge.New(t, s.options)
	if s.recorder, err = oracle.RecordCluster(t.Context(), oracle.Cluster{Etcd: shared.kube.Etcd(), Namespace: name}); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts the bridge and waits until everything is published.
func (s *scene) start() {
	s.t.Helper()
	s.bridge.Start(s.t)
	s.settle(settleLimit)
}

// settle waits until the output is what the registry's own client says.
func (s *scene) settle(limit time.Duration) {
	s.t.Helper()
	registered, err := s.fleet.Registered()
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(limit, registered)
}

// await waits until exactly these endpoints are published.
func (s *scene) await(limit time.Duration, want oracle.Endpoints) {
	s.t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	err := s.recorder.Await(ctx, func(published oracle.Endpoints) bool { return maps.Equal(published, want) })
	if err == nil {
		s.journal.Agreed()
		return
	}
	published, _ := s.recorder.Published()
	s.t.Fatalf("output and registry still differ after %s (%v):\n%s", time.Since(begin), err, list(oracle.Diff(published, want, time.Now())))
}

// list renders the first findings.
func list(findings []oracle.Finding) string {
	const most = 5
	var b strings.Builder
	for i, f := range findings {
		if i == most {
			fmt.Fprintf(&b, "and %d more\n", len(findings)-most)
			break
		}
		fmt.Fprintf(&b, "%s\n", f)
	}
	return b.String()
}

// findings ends the recording and returns every broken promise; see oracle.Case for valid.
func (s *scene) findings(valid func(string, []byte) error) []oracle.Finding {
	s.t.Helper()
	until := time.Now()
	if err := s.recorder.Close(); err != nil {
		s.t.Error(err)
	}
	versions, missed := s.recorder.Versions()
	versions = slices.DeleteFunc(versions, func(v oracle.Version) bool { return s.foreign != "" && bytes.Contains(v.Data, []byte(s.foreign)) })
	return oracle.Judge(oracle.Case{
		Versions: versions, Journal: s.journal, Until: until, Missed: missed, OneWritePerCause: !s.loose, Valid: valid,
	})
}

// judge ends the recording and reports every broken promise.
func (s *scene) judge() {
	if findings := s.findings(translatetest.CheckManifest); len(findings) > 0 {
		s.t.Errorf("the oracle has %d findings in %d versions:\n%s", len(findings), s.recorder.Len(), list(findings))
		return
	}
	s.t.Logf("the oracle has judged %d versions and has no finding", s.recorder.Len())
}

// deregister removes a provider, which has to show soon.
func (s *scene) deregister(p providers.Provider) {
	s.t.Helper()
	if err := s.fleet.Deregister(p, removalLimit); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) register(p providers.Provider) {
	s.t.Helper()
	if err := s.fleet.Register(p); err != nil {
		s.t.Fatal(err)
	}
}

// churned lets providers come and go while something is done. When what comes and goes then has to show is not promised.
func (s *scene) churned(what func()) {
	s.t.Helper()
	s.churn.During(s.t, churnInterval, what)
}

// works checks that the bridge follows as it should when nothing is wrong.
func (s *scene) works() {
	s.t.Helper()
	canary := usual().Instance(usual().Interfaces-1, 9)
	s.register(canary)
	s.settle(removalLimit)
	s.deregister(canary)
	s.settle(removalLimit)
}

// pass lets time pass.
func (s *scene) pass(length time.Duration) {
	s.t.Helper()
	lab.Pass(s.t, length)
}

// entries are the ServiceEntries of the scene's namespace, as a person with kubectl has them.
func (s *scene) entries() dynamic.ResourceInterface {
	return s.client.Resource(serviceEntries()).Namespace(s.namespace)
}

func serviceEntries() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
}

// versions returns the resource version of every object.
func (s *scene) versions() map[string]string {
	s.t.Helper()
	list, err := s.entries().List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	versions := map[string]string{}
	for i := range list.Items {
		versions[list.Items[i].GetName()] = list.Items[i].GetResourceVersion()
	}
	return versions
}

// logged waits until the bridge tells its operator something.
func (s *scene) logged(text string) {
	s.t.Helper()
	lab.Await(s.t, settleLimit, "the log says "+text, func(context.Context) error {
		if !strings.Contains(s.bridge.Process().Output(), text) {
			return errors.New("it does not say so yet")
		}
		return nil
	})
}
