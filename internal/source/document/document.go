// Package document reads documents that list services: those of our own schema, and the lists of targets that Prometheus reads (http_sd,
// file_sd). Both are JSON.
//
//	the document is not what it should be          -> an error: nothing of it is believed
//	a service is there, and its content is unclear -> source.Content.Unreadable: it stays as it was
//	an instance makes no sense                     -> model.Instance.Problem
//
// Fields that are not known are ignored, so that a registry can say more to others, and later versions of the schema more to us.
package document

// MaxSize is how large a document may be, in bytes: 64 MiB, some 300,000 instances.
const MaxSize = 64 << 20

// Format says how a document is written.
type Format string

// The formats.
const (
	// Native is our own schema: a Document.
	Native Format = "Native"
	// PrometheusSD is Prometheus' list of groups of targets, see https://prometheus.io/docs/prometheus/latest/http_sd/.
	PrometheusSD Format = "PrometheusSD"
)

// Document lists all services of a registry. A service that it does not list is gone.
type Document struct {
	// All services. An empty list says that there is none.
	Services []Service `json:"services"`
}

// Service is one service with all of its instances.
type Service struct {
	// The name of the service, any text. No two services have the same.
	Name string `json:"name" schema:"minLength=1"`
	// What there is to say of the service as a whole.
	Metadata map[string]string `json:"metadata,omitempty"`
	// All instances. An empty list says that there is none.
	Instances []Instance `json:"instances"`
}

// Instance is one place where a service can be called.
type Instance struct {
	// Tells the instances of the service apart. Without it, address and first port do.
	ID string `json:"id,omitempty"`
	// The IP address.
	Address string `json:"address" schema:"minLength=1"`
	// The ports, at least one.
	Ports []Port `json:"ports" schema:"minItems=1"`
	// The share of the traffic, in relation to the others; 1 when it is not set. With 0 the instance takes none.
	Weight *float64 `json:"weight,omitempty" schema:"integer,minimum=0,maximum=4294967295"`
	// Whether the instance can take traffic, healthy when it is not set. Instances that are healthy or have a warning are published.
	Health string `json:"health,omitempty" schema:"health"`
	// Where the instance runs.
	Locality *Locality `json:"locality,omitempty"`
	// What there is to say of the instance, at most 64 KiB. Labels can be made of it (endpoints.copyLabels), and "protocol" names the
	// protocol of ports that do not name their own.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Port is a port of an instance.
type Port struct {
	// The port's name, where there are several.
	Name string `json:"name,omitempty"`
	// What the port speaks, e.g. http, grpc, dubbo or tcp.
	Protocol string `json:"protocol,omitempty"`
	// The number.
	Number float64 `json:"number" schema:"integer,minimum=1,maximum=65535"`
}

// Locality is where an instance runs. A part needs the ones before it.
type Locality struct {
	// The region, e.g. eu-west-1.
	Region string `json:"region,omitempty"`
	// The zone in the region.
	Zone string `json:"zone,omitempty"`
	// The part of the zone, e.g. a rack.
	Subzone string `json:"subzone,omitempty"`
}
