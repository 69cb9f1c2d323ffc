package document

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// Healths returns the words of Instance.Health and what they mean.
func Healths() map[string]model.Health {
	return map[string]model.Health{
		"healthy": model.Healthy, "warning": model.Warning, "unhealthy": model.Unhealthy, "starting": model.Starting,
		"outOfService": model.OutOfService, "maintenance": model.Maintenance, "disabled": model.Disabled,
	}
}

// native reads a Document. What is not a document with a list of services, each with a name, is an error as a whole: of the others
// nobody could say whether they are gone.
func (r Reader) native(data []byte) (*listing, error) {
	document, err := members(data, "the document")
	if err != nil {
		return nil, err
	}
	if document["services"] == nil {
		return nil, errors.New("the document has no field services")
	}
	list, err := elements(document["services"], "services")
	if err != nil {
		return nil, err
	}
	l := r.newListing()
	healths := Healths()
	for i, raw := range list {
		what := "services[" + strconv.Itoa(i) + "]"
		service, err := members(raw, what)
		if err != nil {
			return nil, err
		}
		name, ok := text(service["name"])
		if !ok || name == "" {
			return nil, fmt.Errorf("%s has no name", what)
		}
		if l.services[name] != nil {
			l.fail(name, errors.New("the service is listed twice"))
			continue
		}
		if err := fill(l.service(name), service, healths); err != nil {
			l.fail(name, err)
		}
	}
	return l, nil
}

// text reads a text; it is not ok when there is none.
func text(raw json.RawMessage) (string, bool) {
	var s *string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// fill reads metadata and instances of a service.
func fill(svc *model.Service, service map[string]json.RawMessage, healths map[string]model.Health) error {
	if raw := service["metadata"]; raw != nil {
		if err := json.Unmarshal(raw, &svc.Metadata); err != nil {
			return fmt.Errorf("metadata: %w", problem(err))
		}
	}
	if service["instances"] == nil {
		return errors.New("the service has no field instances")
	}
	list, err := elements(service["instances"], "instances")
	if err != nil {
		return err
	}
	svc.Instances = make([]model.Instance, len(list))
	for i, raw := range list {
		svc.Instances[i] = instance(raw, healths)
	}
	return nil
}

// instance reads one instance. Whatever is wrong with it is its Problem.
func instance(raw json.RawMessage, healths map[string]model.Health) model.Instance {
	var in Instance
	if !strings.HasPrefix(string(raw), "{") {
		return model.Instance{Problem: reason.Problem(reason.MalformedName, "the instance is no object")}
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return model.Instance{ID: in.ID, Address: in.Address, Problem: reason.Problem(reason.MalformedName, problem(err).Error())}
	}
	out := model.Instance{ID: in.ID, Address: in.Address, Weight: 1, Metadata: in.Metadata}
	if in.Locality != nil {
		out.Locality = model.Locality{Region: in.Locality.Region, Zone: in.Locality.Zone, Subzone: in.Locality.Subzone}
	}
	var wrong string
	if out.Ports, wrong = ports(in.Ports); wrong != "" {
		out.Problem = reason.Problem(reason.PortOutOfRange, wrong)
	}
	if in.Address == "" {
		out.Problem = reason.Problem(reason.AddressMissing, "the instance has no address")
	}
	if w := in.Weight; w != nil {
		if !whole(*w, 0, math.MaxUint32) {
			out.Problem = cmp.Or(out.Problem, reason.Problem(reason.MalformedName, "the weight is no whole number of 0 or more"))
		} else {
			out.Weight = uint32(*w)
		}
	}
	if in.Health != "" {
		health, known := healths[in.Health]
		if !known {
			out.Problem = cmp.Or(out.Problem, reason.Problem(reason.MalformedName,
				fmt.Sprintf("health is %.40q; it may be %s", in.Health, strings.Join(slices.Sorted(maps.Keys(healths)), ", "))))
			health = model.Unhealthy
		}
		out.Health = health
	}
	out.Problem = cmp.Or(out.Problem, source.MetadataProblem(in.Metadata))
	return out
}

// ports returns the ports, and what is wrong with them.
func ports(list []Port) (out []model.Port, wrong string) {
	if len(list) == 0 {
		return nil, "the instance has no port"
	}
	out = make([]model.Port, len(list))
	for i, p := range list {
		out[i] = model.Port{Name: p.Name, Protocol: strings.ToLower(p.Protocol)}
		if whole(p.Number, 1, math.MaxUint16) {
			out[i].Number = uint32(p.Number)
		} else {
			wrong = fmt.Sprintf("port %v is not between 1 and %d", p.Number, math.MaxUint16)
		}
	}
	return out, wrong
}

// whole reports whether x is a whole number within bounds.
func whole(x, least, most float64) bool { return x == math.Trunc(x) && x >= least && x <= most }

// finish gives each instance an ID that no other one has, and puts them in an order that is not that of the document.
//
// An instance without one is named by its place. Of those that share a place all are good, and translate takes the first; of those that
// share an ID which they were given, one only can be what it says.
func finish(svc *model.Service) {
	taken := make(map[string]bool, len(svc.Instances))
	var unnamed []*model.Instance
	for i := range svc.Instances {
		switch inst := &svc.Instances[i]; {
		case inst.ID == "":
			inst.ID = cmp.Or(place(inst), "instance")
			unnamed = append(unnamed, inst)
		case taken[inst.ID]:
			inst.Problem = cmp.Or(inst.Problem, reason.Problem(reason.MalformedName, "another instance of the service has the same id"))
			unnamed = append(unnamed, inst)
		default:
			taken[inst.ID] = true
		}
	}
	namesakes := map[string]int{}
	for _, inst := range unnamed {
		id := inst.ID
		for n := namesakes[id]; taken[inst.ID]; n++ {
			namesakes[id] = n + 1
			inst.ID = id + "#" + strconv.Itoa(n+2)
		}
		taken[inst.ID] = true
	}
	slices.SortFunc(svc.Instances, func(a, b model.Instance) int { return strings.Compare(a.ID, b.ID) })
}

// place is the address and first port of an instance, as far as they are known.
func place(inst *model.Instance) string {
	if len(inst.Ports) == 0 {
		return inst.Address
	}
	return net.JoinHostPort(inst.Address, strconv.FormatUint(uint64(inst.Ports[0].Number), 10))
}
