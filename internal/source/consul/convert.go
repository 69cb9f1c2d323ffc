package consul

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// errNothing: a service that the listing has, and no instance of it in the answer. The listing has services with instances only, so one
// of the two is outdated, or something hides the instances without saying so (Consul before 1.11 does).
var errNothing = fmt.Errorf("%w: the catalogue lists the service, but no instance of it can be read; the token may lack node:read", source.ErrUnauthorized)

// entry is what is read of one element of an answer about a service. The types of the client library hold much more, and fail as a whole
// when the definition of a check, which nobody needs here, is not what they expect.
type entry struct {
	Node struct {
		Node            string
		Address         string
		TaggedAddresses map[string]string
		Locality        *api.Locality
	}
	Service struct {
		Kind            api.ServiceKind
		ID              string
		Service         string
		Tags            []string
		Meta            map[string]string
		Port            int64
		Ports           api.ServicePorts
		Address         string
		TaggedAddresses map[string]api.ServiceAddress
		Weights         *api.AgentWeights
		Locality        *api.Locality
	}
	Checks []struct{ CheckID, Status string }
}

// converter makes services of answers. It is pure.
type converter struct {
	id          model.SourceID
	addressFrom string
	// filtered says that a filter may leave nothing of a service.
	filtered bool
}

func (c converter) ref(name string) model.Ref { return model.Ref{Source: c.id, Unit: name, Name: name} }

// listing returns the names of the services, sorted, without Consul's own.
func (c converter) listing(body []byte, wholeDatacenter bool) ([]string, error) {
	if !opens(body, '{') {
		return nil, fmt.Errorf("%w: the catalogue is no object", source.ErrMalformed)
	}
	var services map[string]json.RawMessage
	if err := json.Unmarshal(body, &services); err != nil {
		return nil, fmt.Errorf("%w: catalogue: %w", source.ErrMalformed, err)
	}
	if len(services) == 0 && wholeDatacenter {
		return nil, fmt.Errorf(`%w: the catalogue is empty, without even the service "consul" of the servers; the token may lack service:read`,
			source.ErrUnauthorized)
	}
	delete(services, "consul")
	return slices.Sorted(maps.Keys(services)), nil
}

// service makes a service of the answer about name; nil when there are only proxies and gateways, which are no service of an
// application.
func (c converter) service(name string, body []byte) (*model.Service, error) {
	if !opens(body, '[') {
		return nil, fmt.Errorf("%w: the answer is no list", source.ErrMalformed)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	svc := &model.Service{Ref: c.ref(name)}
	others := 0
	seen := make(map[string]bool, len(list))
	for i, raw := range list {
		inst, ours, err := c.instance(name, raw)
		if err != nil {
			return nil, err
		}
		if !ours {
			others++
			continue
		}
		if inst.ID == "" || seen[inst.ID] {
			inst.ID = fmt.Sprintf("%s#%d", inst.ID, i)
			inst.Problem = cmp.Or(inst.Problem, reason.Problem(reason.MalformedName, "node and service ID are missing, or those of another instance"))
		}
		seen[inst.ID] = true
		svc.Instances = append(svc.Instances, inst)
	}
	if len(svc.Instances) == 0 {
		if others > 0 {
			return nil, nil //nolint:nilnil // a service of the mesh's own is nothing, and no error
		}
		if !c.filtered {
			return nil, errNothing
		}
	}
	slices.SortFunc(svc.Instances, func(a, b model.Instance) int { return strings.Compare(a.ID, b.ID) })
	return svc, nil
}

func opens(body []byte, with byte) bool {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == with
}

// instance makes an instance of one entry; ours is false for what does not belong to the service.
func (c converter) instance(name string, raw []byte) (inst model.Instance, ours bool, err error) {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return model.Instance{Problem: reason.Problem(reason.MalformedName, decodeProblem(err))}, true, nil
	}
	switch {
	case e.Service.Service != name && strings.EqualFold(e.Service.Service, name):
		// Consul looks names up without regard to case and lists them with it.
		return inst, false, nil
	case e.Service.Service != name:
		return inst, false, fmt.Errorf("%w: asked for %q, answered about %q", source.ErrMalformed, name, e.Service.Service)
	case !application(e.Service.Kind):
		return inst, false, nil
	}
	if e.Node.Node != "" && e.Service.ID != "" {
		// A service ID is unique on its node only. Escaped, no node has a slash.
		inst.ID = url.PathEscape(e.Node.Node) + "/" + e.Service.ID
	}
	var problem string
	inst.Address, inst.Ports, problem = e.place(c.addressFrom)
	inst.Health, inst.Weight = e.health()
	inst.Metadata = e.metadata()
	inst.Locality = e.locality()
	if inst.Health == unknownHealth {
		inst.Health = model.Unhealthy
		problem = cmp.Or(problem, reason.Problem(reason.MalformedName, "a check has a status that Consul does not have"))
	}
	inst.Problem = cmp.Or(inst.Problem, problem, source.MetadataProblem(inst.Metadata))
	return inst, true, nil
}

// decodeProblem says what is wrong with an entry, without its content.
func decodeProblem(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return fmt.Sprintf("%s is a %s", kind.Field, kind.Value)
	}
	return "not what Consul says of an instance"
}

// application says whether instances of this kind are what applications call.
func application(kind api.ServiceKind) bool {
	switch kind {
	case api.ServiceKindConnectProxy, api.ServiceKindMeshGateway, api.ServiceKindTerminatingGateway,
		api.ServiceKindIngressGateway, api.ServiceKindAPIGateway:
		return false
	}
	return true
}

// place returns address and ports, and what is wrong with them.
func (e *entry) place(addressFrom string) (address string, ports []model.Port, problem string) {
	address = cmp.Or(e.Service.Address, e.Node.Address)
	var taggedPort int
	if addressFrom != AddressFromService {
		tagged := e.Service.TaggedAddresses[addressFrom]
		address, taggedPort = tagged.Address, tagged.Port
		if address == "" && e.Service.Address == "" {
			// Only what has no address of its own is where its node is.
			address = e.Node.TaggedAddresses[addressFrom]
		}
	}
	switch {
	case len(e.Service.Ports) > 0:
		ports = severalPorts(e.Service.Ports)
	case taggedPort != 0:
		ports = []model.Port{port("", int64(taggedPort))}
	default:
		ports = []model.Port{port("", e.Service.Port)}
	}
	switch {
	case address == "":
		problem = reason.Problem(reason.AddressMissing, fmt.Sprintf("neither the service nor its node has the address %q", addressFrom))
	case !slices.ContainsFunc(ports, func(p model.Port) bool { return p.Number > 0 && p.Number <= math.MaxUint16 }):
		problem = reason.Problem(reason.PortOutOfRange, fmt.Sprintf("port %d is not between 1 and %d", ports[0].Number, math.MaxUint16))
	}
	return address, ports, problem
}

// severalPorts returns the ports of an instance that has several, the default one first.
func severalPorts(list api.ServicePorts) []model.Port {
	ports := make([]model.Port, 0, len(list))
	for _, p := range list {
		made := port(p.Name, int64(p.Port))
		if p.Default {
			ports = slices.Insert(ports, 0, made)
		} else {
			ports = append(ports, made)
		}
	}
	return ports
}

// port makes a port. A number that no port has stays one.
func port(name string, number int64) model.Port {
	if number < 0 || number > math.MaxUint32 {
		number = 0
	}
	p := model.Port{Name: name, Number: uint32(number)}
	// As in Kubernetes, the name of one of several ports says what it speaks, alone or before a dash.
	word, _, _ := strings.Cut(strings.ToLower(name), "-")
	switch word {
	case "tcp", "tls", "http", "http2", "https", "grpc", "dubbo", "tri":
		p.Protocol = word
	}
	return p
}

// unknownHealth is what health returns for a status that Consul does not have.
const unknownHealth = model.Health(math.MaxUint8)

// health sums up the checks of the instance and of its node as Consul does, and returns the weight that goes with the result.
func (e *entry) health() (model.Health, uint32) {
	checks := make(api.HealthChecks, len(e.Checks))
	for i, c := range e.Checks {
		checks[i] = &api.HealthCheck{CheckID: c.CheckID, Status: c.Status}
	}
	w := e.Service.Weights
	if w == nil || *w == (api.AgentWeights{}) {
		w = &api.AgentWeights{Passing: 1, Warning: 1} // What Consul takes for nothing.
	}
	switch checks.AggregatedStatus() {
	case api.HealthPassing:
		return model.Healthy, weight(w.Passing)
	case api.HealthWarning:
		return model.Warning, weight(w.Warning)
	case api.HealthMaint:
		return model.Maintenance, weight(w.Passing)
	case api.HealthCritical:
		return model.Unhealthy, weight(w.Passing)
	}
	return unknownHealth, weight(w.Passing)
}

func weight(w int) uint32 { return uint32(min(max(w, 0), math.MaxUint16)) }

// metadata is the service's metadata, and of its tags those of the form key=value whose key it does not have. Nodes' metadata is left
// out: it changes with each upgrade of an agent.
func (e *entry) metadata() map[string]string {
	meta := e.Service.Meta
	cloned := false
	for _, tag := range e.Service.Tags {
		key, value, ok := strings.Cut(tag, "=")
		if !ok || key == "" {
			continue
		}
		if _, known := meta[key]; known {
			continue
		}
		if !cloned {
			meta, cloned = maps.Clone(meta), true
			if meta == nil {
				meta = make(map[string]string)
			}
		}
		meta[key] = value
	}
	if len(meta) == 0 {
		return nil
	}
	return meta
}

func (e *entry) locality() model.Locality {
	l := cmp.Or(e.Service.Locality, e.Node.Locality)
	if l == nil {
		return model.Locality{}
	}
	return model.Locality{Region: l.Region, Zone: l.Zone}
}
