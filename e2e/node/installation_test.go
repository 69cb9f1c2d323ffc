package node_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/registry-bridge/registry-bridge/e2e/audit"
	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

const (
	// release is the name of the release, of its Deployment and of its Lease.
	release = "registry-bridge"
	chart   = "../../deploy/helm/registry-bridge"
	// shop is the namespace of a Registry for ZooKeeper that a person makes, catalog that of one for Consul that comes with the release.
	shop, catalog = "shop", "catalog"
	// leaseDuration is short, so that a test of many leaders does not last for long.
	leaseDuration = 4 * time.Second
	// churnInterval is the time between two changes in ZooKeeper.
	churnInterval = 50 * time.Millisecond
)

// installation is the chart between a real ZooKeeper, a real Consul and the API server, and the oracle that watches both namespaces. What is
// in ZooKeeper changes, and what is in Consul never does.
type installation struct {
	*scene
	objects dynamic.Interface
	// values is the file of what every installation has, registries that with the Registry of the release.
	values, registries string
	fleet              *providers.Fleet
	churn              *providers.Churn
	zookeeper          *lab.ZooKeeper
	inConsul           oracle.Endpoints
	journals           map[string]*oracle.Journal
	recorders          map[string]*oracle.Recorder
}

// newInstallation starts the registries and fills them, and begins to record. Nothing is installed yet but the definitions of Istio, which a
// cluster of somebody else has to have.
func newInstallation(s *scene) *installation {
	s.Helper()
	i := &installation{
		scene: s, inConsul: oracle.Endpoints{}, recorders: map[string]*oracle.Recorder{},
		journals: map[string]*oracle.Journal{shop: {}, catalog: {}},
	}
	if s.cluster.Owned() {
		i.defineIstio()
	}
	var err error
	if i.objects, err = dynamic.NewForConfig(s.cluster.Config()); err != nil {
		s.Fatal(err)
	}
	for _, namespace := range []string{shop, catalog} {
		makeNamespace(s, s.cluster, namespace)
		i.record(namespace)
	}
	i.fillZooKeeper()
	i.fillConsul()
	return i
}

// defineIstio installs the definitions of Istio.
func (i *installation) defineIstio() {
	i.Helper()
	crds, err := lab.IstioCRDs(i.Context())
	if err != nil {
		i.Fatal(err)
	}
	i.cluster.Kubectl(i, "apply", "--server-side", "--filename="+i.write("istio.yaml", string(crds)))
	i.cluster.Kubectl(i, "wait", "--for=condition=Established", "--timeout=60s", "crd/serviceentries.networking.istio.io")
}

// write writes a file for the tools, and returns its name.
func (i *installation) write(name, text string) string {
	i.Helper()
	file := filepath.Join(i.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		i.Fatal(err)
	}
	return file
}

// record begins to record the objects of a namespace.
func (i *installation) record(namespace string) {
	i.Helper()
	var err error
	if i.cluster.Owned() {
		i.recorders[namespace], err = oracle.RecordCluster(i.Context(), oracle.Cluster{Etcd: i.cluster.Etcd(), Namespace: namespace})
	} else {
		i.recorders[namespace], err = oracle.RecordServer(i.Context(), i.objects, namespace)
	}
	if err != nil {
		i.Fatal(err)
	}
}

func (i *installation) fillZooKeeper() {
	i.Helper()
	i.zookeeper = lab.StartZooKeeper(i, lab.ZooKeeperOptions{})
	population := providers.Population{Interfaces: 25, Instances: 4}
	var err error
	i.fleet, err = providers.Connect(i.Context(), providers.Options{Server: i.zookeeper.Addr, Journal: i.journals[shop]})
	if err != nil {
		i.Fatal(err)
	}
	i.Cleanup(i.fleet.Close)
	if err := i.fleet.RegisterAll(population.All()); err != nil {
		i.Fatal(err)
	}
	seed := rand.Uint64N(1_000_000) + 1
	i.Logf("seed of the churn: %d", seed)
	i.churn = providers.NewChurn(i.fleet, population, seed)
}

// fillConsul registers services in Consul, and writes the values of the release.
func (i *installation) fillConsul() {
	i.Helper()
	server := lab.StartConsul(i, lab.ConsulOptions{}).Servers[0]
	for n := range 12 {
		service, id, port := fmt.Sprintf("service-%d", n%4), fmt.Sprintf("instance-%d", n), 8080+n%4
		endpoint := oracle.Endpoint{Host: service + ".service.consul", Address: fmt.Sprintf("10.200.0.%d", n+1), Port: uint32(port)}
		i.inConsul[endpoint] = 0
		err := i.journals[catalog].Register(endpoint, func() error {
			_, err := server.Client.Catalog().Register(&api.CatalogRegistration{
				Node: id, Address: "10.255.0.1",
				Service: &api.AgentService{ID: id, Service: service, Address: endpoint.Address, Port: port},
			}, nil)
			return err
		})
		if err != nil {
			i.Fatal(err)
		}
	}
	name, tag, _ := strings.Cut(bridgeImage, ":")
	registry, repository, _ := strings.Cut(name, "/")
	i.values = i.write("values.yaml", fmt.Sprintf(`image: {registry: %q, repository: %q, tag: %q, pullPolicy: Never}
replicas: 3
leaderElection: {leaseDuration: %s, renewDeadline: 3s, retryPeriod: 500ms}
readinessProbe: {periodSeconds: 1}
`, registry, repository, tag, leaseDuration))
	i.registries = i.write("registries.yaml", fmt.Sprintf(`registries:
- name: consul
  namespace: %s
  spec: {deletionPolicy: Delete, source: {consul: {address: "http://%s"}}}
`, catalog, i.cluster.Expose(i, server.Addr)))
}

// helm runs a command of helm for the release.
func (i *installation) helm(command string, args ...string) {
	i.Helper()
	began := time.Now()
	i.cluster.Helm(i, append([]string{command, release}, append(args, "--namespace="+i.namespace, "--wait", "--timeout=2m")...)...)
	i.Logf("helm %s took %s", command, time.Since(began).Round(100*time.Millisecond))
}

// settle waits until the replicas are ready and the output is what the registries' own clients say.
func (i *installation) settle() {
	i.Helper()
	i.cluster.Kubectl(i, "rollout", "status", "--namespace="+i.namespace, "deployment/"+release, "--timeout="+settleLimit.String())
	inZooKeeper, err := i.fleet.Registered()
	if err != nil {
		i.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(i.Context(), settleLimit)
	defer cancel()
	for namespace, registered := range map[string]oracle.Endpoints{shop: inZooKeeper, catalog: i.inConsul} {
		recorder := i.recorders[namespace]
		if err := recorder.Await(ctx, func(published oracle.Endpoints) bool { return maps.Equal(published, registered) }); err != nil {
			published, _ := recorder.Published()
			i.Fatalf("output and registry still differ in %s (%v): %v", namespace, err, oracle.Diff(published, registered, time.Now()))
		}
		i.journals[namespace].Agreed()
	}
}

// churned runs what while instances in ZooKeeper come and go.
func (i *installation) churned(what func()) {
	i.Helper()
	i.churn.During(i, churnInterval, what)
}

// resourceVersions returns those of all ServiceEntries of a namespace, by name.
func (i *installation) resourceVersions(namespace string) map[string]string {
	i.Helper()
	entries := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	list, err := i.objects.Resource(entries).Namespace(namespace).List(i.Context(), metav1.ListOptions{})
	if err != nil {
		i.Fatal(err)
	}
	versions := map[string]string{}
	for _, object := range list.Items {
		versions[object.GetName()] = object.GetResourceVersion()
	}
	return versions
}

// registryVersion returns the resource version of a Registry in the namespace catalog.
func (i *installation) registryVersion(name string) string {
	i.Helper()
	return i.cluster.Kubectl(i, "get", "registry/"+name, "--namespace="+catalog, "--output=jsonpath={.metadata.resourceVersion}")
}

// judge lets the oracle judge all versions of all objects, and the audit log who wrote them.
func (i *installation) judge() {
	i.Helper()
	for namespace, recorder := range i.recorders {
		until := time.Now()
		if err := recorder.Close(); err != nil {
			i.Error(err)
		}
		versions, missed := recorder.Versions()
		for _, finding := range oracle.Judge(oracle.Case{
			Versions: versions, Journal: i.journals[namespace], Until: until, Missed: missed, OneWritePerCause: true,
			Valid: translatetest.CheckManifest,
		}) {
			i.Error(finding)
		}
		i.Logf("%d versions in %s", len(versions), namespace)
	}
	if i.cluster.Owned() {
		i.judgeAudit()
	}
}

// judgeAudit judges who wrote what only a leader may write: objects of Istio, and Registries with their status.
func (i *installation) judgeAudit() {
	i.Helper()
	requests, err := audit.Read(i.cluster.AuditLog())
	if err != nil {
		i.Fatal(err)
	}
	account := "system:serviceaccount:" + i.namespace + ":" + release
	judged := []string{"leases", "registries", "registries/status", "serviceentries", "workloadentries"}
	requests = slices.DeleteFunc(requests, func(r audit.Request) bool { return r.User != account || !slices.Contains(judged, r.Resource) })
	leaders := map[string]bool{}
	for _, r := range requests {
		if r.Pod == "" {
			i.Errorf("the audit log does not say which pod wrote %s %s/%s", r.Resource, r.Namespace, r.Name)
		}
		if r.Resource == "leases" && r.Code < 300 {
			leaders[r.Pod] = true
		}
	}
	for _, finding := range audit.Usurped(requests, leaseDuration) {
		i.Error(finding)
	}
	i.Logf("%d requests to write in the audit log; %d pods led", len(requests), len(leaders))
	if len(leaders) < 2 {
		i.Errorf("the audit log has leases of %v, want several pods", slices.Collect(maps.Keys(leaders)))
	}
}
