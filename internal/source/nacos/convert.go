package nacos

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
)

const (
	// DefaultWeight is the weight, in model.Instance, of an instance whose weight is Nacos's default of 1. Nacos has fractions.
	DefaultWeight = 100
	// maxWeight is Nacos's own limit.
	maxWeight = 10_000
	// maxMetadata is how much metadata of an instance is accepted, in bytes of keys and values.
	maxMetadata = 64 << 10
	// defaultCluster is the cluster of an instance that names none.
	defaultCluster = "DEFAULT"
	// metaCluster is the key under which another cluster is told.
	metaCluster = "nacos.cluster"
)

// instance is one registered instance, with what of it matters for every layout.
type instance struct {
	IP          string            `json:"ip"`
	Port        int64             `json:"port"`
	Weight      json.RawMessage   `json:"weight"`
	Healthy     *bool             `json:"healthy"`
	Enabled     *bool             `json:"enabled"`
	ClusterName string            `json:"clusterName"`
	Metadata    map[string]string `json:"metadata"`

	weight  uint32
	problem string
}

// converter makes services of answers. It is pure.
type converter struct {
	id       model.SourceID
	group    string
	layout   Layout
	clusters []string
}

func newConverter(cfg Config) converter {
	return converter{id: cfg.SourceID, group: cfg.Group, layout: cfg.Layout, clusters: cfg.Clusters}
}

func (c converter) ref(unit, name string) model.Ref {
	return model.Ref{Source: c.id, Unit: unit, Name: name}
}

// unitName is the name of a service as it was registered. Some servers put the group before it.
func (c converter) unitName(name string) string { return strings.TrimPrefix(name, c.group+"@@") }

// names returns the names that services of a unit may have; none for what is no service: the consumers and rules of Dubbo, and names that
// the layout does not have.
func (c converter) names(unit string) []string {
	category, named, isDubbo := dubboName(unit)
	switch {
	case unit == "":
		return nil
	case c.layout == Plain || !isDubbo && (c.layout == SpringCloud || c.layout == DubboApplication):
		return []string{unit}
	case !isDubbo && c.layout == Auto:
		return []string{unit, applicationName(unit)}
	case category == "providers" && (c.layout == Auto || c.layout == DubboInterface):
		return []string{named.Key()}
	}
	return nil
}

// applicationName names the instances that Dubbo registered for an application, where they may share its name with others.
func applicationName(unit string) string { return unit + ".dubbo" }

// dubboName reads the name under which Dubbo registers an interface: category:interface:version:group. Old versions leave out what is
// blank, so of three parts the third may be either; instances say by themselves which.
func dubboName(unit string) (category string, named dubboprovider.Service, ok bool) {
	parts := strings.Split(unit, ":")
	switch parts[0] {
	case "providers", "consumers", "routers", "configurators":
	default:
		return "", named, false
	}
	if len(parts) < 2 || len(parts) > 4 || parts[1] == "" {
		return "", named, false
	}
	named.Interface = parts[1]
	if len(parts) > 2 {
		named.Version = dubboprovider.Version(parts[2])
	}
	if len(parts) > 3 {
		named.Group = parts[3]
	}
	return parts[0], named, true
}

// empty returns the service of a unit that has no instance.
func (c converter) empty(unit string) *model.Service {
	names := c.names(unit)
	if len(names) == 0 {
		return nil
	}
	return c.service(unit, names[0])
}

// service returns a service without instances.
func (c converter) service(unit, name string) *model.Service {
	svc := &model.Service{Ref: c.ref(unit, name)}
	_, named, isDubbo := dubboName(unit)
	switch {
	case isDubbo && c.layout != Plain:
		svc.Metadata = named.Metadata()
	case c.layout == DubboApplication, name != unit:
		svc.Metadata = map[string]string{model.MetaDubboApplication: unit}
	}
	return svc
}

// convert returns the services of a unit, by name. A unit without instances has none.
func (c converter) convert(unit string, info *serviceInfo) (map[string]*model.Service, error) {
	if info == nil || info.Hosts == nil {
		return nil, fmt.Errorf("%w: the answer holds no instances", source.ErrMalformed)
	}
	hosts := c.read(info.Hosts)
	services := map[string]*model.Service{}
	_, named, isDubbo := dubboName(unit)
	switch {
	case isDubbo && c.layout != Plain:
		c.interfaces(services, unit, named, hosts)
	default:
		c.applications(services, unit, hosts)
	}
	for _, svc := range services {
		svc.HealthUnknown = info.ReachProtectionThreshold
		slices.SortFunc(svc.Instances, func(a, b model.Instance) int { return strings.Compare(a.ID, b.ID) })
		distinct(svc.Instances)
	}
	return services, nil
}

// distinct gives each instance an ID of its own. A second one with the same is a mistake of whoever registered it.
func distinct(list []model.Instance) {
	seen := make(map[string]bool, len(list))
	for i := range list {
		if inst := &list[i]; seen[inst.ID] {
			inst.ID = fmt.Sprintf("%s#%d", inst.ID, i)
			inst.Problem = cmp.Or(inst.Problem, reason.Problem(reason.MalformedName, "its address, port and cluster are those of another instance"))
		}
		seen[list[i].ID] = true
	}
}

// read reads the instances of the clusters that are wanted.
func (c converter) read(raw []json.RawMessage) []*instance {
	list := make([]*instance, 0, len(raw))
	for i, text := range raw {
		inst := readInstance(text)
		if inst.problem != "" && inst.IP == "" {
			inst.ClusterName = "#" + strconv.Itoa(i) // Nothing else tells it from others.
		} else if len(c.clusters) > 0 && !slices.Contains(c.clusters, inst.ClusterName) {
			continue
		}
		list = append(list, inst)
	}
	return list
}

// readInstance reads one instance and says what is wrong with it.
func readInstance(text []byte) *instance {
	inst := &instance{}
	if err := json.Unmarshal(text, inst); err != nil {
		return &instance{problem: reason.Problem(reason.MalformedName, decodeProblem(err))}
	}
	inst.ClusterName = cmp.Or(inst.ClusterName, defaultCluster)
	size := 0
	for k, v := range inst.Metadata {
		size += len(k) + len(v)
	}
	var wrong string
	inst.weight, wrong = readWeight(inst.Weight)
	switch {
	case inst.IP == "":
		inst.problem = reason.Problem(reason.AddressMissing, "the instance has no IP address")
	case inst.Port < 1 || inst.Port > math.MaxUint16:
		inst.problem = reason.Problem(reason.PortOutOfRange, fmt.Sprintf("port %d is not between 1 and %d", inst.Port, math.MaxUint16))
	case wrong != "":
		inst.problem = reason.Problem(reason.MalformedName, wrong)
	case size > maxMetadata:
		inst.problem = reason.Problem(reason.MetadataTooLarge, fmt.Sprintf("%d bytes of metadata, %d are accepted", size, maxMetadata))
		inst.Metadata = nil
	}
	return inst
}

// decodeProblem says what is wrong with an instance, without its content.
func decodeProblem(err error) string {
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && kind.Field != "" {
		return fmt.Sprintf("%s is a %s", kind.Field, kind.Value)
	}
	return "not what Nacos says of an instance"
}

// readWeight reads a weight. Nacos takes, and repeats, what is no number.
func readWeight(raw json.RawMessage) (weight uint32, wrong string) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return DefaultWeight, ""
	}
	w, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(w) || w < 0 {
		return 0, "the weight is not a number of at least 0"
	}
	if w == 0 {
		return 0, ""
	}
	return uint32(max(1, math.Round(min(w, maxWeight)*DefaultWeight))), ""
}

// health is what Nacos says of an instance. It lists what is disabled to nobody but its console.
func (i *instance) health() model.Health {
	switch {
	case i.Enabled != nil && !*i.Enabled:
		return model.Disabled
	case i.Healthy != nil && !*i.Healthy:
		return model.Unhealthy
	}
	return model.Healthy
}

// id is Nacos's identity of an instance: address, port and cluster.
func (i *instance) id() string {
	id := net.JoinHostPort(i.IP, strconv.FormatInt(i.Port, 10))
	if i.ClusterName != defaultCluster {
		id += "#" + i.ClusterName
	}
	return id
}

// port is the port under a protocol. A number that no port has is one that there is not.
func (i *instance) port(protocol string) model.Port {
	return model.Port{Protocol: strings.ToLower(protocol), Number: uint32(min(max(i.Port, 0), math.MaxUint32))}
}

// model is the instance with one port.
func (i *instance) model(protocol string) model.Instance {
	meta := i.Metadata
	if i.ClusterName != defaultCluster && i.IP != "" {
		if meta == nil {
			meta = make(map[string]string, 1)
		}
		meta[metaCluster] = i.ClusterName
	}
	return model.Instance{
		ID: i.id(), Address: i.IP, Ports: []model.Port{i.port(protocol)}, Weight: i.weight, Health: i.health(), Metadata: meta, Problem: i.problem,
	}
}

// applications sorts the instances of a unit that is named as its application is, by how they were registered.
func (c converter) applications(services map[string]*model.Service, unit string, hosts []*instance) {
	for _, h := range hosts {
		name := unit
		var inst model.Instance
		switch ofDubbo := isApplication(h.Metadata); {
		case ofDubbo && (c.layout == Auto || c.layout == DubboApplication):
			if c.layout == Auto {
				name = applicationName(unit)
			}
			inst = h.application()
		case c.layout == DubboApplication && h.problem == "":
			continue
		default:
			inst = h.model(c.protocol(h.Metadata))
		}
		if services[name] == nil {
			services[name] = c.service(unit, name)
		}
		services[name].Instances = append(services[name].Instances, inst)
	}
}

// protocol is what an instance speaks that no Dubbo provider is, empty when nothing says so. Spring Cloud has web servers only.
func (c converter) protocol(meta map[string]string) string {
	spring := c.layout == SpringCloud || c.layout == Auto && meta["preserved.register.source"] == "SPRING_CLOUD"
	switch {
	case !spring || meta["protocol"] != "":
		return ""
	case dubboprovider.True(meta["secure"]):
		return "https"
	}
	return "http"
}
