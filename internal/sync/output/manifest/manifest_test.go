package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func object() *translate.Object {
	shared := []translate.Label{{Key: translate.LabelSource, Value: "zk.0a1b2c3d"}, {Key: "version", Value: "1.0.0"}}
	return &translate.Object{
		Key:    translate.Key{Kind: translate.KindServiceEntry, Namespace: "dubbo", Name: "com.acme.greeter"},
		Labels: map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "a", "team": "x", "env": "prod"},
		Annotations: map[string]string{
			translate.AnnotationService: "com.acme.Greeter:1.0", translate.AnnotationUnit: "com.acme.Greeter", translate.AnnotationRegistry: "zk",
		},
		ServiceEntry: &translate.ServiceEntry{
			Host: "com.acme.greeter", Addresses: []string{"240.239.0.9"}, Location: "MESH_INTERNAL", Resolution: "STATIC", ExportTo: []string{"."},
			Ports: []translate.ServicePort{
				{Name: "tcp-dubbo-20880", Number: 20880, Protocol: translate.TCP}, {Name: "grpc-tri-50051", Number: 50051, Protocol: translate.GRPC},
			},
			Endpoints: []translate.Endpoint{
				{
					Address: "10.0.0.1", Labels: shared, Weight: 10, Locality: "r/z", Network: "n1",
					Ports: []translate.EndpointPort{{Name: "grpc-tri-50051", Number: 50052}, {Name: "tcp-dubbo-20880", Number: 20881}},
				},
				{
					Address: "fd00::1", Labels: shared, Weight: 5,
					Ports: []translate.EndpointPort{{Name: "grpc-tri-50051", Number: 50051}, {Name: "tcp-dubbo-20880", Number: 20880}},
				},
			},
		},
	}
}

func empty() *translate.Object {
	o := object()
	o.ServiceEntry.Endpoints = nil
	o.Labels = map[string]string{translate.LabelInstance: "a"}
	return o
}

// roundTrip compares the text of an object with a golden file, and what is read back with the object.
func roundTrip(t *testing.T, name string, o *translate.Object) {
	t.Helper()
	got, err := YAML(o)
	if err != nil {
		t.Fatal(err)
	}
	file := "testdata/" + name + ".yaml"
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	back, err := ParseYAML(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, back); diff != "" {
		t.Errorf("read back: -want +got:\n%s", diff)
	}
}

func TestYAML(t *testing.T) {
	for name, o := range map[string]*translate.Object{"full": object(), "empty": empty()} {
		t.Run(name, func(t *testing.T) {
			roundTrip(t, name, o)
		})
	}
}

func TestMapRoundTrip(t *testing.T) {
	for name, o := range map[string]*translate.Object{"full": object(), "empty": empty()} {
		t.Run(name, func(t *testing.T) {
			m, err := Map(o)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Parse(m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(o, back); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			_, has := child(m, "spec")["endpoints"]
			if has != (len(o.ServiceEntry.Endpoints) > 0) {
				t.Errorf("the manifest has endpoints: %v", has)
			}
		})
	}
}

func TestParseSharesEqualContent(t *testing.T) {
	m, err := Map(object())
	if err != nil {
		t.Fatal(err)
	}
	o, err := Parse(m)
	if err != nil {
		t.Fatal(err)
	}
	if e := o.ServiceEntry.Endpoints; &e[0].Labels[0] != &e[1].Labels[0] {
		t.Error("equal labels are held twice")
	}
}

// TestRenderIsTheSame compares the typed manifest with the untyped one, through Istio's own JSON.
func TestRenderIsTheSame(t *testing.T) {
	for name, o := range map[string]*translate.Object{"full": object(), "empty": empty()} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(Render(o))
			if err != nil {
				t.Fatal(err)
			}
			var typed, untyped map[string]any
			if err := json.Unmarshal(text, &typed); err != nil {
				t.Fatal(err)
			}
			delete(typed, "status")
			plain, err := YAML(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(plain, &untyped); err != nil {
				t.Fatal(err)
			}
			delete(child(typed, "metadata"), "creationTimestamp")
			// The JSON of the protocol buffer leaves out enumerations that are zero.
			if spec, ok := typed["spec"].(map[string]any); ok && spec["location"] == nil {
				spec["location"] = "MESH_EXTERNAL"
			}
			if diff := cmp.Diff(untyped, typed); diff != "" {
				t.Errorf("-untyped +typed:\n%s", diff)
			}
		})
	}
}

func TestParseTakesOnlyWhatIsOurs(t *testing.T) {
	o, err := ParseYAML([]byte(`
apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata:
  name: a.b
  namespace: ns
  resourceVersion: "7"
  labels: {app.kubernetes.io/managed-by: registry-bridge, registry-bridge.io/instance: i, team: x, by-hand: z}
  annotations: {registry-bridge.io/service: A.B, registry-bridge.io/labels: "gone,team", note: by hand}
spec:
  hosts: [a.b, c.d]
  ports: [{name: http-90, number: 90, protocol: HTTP, targetPort: 1}, {name: http-80, number: 80}]
  subjectAltNames: [x]
  endpoints:
  - {address: 10.0.0.2, serviceAccount: sa}
  - {address: 10.0.0.1, ports: {http-80: 8080}}
status: {conditions: []}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &translate.Object{
		Key:         translate.Key{Kind: translate.KindServiceEntry, Namespace: "ns", Name: "a.b"},
		Labels:      map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: "i", "team": "x"},
		Annotations: map[string]string{translate.AnnotationService: "A.B"},
		ServiceEntry: &translate.ServiceEntry{
			Host: "a.b,c.d", Ports: []translate.ServicePort{{Name: "http-80", Number: 80}, {Name: "http-90", Number: 90, Protocol: translate.HTTP}},
			Endpoints: []translate.Endpoint{
				{Address: "10.0.0.1", Ports: []translate.EndpointPort{{Name: "http-80", Number: 8080}}}, {Address: "10.0.0.2"},
			},
		},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		foreign    bool
	}{
		{"not YAML", "a: [", false},
		{"empty", "", true},
		{"another kind", "{apiVersion: networking.istio.io/v1, kind: Sidecar}", true},
		{"another group", "{apiVersion: example.com/v1, kind: ServiceEntry}", true},
		{"a wrong type", "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, spec: {hosts: 3}}", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseYAML([]byte(c.text))
			if err == nil || errors.Is(err, ErrForeign) != c.foreign {
				t.Errorf("error %v, foreign %v expected", err, c.foreign)
			}
		})
	}
}

func TestOverlay(t *testing.T) {
	existing := map[string]any{}
	if err := yaml.Unmarshal([]byte(`
apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata:
  name: com.acme.greeter
  namespace: dubbo
  uid: u-1
  labels: {registry-bridge.io/instance: a, gone: x, by-hand: z}
  annotations: {registry-bridge.io/service: old, registry-bridge.io/labels: gone, note: by hand}
spec:
  hosts: [old.host]
  addresses: [240.239.0.1]
  subjectAltNames: [x]
  ports:
  - {name: tcp-dubbo-20880, number: 1, protocol: HTTP, targetPort: 7}
  - {name: gone, number: 2, targetPort: 8}
  endpoints: [{address: 10.9.9.9}]
`), &existing); err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(existing)
	if err != nil {
		t.Fatal(err)
	}
	o := empty()
	o.ServiceEntry.Addresses = nil
	got, err := Overlay(existing, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  annotations:
    note: by hand
    registry-bridge.io/registry: zk
    registry-bridge.io/service: com.acme.Greeter:1.0
    registry-bridge.io/unit: com.acme.Greeter
  labels:
    by-hand: z
    registry-bridge.io/instance: a
  name: com.acme.greeter
  namespace: dubbo
  uid: u-1
spec:
  exportTo:
  - .
  hosts:
  - com.acme.greeter
  location: MESH_INTERNAL
  ports:
  - name: tcp-dubbo-20880
    number: 20880
    protocol: TCP
    targetPort: 7
  - name: grpc-tri-50051
    number: 50051
    protocol: GRPC
  resolution: STATIC
  subjectAltNames:
  - x
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if after, err := json.Marshal(existing); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the existing manifest was changed: %v", err)
	}
	parsed, err := Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, parsed); diff != "" {
		t.Errorf("what is ours: -want +got:\n%s", diff)
	}
}

func TestOverlayOfNothingForeignIsTheRendering(t *testing.T) {
	m, err := Map(object())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Overlay(m, object())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	bare := object()
	bare.Labels, bare.Annotations, bare.Key.Namespace = nil, nil, ""
	m, err = Map(bare)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = Overlay(m, bare); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("without labels: -want +got:\n%s", diff)
	}
}

func TestOverlayOfForeign(t *testing.T) {
	if _, err := Overlay(map[string]any{"kind": "Sidecar"}, object()); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "dubbo/com.acme.greeter") {
		t.Errorf("error %v", err)
	}
}
