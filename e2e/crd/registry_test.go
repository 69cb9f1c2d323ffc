package crd_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// definition: the API server has nothing to say against the definition, and a second apply changes nothing.
func (s *scene) definition() {
	const crd = "crd/registries.registry-bridge.io"
	conditions := s.kubectl.Run(s, "get", crd, "-o", `jsonpath={range .status.conditions[*]}{.type}={.status} {end}`)
	if !strings.Contains(conditions, "NamesAccepted=True") || !strings.Contains(conditions, "Established=True") || strings.Contains(conditions, "NonStructural") {
		s.Errorf("the conditions of the definition are %s", conditions)
	}
	version := func() string { return s.kubectl.Run(s, "get", crd, "-o", "jsonpath={.metadata.resourceVersion}") }
	before := version()
	s.kubectl.Run(s, "apply", "--server-side", "-f", crdFile)
	if after := version(); after != before {
		s.Errorf("a second apply made version %s of %s", after, before)
	}
}

// accepted: what files can hold is accepted, and what is stored is what the bridge would have read from the file, with its defaults.
func (s *scene) accepted() {
	var files []string
	for _, pattern := range []string{examples, everything} {
		found, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil || len(found) == 0 {
			s.Fatalf("no files %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		s.Run(filepath.Base(file), func(t *testing.T) {
			want := &v1alpha1.Registry{}
			if err := yaml.UnmarshalStrict(s.readFile(file), want); err != nil {
				t.Fatal(err)
			}
			if _, err := s.kubectl.Try(t.Context(), "", "create", "namespace", want.Namespace); err != nil && !strings.Contains(err.Error(), "AlreadyExists") {
				t.Fatal(err)
			}
			s.kubectl.Run(t, "apply", "--server-side", "-f", file)
			if out := s.kubectl.Run(t, "diff", "--server-side", "-f", file); out != "" {
				t.Errorf("kubectl diff after kubectl apply:\n%s", out)
			}
			var stored map[string]any
			text := s.kubectl.Run(t, "get", "registry", "-n", want.Namespace, want.Name, "-o", "yaml")
			if err := yaml.Unmarshal([]byte(text), &stored); err != nil {
				t.Fatal(err)
			}
			v1alpha1.Default(want)
			got := s.decode(stored)
			rootsByType(got, want)
			if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
				t.Errorf("(-file with defaults +stored)\n%s", diff)
			}
			if !strings.Contains(text, "massRemoval:\n      holdFor: ") || !strings.Contains(text, "  mode: ") {
				t.Errorf("kubectl get -o yaml does not show the defaults:\n%s", text)
			}
			s.kubectl.Run(t, "delete", "registry", "-n", want.Namespace, want.Name)
		})
	}
}

// rootsByType fills in the one kind of default that a schema cannot give, because it depends on another field: where a layout of its type is.
func rootsByType(got, want *v1alpha1.Registry) {
	if got.Spec.Source.ZooKeeper == nil || want.Spec.Source.ZooKeeper == nil {
		return
	}
	layouts, defaulted := got.Spec.Source.ZooKeeper.Layouts, want.Spec.Source.ZooKeeper.Layouts
	for i := range min(len(layouts), len(defaulted)) {
		if layouts[i].Root == "" {
			layouts[i].Root = defaulted[i].Root
		}
		if layouts[i].MetadataRoot == "" {
			layouts[i].MetadataRoot = defaulted[i].MetadataRoot
		}
	}
}

// refused: what the API server refuses, with the field and what to do, at kubectl apply.
func (s *scene) refused() {
	zk := func(more string) string { return `{source: {zookeeper: {servers: ["zk:2181"]}}` + more + `}` }
	for _, tt := range []struct{ name, spec, field, hint string }{
		{"no-source", `{}`, "spec.source", "Required"},
		{"empty-source", `{source: {}}`, "spec.source", "needs exactly one registry"},
		{"two-sources", `{source: {zookeeper: {servers: ["zk:2181"]}, consul: {address: "http://c:8500"}}}`, "spec.source", "needs exactly one registry"},
		{"no-address", `{source: {consul: {}}}`, "spec.source.consul.address", "Required"},
		{"no-scheme", `{source: {consul: {address: "consul:8501"}}}`, "spec.source.consul.address", "needs to be a URL"},
		{"tls-over-http", `{source: {consul: {address: "http://c:8500", tls: {}}}}`, "spec.source.consul.address", "needs https"},
		{"constant-host", zk(", hosts: {template: a.b}"), "spec.hosts.template", "same host"},
		{"no-port", `{source: {zookeeper: {servers: [zk]}}}`, "spec.source.zookeeper.servers[0]", "zk"},
		{"unknown-field", zk(", gards: {}"), "spec.gards", "unknown field"},
		{"mode", zk(", mode: active"), "spec.mode", `"Active", "Observe", "Paused"`},
		{"max", zk(", services: {max: 0}"), "spec.services.max", "greater than or equal to 1"},
		{"huge", zk(", services: {max: 3000000000}"), "spec.services.max", "less than or equal to 1000000"},
		{"glob-twice", zk(", services: {include: [a, a]}"), "spec.services.include[1]", "Duplicate"},
		{"no-unit", zk(`, guards: {emptyGrace: "180"}`), "spec.guards.emptyGrace", "180"},
		{"number", zk(`, guards: {emptyGrace: 180}`), "spec.guards.emptyGrace", "string"},
		{"no-grace", zk(`, guards: {emptyGrace: 10ms}`), "spec.guards.emptyGrace", "at least 1s"},
		{"percent", zk(`, guards: {massRemoval: {maxPercent: 101}}`), "spec.guards.massRemoval.maxPercent", "100"},
		{"session", `{source: {zookeeper: {servers: ["zk:2181"], sessionTimeout: 1h}}}`, "spec.source.zookeeper.sessionTimeout", "between 1s and 10m"},
		{"layout-twice", `{source: {zookeeper: {servers: ["zk:2181"], layouts: [{root: /a}, {root: /b}]}}}`, "spec.source.zookeeper.layouts[1]", "Duplicate"},
		{"bits", zk(", endpoints: {allowCIDRs: [10.0.0.1/8]}"), "spec.endpoints.allowCIDRs[0]", "without bits behind its prefix"},
		{"vips", zk(`, output: {vipCIDR: "240.0.0.0/24"}`), "spec.output.vipCIDR", "/22 or larger"},
		{"export", zk(`, output: {exportTo: [shop, "*"]}`), "spec.output.exportTo", "cannot be combined"},
		{"rule", zk(`, rules: [{name: a, match: {services: ["*"]}}]`), "spec.rules[0]", "sets nothing"},
		{"rule-twice", zk(`, rules: [{name: a, match: {services: [a]}, host: a.b}, {name: a, match: {services: [b]}, host: b.b}]`), "spec.rules[1]", "Duplicate"},
		{strings.Repeat("n", 64), smallest, "metadata", "more than 63 characters"},
	} {
		s.Run(tt.name, func(t *testing.T) {
			_, err := s.kubectl.Try(t.Context(), manifest(tt.name, tt.spec), "apply", "-f", "-")
			if err == nil {
				s.kubectl.Run(t, "delete", "registry", "-n", namespace, tt.name)
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.field) || !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("got %v, want %s and %q", err, tt.field, tt.hint)
			}
		})
	}
}

// changesRefused: which registry it is cannot be changed, nor how hosts are named while objects are live.
func (s *scene) changesRefused() {
	const name = "immutable"
	s.create(name)
	patch := func(spec string) error {
		_, err := s.kubectl.Try(s.Context(), "", "patch", "registry", "-n", namespace, name, "--type=merge", "-p", `{"spec":`+spec+`}`)
		return err
	}
	refused := func(spec, field string) {
		s.Helper()
		if err := patch(spec); err == nil || !strings.Contains(err.Error(), field+": Invalid") || !strings.Contains(err.Error(), "create another Registry") {
			s.Errorf("%s: got %v, want a refusal at %s", spec, err, field)
		}
	}
	allowed := func(spec string) {
		s.Helper()
		if err := patch(spec); err != nil {
			s.Error(err)
		}
	}
	refused(`{"source":{"zookeeper":null,"consul":{"address":"http://consul:8500"}}}`, "spec.source")
	allowed(`{"source":{"zookeeper":{"servers":["zk-2:2181"]}}}`)
	allowed(`{"hosts":{"suffix":"old"}}`)

	status := ready(metav1.ConditionTrue, 1)
	status.Naming = &v1alpha1.NamingStatus{Version: v1alpha1.NamingVersion, Suffix: "old"}
	if _, err := s.applyStatus(name, "bridge", status); err != nil {
		s.Fatal(err)
	}
	refused(`{"hosts":{"suffix":"new"}}`, "spec.hosts")
	refused(`{"hosts":{"template":"{service}.x"}}`, "spec.hosts")
	allowed(`{"hosts":{"priority":7},"mode":"Observe"}`)
	status.Naming = nil
	if _, err := s.applyStatus(name, "bridge", status); err != nil {
		s.Fatal(err)
	}
	allowed(`{"hosts":{"suffix":"new"}}`)
}

// explain: kubectl explain is documentation enough.
func (s *scene) explain() {
	for path, want := range map[string][]string{
		"registry":             {"Registry describes one registry and how it is bridged", "registry-bridge.io/release"},
		"registry.spec.source": {"Exactly one member is set", "Apache ZooKeeper.", "HashiCorp Consul."},
		"rbreg.spec.guards.massRemoval.maxPercent":   {"The guard trips when more than this share", "Example: 50"},
		"registries.spec.mode":                       {"Observe only plans", "ENUM: Active Observe Paused"},
		"registry.status":                            {"holdCount", "What the bridge has to say about it"},
		"registry.spec.source.zookeeper.layouts":     {"DubboInterface", "The default is that of the type: /dubbo for DubboInterface"},
		"registry.spec.source.consul.tokenSecretRef": {"-required-", "service:read and node:read"},
	} {
		out := strings.Join(strings.Fields(s.kubectl.Run(s, "explain", path)), " ")
		for _, text := range want {
			if !strings.Contains(out, text) {
				s.Errorf("kubectl explain %s does not say %q:\n%s", path, text, out)
			}
		}
	}
}

// columns: kubectl get shows where a Registry stands, by its names and in its category.
func (s *scene) columns() {
	const name = "columns"
	s.create(name)
	rows := func(args ...string) string {
		var b strings.Builder
		for line := range strings.Lines(s.kubectl.Run(s, append([]string{"get", "-n", namespace}, args...)...)) {
			fields := strings.Fields(line)
			fmt.Fprintln(&b, strings.Join(fields[:len(fields)-1], " ")) // The last one is the age.
		}
		return b.String()
	}
	expect := func(what, got, want string) {
		s.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			s.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	const header = "NAME TYPE MODE READY SERVICES INSTANCES HELD\n"
	expect("before the bridge has seen it", rows("registries"), header+"columns Active\n")
	if _, err := s.applyStatus(name, "bridge", ready(metav1.ConditionTrue, 1)); err != nil {
		s.Fatal(err)
	}
	const row = "columns ZooKeeper Active True 12 345 6\n"
	expect("registries", rows("registries"), header+row)
	expect("rbreg", rows("rbreg"), header+row)
	if got := rows("registry-bridge"); !strings.Contains(got, "columns ZooKeeper") {
		s.Errorf("the category registry-bridge shows:\n%s", got)
	}
	expect("wide", rows("registries", "-o", "wide"),
		"NAME TYPE MODE READY SERVICES INSTANCES HELD PUBLISHED REASON\ncolumns ZooKeeper Active True 12 345 6 340 InUse\n")
}

// wait: kubectl wait waits until the condition is about what was applied last.
func (s *scene) wait() {
	const name = "wait"
	s.create(name)
	s.kubectl.Run(s, "patch", "registry", "-n", namespace, name, "--type=merge", "-p", `{"spec":{"mode":"Observe"}}`)
	generation := s.get(name).Generation
	if generation != 2 {
		s.Fatalf("an edit of the spec made generation %d", generation)
	}
	if _, err := s.applyStatus(name, "bridge", ready(metav1.ConditionTrue, generation-1)); err != nil {
		s.Fatal(err)
	}
	if got := s.get(name).Generation; got != generation {
		s.Errorf("a status made generation %d", got)
	}
	wait := []string{"wait", "--for=condition=Ready", "-n", namespace, "registry/" + name}
	if _, err := s.kubectl.Try(s.Context(), "", append(wait, "--timeout=1s")...); err == nil {
		s.Error("kubectl wait took a condition about an old generation")
	}
	waited := make(chan error, 1)
	go func() {
		_, err := s.kubectl.Try(s.Context(), "", append(wait, "--timeout=60s")...)
		waited <- err
	}()
	if _, err := s.applyStatus(name, "bridge", ready(metav1.ConditionTrue, generation)); err != nil {
		s.Error(err)
	}
	if err := <-waited; err != nil {
		s.Error(err)
	}
}

// statusApply: a status is written by server-side apply. The same again is no new version, what others say stays, and however much is
// held, it fits.
func (s *scene) statusApply() {
	const name = "status"
	s.create(name)
	status := ready(metav1.ConditionTrue, 1)
	apply := func(manager string, status *v1alpha1.RegistryStatus) string {
		s.Helper()
		version, err := s.applyStatus(name, manager, status)
		if err != nil {
			s.Fatal(err)
		}
		return version
	}
	first := apply("bridge", status)
	if again := apply("bridge", status); again != first {
		s.Errorf("the same status made version %s of %s", again, first)
	}
	foreign := metav1.Condition{Type: "Audited", Status: metav1.ConditionTrue, Reason: "ByHand", LastTransitionTime: metav1.Now()}
	apply("auditor", &v1alpha1.RegistryStatus{Conditions: []metav1.Condition{foreign}})

	for i := range 10_000 {
		status.Holds = append(status.Holds, v1alpha1.HoldStatus{ID: fmt.Sprintf("h-%08x", i), Guard: "MassRemoval", Endpoints: 1})
	}
	if _, err := s.applyStatus(name, "bridge", status); err == nil {
		s.Error("10,000 holds were accepted")
	}
	status.SetHolds(status.Holds)
	apply("bridge", status)
	got := s.get(name)
	if len(got.Status.Holds) != 20 || got.Status.HoldCount != 10_000 {
		s.Errorf("got %d holds and a count of %d", len(got.Status.Holds), got.Status.HoldCount)
	}
	if len(got.Status.Conditions) != 2 {
		s.Errorf("got the conditions %v", got.Status.Conditions)
	}
	s.kubectl.Feed(s, manifest(name, smallest), "apply", "-f", "-")
	if diff := cmp.Diff(got.Status, s.get(name).Status); diff != "" {
		s.Errorf("kubectl apply of the spec changed the status\n%s", diff)
	}
}

// typedList: clients with Go types read Registries.
func (s *scene) typedList() {
	s.create("typed")
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		s.Fatal(err)
	}
	config := s.kube.Config()
	version := v1alpha1.GroupVersion()
	config.GroupVersion, config.APIPath = &version, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		s.Fatal(err)
	}
	var list v1alpha1.RegistryList
	lab.Await(s, settleLimit, "the Registry is listed", func(ctx context.Context) error {
		if err := client.Get().Resource("registries").Namespace(namespace).Do(ctx).Into(&list); err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].Name != "typed" || list.Items[0].Spec.Mode != v1alpha1.ModeActive {
			return fmt.Errorf("got %+v", list.Items)
		}
		return nil
	})
}
