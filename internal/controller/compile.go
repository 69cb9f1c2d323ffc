// Package controller turns Registry objects into what runs: sources that watch registries, options for the translation, and policies for
// the planner. It keeps running what an edit did not touch.
package controller

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// SourceSpec is everything that a running source depends on: as long as it is equal, the source keeps running.
type SourceSpec struct {
	ID                  model.SourceID
	Namespace, Registry string
	// ZooKeeper is the configuration with exactly one layout, and without that layout's name.
	ZooKeeper *v1alpha1.ZooKeeper
	// Consul is the configuration of a source of Consul. For it and for Nacos, Services says which services are read: a query or a
	// subscription each is too many for those that nobody wants.
	Consul *v1alpha1.Consul
	// Nacos is the configuration of a source of Nacos, with exactly one scope that has one group.
	Nacos    *v1alpha1.Nacos
	Services v1alpha1.Services
	// Eureka is the configuration of a source of Eureka.
	Eureka *v1alpha1.Eureka
	// HTTP and File are the configurations of sources of documents.
	HTTP *v1alpha1.HTTP
	File *v1alpha1.File
}

// compiled is one Registry in the words of the packages that work with it.
type compiled struct {
	// config is the Registry that it was compiled from.
	config   v1alpha1.Registry
	sources  []SourceSpec
	registry *translate.Registry
	policy   plan.Policy
}

// compile compiles a Registry that is valid, and has its defaults filled in.
func compile(r *v1alpha1.Registry) *compiled {
	c := &compiled{config: *r}
	c.registry = &translate.Registry{
		Namespace: r.Namespace,
		Name:      r.Name,
		Priority:  int(r.Spec.Hosts.Priority),
		Selects:   selects(r.Spec.Services.Include, r.Spec.Services.Exclude),
		Hosts:     translate.Hosts{Template: r.Spec.Hosts.Template, Suffix: r.Spec.Hosts.Suffix},
		Rules:     compileRules(r.Spec.Rules),
		Endpoints: translate.Endpoints{
			Mode:       endpointMode(r.Spec.Endpoints.Mode),
			AllowCIDRs: prefixes(r.Spec.Endpoints.AllowCIDRs),
			DenyCIDRs:  prefixes(r.Spec.Endpoints.DenyCIDRs),
			CopyLabels: r.Spec.Endpoints.CopyLabels,
		},
		Output:         compileOutput(r),
		Dubbo:          compileDubbo(&r.Spec.Dubbo),
		PublishWarning: true,
	}
	if z := r.Spec.Source.ZooKeeper; z != nil {
		c.compileZooKeeper(r, z)
	}
	if consul := r.Spec.Source.Consul; consul != nil {
		c.compileConsul(r, consul)
	}
	if eureka := r.Spec.Source.Eureka; eureka != nil {
		c.compileEureka(r, eureka)
	}
	if h := r.Spec.Source.HTTP; h != nil {
		c.compileDocuments(r, "http", SourceSpec{HTTP: h})
	}
	if f := r.Spec.Source.File; f != nil {
		c.compileDocuments(r, "file", SourceSpec{File: f})
	}
	if n := r.Spec.Source.Nacos; n != nil {
		c.compileNacos(r, n)
	}
	c.policy = compilePolicy(r, c.registry.Sources)
	return c
}

// compileZooKeeper makes one source of each layout. Its scope, which names it for ever, is what it watches: the type and the whole path.
// Neither other servers nor another name of the layout make it another source.
func (c *compiled) compileZooKeeper(r *v1alpha1.Registry, z *v1alpha1.ZooKeeper) {
	c.registry.Type = "zookeeper"
	// What Dubbo registers at both levels belongs to the interface level, which alone knows the rules about an instance.
	order := []v1alpha1.ZooKeeperLayoutType{v1alpha1.LayoutDubboInterface, v1alpha1.LayoutDubboApplication, v1alpha1.LayoutSpringCloud}
	layouts := slices.SortedFunc(slices.Values(z.Layouts), func(a, b v1alpha1.ZooKeeperLayout) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Type), slices.Index(order, b.Type)), cmp.Compare(a.Root, b.Root))
	})
	for _, layout := range layouts {
		id := model.NewSourceID(r.Namespace, r.Name, "zookeeper/"+string(layout.Type)+z.Chroot+layout.Root)
		one := *z
		one.Layouts = []v1alpha1.ZooKeeperLayout{{Type: layout.Type, Root: layout.Root, MetadataRoot: layout.MetadataRoot}}
		c.sources = append(c.sources, SourceSpec{ID: id, Namespace: r.Namespace, Registry: r.Name, ZooKeeper: &one})
		src := translate.Source{ID: id, Scope: layout.Name, Dubbo: true, DefaultWeight: 100}
		if layout.Type == v1alpha1.LayoutSpringCloud {
			src.Dubbo, src.DefaultWeight = false, 1
		}
		c.registry.Sources = append(c.registry.Sources, src)
	}
}

// compileConsul makes one source. Its scope is the datacenter, the partition and the namespace by their configured names: another
// address, token or filter does not make it another source.
func (c *compiled) compileConsul(r *v1alpha1.Registry, consul *v1alpha1.Consul) {
	c.registry.Type = "consul"
	c.registry.PublishWarning = consul.Warning != v1alpha1.ConsulWarningDrop
	id := model.NewSourceID(r.Namespace, r.Name, strings.Join([]string{"consul", consul.Datacenter, consul.Partition, consul.Namespace}, "/"))
	one := *consul
	one.Warning = "" // It does not matter to the source.
	services := v1alpha1.Services{Include: r.Spec.Services.Include, Exclude: r.Spec.Services.Exclude}
	c.sources = append(c.sources, SourceSpec{ID: id, Namespace: r.Namespace, Registry: r.Name, Consul: &one, Services: services})
	c.registry.Sources = append(c.registry.Sources, translate.Source{ID: id, Scope: cmp.Or(consul.Datacenter, "consul"), DefaultWeight: 1})
}

// compileEureka makes one source. A server has one registry, and all servers of a Registry have the same: whichever they are, it is the same
// source. What speaks something else than HTTP says so, or a rule does.
func (c *compiled) compileEureka(r *v1alpha1.Registry, eureka *v1alpha1.Eureka) {
	c.registry.Type = "eureka"
	c.registry.DefaultProtocol = translate.HTTP
	id := model.NewSourceID(r.Namespace, r.Name, "eureka")
	c.sources = append(c.sources, SourceSpec{ID: id, Namespace: r.Namespace, Registry: r.Name, Eureka: eureka})
	c.registry.Sources = append(c.registry.Sources, translate.Source{ID: id, Scope: "eureka", DefaultWeight: 1})
}

// compileDocuments makes one source, of which there is one in a Registry: another URL or path does not make it another source, so that what
// is published stays while documents move.
func (c *compiled) compileDocuments(r *v1alpha1.Registry, registryType string, spec SourceSpec) {
	c.registry.Type = registryType
	spec.ID, spec.Namespace, spec.Registry = model.NewSourceID(r.Namespace, r.Name, registryType), r.Namespace, r.Name
	c.sources = append(c.sources, spec)
	c.registry.Sources = append(c.registry.Sources, translate.Source{ID: spec.ID, Scope: registryType, DefaultWeight: 1})
}

func endpointMode(mode v1alpha1.EndpointMode) translate.EndpointMode {
	if mode == v1alpha1.EndpointsWorkloadEntry {
		return translate.WorkloadEntries
	}
	return translate.Inline
}

func compileRules(rules []v1alpha1.Rule) []translate.Rule {
	out := make([]translate.Rule, len(rules))
	for i, r := range rules {
		out[i] = translate.Rule{
			Name: r.Name, Match: matches(r.Match.Services), Protocol: translate.Protocol(r.Protocol),
			Host: r.Host, TLSMode: string(r.TLSMode),
		}
		if r.ServicePort != nil {
			out[i].ServicePort = uint32(*r.ServicePort) //nolint:gosec // The validation keeps it between 1 and 65535.
		}
	}
	return out
}

func compileOutput(r *v1alpha1.Registry) translate.Output {
	o := &r.Spec.Output
	out := translate.Output{
		ExportTo: o.ExportTo, ExportToSet: len(o.ExportTo) > 0,
		External: o.Location == v1alpha1.MeshExternal,
		Labels:   o.Labels, Network: o.Network,
		PortOverlap: duration(r.Spec.Guards.EmptyGrace),
	}
	if !out.ExportToSet {
		out.ExportTo = []string{"*"}
	}
	if o.VIPCIDR != nil && *o.VIPCIDR != "" {
		out.VIPs = netip.MustParsePrefix(*o.VIPCIDR)
	}
	return out
}

func compileDubbo(d *v1alpha1.Dubbo) translate.Dubbo {
	if !slices.Contains(d.DataPlanes, v1alpha1.DataPlaneEnvoy) {
		return translate.Dubbo{}
	}
	out := translate.Dubbo{
		Envoy: true, Mesh: d.Consumers.Mesh, Namespaces: slices.Sorted(slices.Values(d.Consumers.Namespaces)),
		ByTag: d.TagRouting == v1alpha1.TagRoutingEnabled,
	}
	switch d.Rollout.Stage {
	case v1alpha1.RolloutListed:
		out.Routes = matches(d.Rollout.Interfaces)
	case v1alpha1.RolloutAll:
		out.Routes = func(string) bool { return true }
	}
	for i := range d.Routes {
		r := &d.Routes[i]
		rule := translate.DubboRule{Name: r.Name, Interface: r.Interface, Group: r.Group, Version: r.Version}
		if m := r.Method; m != nil {
			rule.Method = translate.MethodMatch(*m)
		}
		for _, s := range r.Split {
			share := translate.DubboShare{Group: s.Group, Version: s.Version, Tag: s.Tag}
			share.Weight = uint32(s.Weight) //nolint:gosec // The validation keeps it between 0 and 10,000.
			rule.Shares = append(rule.Shares, share)
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func compilePolicy(r *v1alpha1.Registry, sources []translate.Source) plan.Policy {
	g := &r.Spec.Guards
	p := plan.Policy{
		Namespace: r.Namespace, Name: r.Name, Mode: plan.Mode(r.Spec.Mode),
		EmptyGrace: duration(g.EmptyGrace), DeleteAfter: duration(g.DeleteAfter), MaxHold: duration(g.MaxHold),
		MassRemovalHold: duration(g.MassRemoval.HoldFor),
		Released:        r.Released(),
	}
	for _, s := range sources {
		p.Sources = append(p.Sources, s.ID)
	}
	if g.MassRemoval.MaxPercent != nil {
		p.MassRemovalPercent = int(*g.MassRemoval.MaxPercent)
	}
	if r.Spec.Services.Max != nil {
		p.MaxServices = int(*r.Spec.Services.Max)
	}
	return p
}

func prefixes(cidrs []string) []netip.Prefix {
	out := make([]netip.Prefix, len(cidrs))
	for i, c := range cidrs {
		out[i] = netip.MustParsePrefix(c)
	}
	return out
}

func duration(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}
