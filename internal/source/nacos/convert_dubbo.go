package nacos

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
)

// What Dubbo 3 writes into the metadata of an application's instances.
const (
	dubboRevision  = "dubbo.metadata.revision"
	dubboEndpoints = "dubbo.endpoints"
	// dubboMetadataURL is how the metadata of the application is asked for: nobody here does, and it changes with each start.
	dubboMetadataURL = "dubbo.metadata-service.url-params"
	// noRevision is the revision of an application that has not exported anything yet.
	noRevision = "0"
)

// isApplication reports whether Dubbo registered an instance for an application.
func isApplication(meta map[string]string) bool {
	return meta[dubboRevision] != "" || meta[dubboEndpoints] != ""
}

// application is an instance of an application, with all of its ports.
func (i *instance) application() model.Instance {
	var endpoints []struct {
		Port     int64  `json:"port"`
		Protocol string `json:"protocol"`
	}
	text := i.Metadata[dubboEndpoints]
	if text != "" {
		if err := json.Unmarshal([]byte(text), &endpoints); err != nil && i.problem == "" {
			i.problem = reason.Problem(reason.MalformedName, dubboEndpoints+" is no list of ports")
		}
	}
	starting := i.Metadata[dubboRevision] == noRevision
	dubboprovider.Metadata(i.Metadata)
	delete(i.Metadata, dubboMetadataURL)
	delete(i.Metadata, dubboEndpoints)
	inst := i.model("dubbo")
	for n, e := range endpoints {
		if n == 0 {
			inst.Ports = inst.Ports[:0]
		}
		if e.Port < 1 || e.Port > math.MaxUint16 {
			e.Port = 0
		}
		inst.Ports = append(inst.Ports, model.Port{Protocol: strings.ToLower(e.Protocol), Number: uint32(e.Port)}) //nolint:gosec // in range
	}
	if starting && inst.Health == model.Healthy {
		inst.Health = model.Starting
	}
	return inst
}

// offer is a provider of an interface: one protocol at one port.
type offer struct {
	dubboprovider.Offer

	inst model.Instance
}

// interfaces makes the services of an interface: by what each provider says of itself, or else by the name of the unit.
func (c converter) interfaces(services map[string]*model.Service, unit string, named dubboprovider.Service, hosts []*instance) {
	type place struct{ key, address string }
	places := map[place][]offer{}
	for _, h := range hosts {
		own := named
		if h.Metadata["interface"] != "" {
			own = dubboprovider.Service{
				Interface: named.Interface, Group: h.Metadata["group"], Version: dubboprovider.Version(h.Metadata["version"]),
			}
		}
		scheme := strings.ToLower(h.Metadata["protocol"])
		if scheme == "" {
			scheme = "dubbo"
		}
		if !dubboprovider.Is(scheme, h.Metadata) {
			continue
		}
		key := own.Key()
		if services[key] == nil {
			services[key] = &model.Service{Ref: c.ref(unit, key), Metadata: own.Metadata()}
		}
		o := h.provider(scheme)
		if o.inst.Problem != "" {
			services[key].Instances = append(services[key].Instances, o.inst)
			continue
		}
		at := place{key, h.IP}
		places[at] = append(places[at], o)
	}
	for at, offers := range places {
		for _, process := range dubboprovider.Processes(offers, func(o offer) dubboprovider.Offer { return o.Offer }) {
			inst := process[0].inst
			inst.Ports = slices.Clone(inst.Ports)
			for _, o := range process[1:] {
				inst.Ports = append(inst.Ports, o.inst.Ports...)
			}
			services[at.key].Instances = append(services[at.key].Instances, inst)
		}
	}
}

// provider is a provider of an interface. Its weight is Dubbo's, and Nacos's a factor of it.
func (i *instance) provider(scheme string) offer {
	pid := i.Metadata["pid"]
	disabled := dubboprovider.Disabled(i.Metadata)
	weight := uint64(dubboprovider.Weight(i.Metadata["weight"], dubboprovider.DefaultWeight))
	switch {
	case weight == 0 || i.weight == 0:
		weight = 0
	case i.weight != DefaultWeight:
		weight = min(max(weight*uint64(i.weight)/DefaultWeight, 1), math.MaxUint32)
	}
	dubboprovider.Metadata(i.Metadata)
	inst := i.model(scheme)
	inst.ID = scheme + "://" + inst.ID
	inst.Weight = uint32(weight)
	if disabled {
		inst.Health = model.Disabled
	}
	return offer{
		Offer: dubboprovider.Offer{Scheme: scheme, Port: int(i.Port), PID: pid, State: int(inst.Health)},
		inst:  inst,
	}
}
