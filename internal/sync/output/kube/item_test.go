package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// stored is an object of ours as the API server has it after somebody else edited it: port "extra", an address, exportTo, a label, an
// annotation and a field of a port were added by hand; location was changed by hand, and with it its ownership.
const stored = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: a.acme
  namespace: registry
  uid: u-1
  resourceVersion: "7"
  labels: {app.kubernetes.io/managed-by: registry-bridge, registry-bridge.io/instance: me, owner: hand}
  annotations: {registry-bridge.io/service: com.acme.A, note: hand}
  managedFields:
  - manager: registry-bridge
    operation: Apply
    apiVersion: networking.istio.io/v1
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata: {f:labels: {"f:app.kubernetes.io/managed-by": {}, "f:registry-bridge.io/instance": {}}}
      f:spec:
        f:hosts: {}
        f:endpoints: {}
        f:ports:
          'k:{"name":"tcp-80"}': {.: {}, f:name: {}, f:number: {}, f:protocol: {}}
  - manager: registry-bridge
    operation: Update
    subresource: status
    fieldsType: FieldsV1
    fieldsV1: {f:spec: {f:exportTo: {}}}
  - manager: kubectl-edit
    operation: Update
    fieldsType: FieldsV1
    fieldsV1: {f:spec: {f:exportTo: {}, f:addresses: {}, f:location: {}}}
spec:
  hosts: [a.acme]
  addresses: [240.1.1.1]
  exportTo: ["."]
  location: MESH_EXTERNAL
  ports:
  - {name: extra, number: 81, protocol: TCP}
  - {name: tcp-80, number: 80, protocol: TCP, targetPort: 8080}
  endpoints: [{address: 10.0.0.1, ports: {tcp-80: 8080}}]
status: {conditions: []}
`

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = utiljson.Unmarshal(asJSON, &u.Object) // As clients do: integers are int64.
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOnlyWhatIsOursIsRead(t *testing.T) {
	i := read(parse(t, stored), "me")
	want := &translate.Object{
		Key:         translate.Key{Kind: translate.KindServiceEntry, Namespace: "registry", Name: "a.acme"},
		Labels:      map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "me"},
		Annotations: map[string]string{translate.AnnotationService: "com.acme.A"},
		ServiceEntry: &translate.ServiceEntry{
			Host: "a.acme", Location: "MESH_EXTERNAL",
			Ports:     []translate.ServicePort{{Name: "tcp-80", Number: 80, Protocol: translate.TCP}},
			Endpoints: []translate.Endpoint{{Address: "10.0.0.1", Ports: []translate.EndpointPort{{Name: "tcp-80", Number: 8080}}}},
		},
	}
	if diff := cmp.Diff(want, i.object); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	if i.UID != "u-1" || i.ResourceVersion != "7" || len(i.claim.hosts) > 0 {
		t.Errorf("item is %+v", i)
	}
}

func TestRestoredBackupIsReadWhole(t *testing.T) {
	u := parse(t, stored)
	u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "velero", Operation: "Update"}})
	se := read(u, "me").object.ServiceEntry
	if len(se.Ports) != 2 || len(se.Addresses) != 1 || len(se.ExportTo) != 1 {
		t.Errorf("read %+v, want everything", se)
	}
}

func TestForeignEntryIsAClaim(t *testing.T) {
	for name, edit := range map[string]func(map[string]string){
		"another instance": func(l map[string]string) { l[translate.LabelInstance] = "you" },
		"no instance":      func(l map[string]string) { delete(l, translate.LabelInstance) },
		"another manager":  func(l map[string]string) { l[translate.LabelManagedBy] = "Helm" },
	} {
		u := parse(t, stored)
		labels := u.GetLabels()
		edit(labels)
		u.SetLabels(labels)
		i := read(u, "me")
		want := claim{hosts: []string{"a.acme"}, exportTo: []string{"."}}
		if diff := cmp.Diff(want, i.claim, cmp.AllowUnexported(claim{})); diff != "" || i.object != nil {
			t.Errorf("%s: object %v, claim (-want +got):\n%s", name, i.object, diff)
		}
	}
}

func TestClaims(t *testing.T) {
	for _, test := range []struct {
		name      string
		ours      []string
		theirs    []string
		elsewhere bool
		found     bool
	}{
		{name: "everybody sees both", found: true},
		{name: "same namespace, both private", ours: []string{"."}, theirs: []string{"."}, found: true},
		{name: "other namespace, theirs is private", theirs: []string{"."}, elsewhere: true, found: true},
		{name: "other namespace, both private", ours: []string{"."}, theirs: []string{"."}, elsewhere: true},
		{name: "ours is for nobody", ours: []string{"~"}},
		{name: "theirs is for nobody", theirs: []string{"~"}},
		{name: "named namespaces meet", ours: []string{"a", "b"}, theirs: []string{"b"}, found: true},
		{name: "named namespaces do not meet", ours: []string{"a"}, theirs: []string{"b"}},
		{name: "theirs is exported to all", ours: []string{"a"}, theirs: []string{"*"}, found: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := &item{ObjectMeta: metav1.ObjectMeta{Namespace: "registry", Name: "theirs"}, claim: claim{[]string{"a.acme"}, test.theirs}}
			if test.elsewhere {
				i.Namespace = "elsewhere"
			}
			c := newClaims()
			c.reset([]*item{i})
			o := &translate.Object{
				Key:          translate.Key{Kind: translate.KindServiceEntry, Namespace: "registry", Name: "a.acme"},
				ServiceEntry: &translate.ServiceEntry{Host: "a.acme", ExportTo: test.ours},
			}
			if owner, found := c.find(o); found != test.found || found && owner != i.name() {
				t.Errorf("found %v, %v; want %v", owner, found, test.found)
			}
			c.set(i.name(), claim{})
			if owner, found := c.find(o); found || len(c.byHost)+len(c.byName) > 0 {
				t.Errorf("found %v behind its end", owner)
			}
		})
	}
}

func TestServiceClaimsItsShortName(t *testing.T) {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "acme", Name: "orders", Annotations: map[string]string{annotationExportTo: "., shop"},
	}}
	want := claim{hosts: []string{"orders.acme"}, exportTo: []string{".", "shop"}}
	if diff := cmp.Diff(want, readService(m).claim, cmp.AllowUnexported(claim{})); diff != "" {
		t.Errorf("claim (-want +got):\n%s", diff)
	}
}

// storedWorkload is a WorkloadEntry of ours after somebody added a label, a port, a weight and a label of the metadata by hand.
const storedWorkload = `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: a.acme-0123456789abcdef
  namespace: registry
  labels: {app.kubernetes.io/managed-by: registry-bridge, registry-bridge.io/instance: me, registry-bridge.io/host: a.acme, owner: hand}
  managedFields:
  - manager: registry-bridge
    operation: Apply
    fieldsV1:
      f:spec:
        f:address: {}
        f:locality: {}
        f:ports: {f:tcp-80: {}}
        f:labels: {"f:registry-bridge.io/host": {}, f:version: {}}
spec:
  address: 10.0.0.1
  locality: r/z
  weight: 7
  ports: {tcp-80: 8080, extra: 81}
  labels: {registry-bridge.io/host: a.acme, version: v1, by: hand}
`

func TestWorkloadHasOnlyWhatIsOurs(t *testing.T) {
	i := read(parse(t, storedWorkload), "me")
	want := &translate.Object{
		Key: translate.Key{Kind: translate.KindWorkloadEntry, Namespace: "registry", Name: "a.acme-0123456789abcdef"},
		Labels: map[string]string{
			translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "me", translate.LabelHost: "a.acme",
		},
		WorkloadEntry: &translate.WorkloadEntry{Host: "a.acme", Endpoint: translate.Endpoint{
			Address: "10.0.0.1", Locality: "r/z", Ports: []translate.EndpointPort{{Name: "tcp-80", Number: 8080}},
			Labels: []translate.Label{{Key: "version", Value: "v1"}},
		}},
	}
	if diff := cmp.Diff(want, i.object); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	if foreign := read(parse(t, storedWorkload), "you"); foreign.object != nil || foreign.claim.hosts != nil {
		t.Errorf("the WorkloadEntry of another instance is %+v", foreign)
	}
}
