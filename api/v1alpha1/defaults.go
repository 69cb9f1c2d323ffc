package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultVIPCIDR is the range of virtual IPs unless configured otherwise: a part of the reserved class E, and the neighbour of the
// range from which istiod itself allocates (240.240.0.0/16).
const DefaultVIPCIDR = "240.239.0.0/16"

// Default fills in every setting of r that is not set and has a default. It changes nothing that is set, so a second call changes
// nothing. Output.ExportTo has no default here, because the one that applies depends on the service.
func Default(r *Registry) {
	s := &r.Spec
	setDefault(&s.Mode, ModeActive)
	setDefault(&s.DeletionPolicy, DeletionRetain)
	if s.Source.ZooKeeper != nil {
		defaultZooKeeper(s.Source.ZooKeeper)
	}
	if s.Source.Consul != nil {
		defaultConsul(s.Source.Consul)
	}
	if s.Source.Eureka != nil {
		defaultEureka(s.Source.Eureka)
	}
	if h := s.Source.HTTP; h != nil {
		defaultHTTP(h)
	}
	if f := s.Source.File; f != nil {
		setDefault(&f.Format, DocumentNative)
		setDefault(&f.ServiceLabel, DefaultServiceLabel)
	}
	if s.Source.Nacos != nil {
		defaultNacos(s.Source.Nacos)
	}
	setDefault(&s.Services.Max, new(int32(10_000)))
	setDefault(&s.Endpoints.Mode, EndpointsInline)
	setDefault(&s.Endpoints.Hostnames, HostnamesReject)
	if s.Endpoints.DenyCIDRs == nil {
		s.Endpoints.DenyCIDRs = []string{"127.0.0.0/8", "::1/128"}
	}
	if s.Endpoints.CopyLabels == nil {
		s.Endpoints.CopyLabels = []string{"version", "group"}
	}
	if len(s.Dubbo.DataPlanes) == 0 {
		s.Dubbo.DataPlanes = []DataPlane{DataPlaneTCP}
	}
	setDefault(&s.Dubbo.Rollout.Stage, RolloutObserve)
	setDefault(&s.Dubbo.TagRouting, TagRoutingDisabled)
	setDefault(&s.Output.Location, MeshInternal)
	setDefault(&s.Output.VIPCIDR, new(DefaultVIPCIDR))
	g := &s.Guards
	setDefault(&g.EmptyGrace, duration(3*time.Minute))
	setDefault(&g.DeleteAfter, duration(10*time.Minute))
	setDefault(&g.MaxHold, duration(0))
	setDefault(&g.MassRemoval.MaxPercent, new(int32(30)))
	setDefault(&g.MassRemoval.HoldFor, duration(10*time.Minute))
}

func defaultZooKeeper(z *ZooKeeper) {
	setDefault(&z.SessionTimeout, duration(30*time.Second))
	if len(z.Layouts) == 0 {
		z.Layouts = []ZooKeeperLayout{{}}
	}
	for i := range z.Layouts {
		l := &z.Layouts[i]
		setDefault(&l.Name, "dubbo")
		setDefault(&l.Type, LayoutDubboInterface)
		if l.Type == LayoutDubboInterface {
			setDefault(&l.Root, "/dubbo")
		}
		setDefault(&l.Root, "/services")
		if l.Type == LayoutDubboApplication {
			setDefault(&l.MetadataRoot, "/dubbo")
		}
	}
	defaultTLS(z.TLS)
}

func defaultConsul(c *Consul) {
	setDefault(&c.Warning, ConsulWarningPublish)
	setDefault(&c.AddressFrom, ConsulAddressFromService)
	if c.TokenSecretRef != nil {
		setDefault(&c.TokenSecretRef.Key, "token")
	}
	defaultTLS(c.TLS)
}

func defaultEureka(e *Eureka) {
	setDefault(&e.PollInterval, duration(30*time.Second))
	defaultTLS(e.TLS)
}

// DefaultServiceLabel is the label that names a service in a list of targets of Prometheus, which calls it a job.
const DefaultServiceLabel = "job"

func defaultHTTP(h *HTTP) {
	setDefault(&h.Format, DocumentNative)
	setDefault(&h.ServiceLabel, DefaultServiceLabel)
	setDefault(&h.PollInterval, duration(10*time.Second))
	if h.BearerSecretRef != nil {
		setDefault(&h.BearerSecretRef.Key, "token")
	}
	for i := range h.Headers {
		if ref := h.Headers[i].SecretRef; ref != nil {
			setDefault(&ref.Key, "token")
		}
	}
	defaultTLS(h.TLS)
}

func defaultNacos(n *Nacos) {
	setDefault(&n.GRPCPortOffset, new(int32(1000)))
	setDefault(&n.ContextPath, "/nacos")
	setDefault(&n.Layout, NacosAuto)
	if len(n.Scopes) == 0 {
		n.Scopes = []NacosScope{{}}
	}
	for i := range n.Scopes {
		setDefault(&n.Scopes[i].Namespace, NacosDefaultNamespace)
		if len(n.Scopes[i].Groups) == 0 {
			n.Scopes[i].Groups = []string{NacosDefaultGroup}
		}
	}
	defaultTLS(n.TLS)
}

func defaultTLS(t *TLS) {
	if t != nil && t.CARef != nil {
		setDefault(&t.CARef.Kind, RefSecret)
		setDefault(&t.CARef.Key, "ca.crt")
	}
}

// setDefault sets a field that has its zero value.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func duration(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
