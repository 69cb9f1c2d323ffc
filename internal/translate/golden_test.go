package translate_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/translate"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// caseIn is the YAML form of one golden case: configuration, what the registries hold, and what is live.
type caseIn struct {
	Registries []registryIn `json:"registries,omitempty"`
	Services   []serviceIn  `json:"services,omitempty"`
	// Live are manifests, as an output holds them.
	Live []map[string]any `json:"live,omitempty"`
	// Pods are those with a sidecar, by address; without the field nobody looks at pods.
	Pods map[string]podIn `json:"pods,omitempty"`
	// PodsUnknown says that pods are looked at, and have not been seen yet.
	PodsUnknown bool `json:"podsUnknown,omitempty"`
	// Foreign is what others have in the cluster.
	Foreign *translate.Foreign `json:"foreign,omitempty"`
}

type podIn struct {
	Identity string `json:"identity"`
	Locality string `json:"locality,omitempty"`
}

// registryIn is a Registry. What is left out is what the configuration's defaults say: zookeeper, exported to all, with VIPs.
type registryIn struct {
	Namespace       string            `json:"namespace,omitempty"`
	Name            string            `json:"name,omitempty"`
	Type            string            `json:"type,omitempty"`
	Sources         []sourceIn        `json:"sources,omitempty"`
	Exclude         string            `json:"exclude,omitempty"`
	Template        string            `json:"template,omitempty"`
	Suffix          string            `json:"suffix,omitempty"`
	Rules           []ruleIn          `json:"rules,omitempty"`
	AllowCIDRs      []netip.Prefix    `json:"allowCIDRs,omitempty"`
	DenyCIDRs       []netip.Prefix    `json:"denyCIDRs,omitempty"`
	CopyLabels      []string          `json:"copyLabels,omitempty"`
	MaxPerObject    int               `json:"maxPerObject,omitempty"`
	Mode            string            `json:"mode,omitempty"`
	ExportTo        []string          `json:"exportTo,omitempty"`
	External        bool              `json:"external,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Network         string            `json:"network,omitempty"`
	VIPs            string            `json:"vips,omitempty"`
	DefaultProtocol string            `json:"defaultProtocol,omitempty"`
	RejectWarning   bool              `json:"rejectWarning,omitempty"`
	Dubbo           *dubboIn          `json:"dubbo,omitempty"`
}

type sourceIn struct {
	Scope         string `json:"scope,omitempty"`
	Dubbo         bool   `json:"dubbo,omitempty"`
	DefaultWeight uint32 `json:"defaultWeight,omitempty"`
	HostPrefix    string `json:"hostPrefix,omitempty"`
}

type ruleIn struct {
	Match       string `json:"match"`
	Protocol    string `json:"protocol,omitempty"`
	ServicePort uint32 `json:"servicePort,omitempty"`
	Host        string `json:"host,omitempty"`
	TLSMode     string `json:"tlsMode,omitempty"`
}

// serviceIn is a service. Its source is "<registry>" or "<registry>/<scope>".
type serviceIn struct {
	Source string `json:"source,omitempty"`
	Unit   string `json:"unit,omitempty"`
	// Name is the service's name; a name that YAML cannot hold is given in Go's syntax instead.
	Name      string            `json:"name,omitempty"`
	Quoted    string            `json:"quoted,omitempty"`
	Repeat    int               `json:"repeat,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Instances []instanceIn      `json:"instances,omitempty"`
}

// instanceIn is an instance. At is "protocol://address:port", or only "address:port"; Count makes that many, one address apart.
type instanceIn struct {
	At       string            `json:"at,omitempty"`
	Address  string            `json:"address,omitempty"`
	Ports    []model.Port      `json:"ports,omitempty"`
	Count    int               `json:"count,omitempty"`
	Weight   *uint32           `json:"weight,omitempty"`
	Health   string            `json:"health,omitempty"`
	Region   string            `json:"region,omitempty"`
	Zone     string            `json:"zone,omitempty"`
	Subzone  string            `json:"subzone,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Problem  string            `json:"problem,omitempty"`
}

// caseOut is the YAML form of a result.
type caseOut struct {
	Objects     []map[string]any `json:"objects,omitempty"`
	Origins     []string         `json:"origins,omitempty"`
	Claims      []string         `json:"claims,omitempty"`
	Withdrawn   []string         `json:"withdrawn,omitempty"`
	Diagnostics []string         `json:"diagnostics,omitempty"`
	// Endpoints stands for objects with too many of them to be read.
	Endpoints map[string]int `json:"endpoints,omitempty"`
}

// manyEndpoints is the number from which only the number of endpoints is in the golden file.
const manyEndpoints = 20

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			snap, prior, opts := readCase(t, file)
			result := translate.Translate(snap, prior, opts)
			if err := translatetest.Check(result.Objects); err != nil {
				t.Error(err)
			}
			compareGolden(t, strings.TrimSuffix(file, ".in.yaml")+".out.yaml", result)
			for _, o := range result.Objects { // Apply it: nothing may change any more.
				prior[o.Key] = translate.PriorOf(o)
			}
			again := translate.Translate(snap, prior, opts)
			if diff := cmp.Diff(result.Objects, again.Objects); diff != "" {
				t.Errorf("the next translation differs: -first +second:\n%s", diff)
			}
		})
	}
}

func compareGolden(t *testing.T, file string, result translate.Result) {
	t.Helper()
	got, err := yaml.Marshal(encode(t, result))
	if err != nil {
		t.Fatal(err)
	}
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
}

func encode(t *testing.T, result translate.Result) caseOut {
	t.Helper()
	var out caseOut
	for _, o := range result.Objects {
		if o.ServiceEntry == nil {
			m, err := manifest.Map(o)
			if err != nil {
				t.Fatal(err)
			}
			out.Objects = append(out.Objects, m)
			continue
		}
		if n := len(o.ServiceEntry.Endpoints); n > manyEndpoints {
			if out.Endpoints == nil {
				out.Endpoints = map[string]int{}
			}
			out.Endpoints[o.Key.String()] = n
			short := *o
			spec := *o.ServiceEntry
			spec.Endpoints = spec.Endpoints[:1]
			short.ServiceEntry, o = &spec, &short
		}
		for _, piece := range pieces.Split(o) {
			m, err := manifest.Map(piece)
			if err != nil {
				t.Fatal(err)
			}
			out.Objects = append(out.Objects, m)
		}
		for _, c := range o.Claims {
			out.Claims = append(out.Claims, fmt.Sprintf("%s: %s has %s:%d, too", o.Key, c.Source, c.Address, c.Port))
		}
		for _, ref := range o.Origins {
			out.Origins = append(out.Origins, fmt.Sprintf("%s: %s %.80q by %s", o.Key, ref.Source, ref.Name, strings.Join(o.Registries, ",")))
		}
	}
	for _, w := range result.Withdrawn {
		out.Withdrawn = append(out.Withdrawn, strings.TrimSpace(fmt.Sprintf("%s of %s %s", w.Key, w.Source, place(w))))
	}
	for _, d := range result.Diagnostics {
		out.Diagnostics = append(out.Diagnostics, fmt.Sprintf("%s: %s %.80q %q %s: %s", d.Reason, d.Registry, d.Ref.Name, d.Instance, d.Host, d.Detail))
	}
	return out
}

func place(w translate.Withdrawal) string {
	if w.Address == "" {
		return ""
	}
	return fmt.Sprintf("%s %d", w.Address, w.Port)
}

func readCase(t *testing.T, file string) (model.Snapshot, map[translate.Key]translate.Prior, *translate.Options) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var in caseIn
	if err := yaml.UnmarshalStrict(text, &in); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(in.Registries) == 0 {
		in.Registries = []registryIn{{}}
	}
	opts := &translate.Options{Instance: "test"}
	sources := map[string]*translate.Source{}
	for i := range in.Registries {
		reg := in.Registries[i].compile(t)
		opts.Registries = append(opts.Registries, reg)
		for j := range reg.Sources {
			src := &reg.Sources[j]
			sources[strings.TrimSuffix(reg.Name+"/"+src.Scope, "/")] = src
		}
	}
	bySource := map[model.SourceID][]*model.Service{}
	for i := range in.Services {
		s := &in.Services[i]
		if s.Source == "" {
			s.Source = opts.Registries[0].Name
		}
		src := sources[s.Source]
		if src == nil {
			t.Fatalf("%s: no source %q", file, s.Source)
		}
		bySource[src.ID] = append(bySource[src.ID], s.compile(t, src))
	}
	var snap model.Snapshot
	for id, services := range bySource {
		slices.SortFunc(services, func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) })
		snap.Sources = append(snap.Sources, model.SourceServices{ID: id, Services: services})
	}
	slices.SortFunc(snap.Sources, func(a, b model.SourceServices) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if in.Pods != nil || in.PodsUnknown {
		pods := map[string]translate.Pod{}
		for address, pod := range in.Pods {
			pods[address] = translate.Pod(pod)
		}
		if opts.Pods = translate.NewPods(pods); in.PodsUnknown {
			opts.Pods = translate.UnknownPods()
		}
	}
	opts.Foreign = in.Foreign
	return snap, readLive(t, in.Live), opts
}

func readLive(t *testing.T, live []map[string]any) map[translate.Key]translate.Prior {
	t.Helper()
	prior := map[translate.Key]translate.Prior{}
	for _, m := range live {
		m["apiVersion"], m["kind"] = manifest.APIVersion, string(translate.KindServiceEntry)
		o, err := manifest.Parse(m)
		if err != nil {
			t.Fatal(err)
		}
		prior[o.Key] = translate.PriorOf(o)
	}
	return prior
}

func (in *registryIn) compile(t *testing.T) *translate.Registry {
	t.Helper()
	reg := &translate.Registry{
		Namespace: or(in.Namespace, "mesh"), Name: or(in.Name, "zk"), Type: or(in.Type, "zookeeper"),
		Hosts: translate.Hosts{Template: in.Template, Suffix: in.Suffix},
		Endpoints: translate.Endpoints{
			AllowCIDRs: in.AllowCIDRs, DenyCIDRs: in.DenyCIDRs, CopyLabels: in.CopyLabels, MaxPerObject: in.MaxPerObject,
			Mode: translate.EndpointMode(in.Mode),
		},
		Output: translate.Output{
			ExportTo: in.ExportTo, ExportToSet: in.ExportTo != nil, External: in.External, Labels: in.Labels, Network: in.Network,
		},
		DefaultProtocol: translate.Protocol(in.DefaultProtocol), PublishWarning: !in.RejectWarning,
	}
	if in.ExportTo == nil {
		reg.Output.ExportTo = []string{"*"}
	}
	if vips := or(in.VIPs, "240.239.0.0/16"); vips != "none" {
		reg.Output.VIPs = netip.MustParsePrefix(vips)
	}
	if in.Dubbo != nil {
		reg.Dubbo = in.Dubbo.compile(t)
	}
	if in.Exclude != "" {
		reg.Selects = func(original string) bool { return !glob(t, in.Exclude, original) }
	}
	for _, r := range in.Rules {
		reg.Rules = append(reg.Rules, translate.Rule{
			Match: func(original string) bool { return glob(t, r.Match, original) }, Protocol: translate.Protocol(r.Protocol),
			ServicePort: r.ServicePort, Host: r.Host, TLSMode: r.TLSMode,
		})
	}
	if len(in.Sources) == 0 {
		in.Sources = []sourceIn{{}}
	}
	for _, s := range in.Sources {
		weight := s.DefaultWeight
		if weight == 0 {
			weight = 1
			if s.Dubbo {
				weight = 100
			}
		}
		reg.Sources = append(reg.Sources, translate.Source{
			ID: model.NewSourceID(reg.Namespace, reg.Name, s.Scope), Scope: s.Scope, Dubbo: s.Dubbo, DefaultWeight: weight,
			HostPrefix: s.HostPrefix,
		})
	}
	return reg
}

func (in *serviceIn) compile(t *testing.T, src *translate.Source) *model.Service {
	t.Helper()
	name := in.Name
	if in.Quoted != "" {
		name = unquote(t, in.Quoted)
	}
	if in.Repeat > 0 {
		name = strings.Repeat(name, in.Repeat)
	}
	svc := &model.Service{Ref: model.Ref{Source: src.ID, Unit: or(in.Unit, name), Name: name}, Metadata: in.Metadata}
	if src.Dubbo && svc.Metadata == nil {
		svc.Metadata = map[string]string{model.MetaDubboInterface: name}
	}
	for i := range in.Instances {
		svc.Instances = append(svc.Instances, in.Instances[i].compile(t, src)...)
	}
	return svc
}

func glob(t *testing.T, pattern, name string) bool {
	t.Helper()
	ok, err := path.Match(pattern, name)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
