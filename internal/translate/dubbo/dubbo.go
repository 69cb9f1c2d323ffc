// Package dubbo says how Dubbo services differ from all others in the objects: how their hosts are named, and how a data plane wants
// their ports. Each data plane has a file and a constructor of its own; everything else is package translate's.
package dubbo

import (
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// bareSuffix stands behind interfaces without a package, which are no legal hosts by themselves.
const bareSuffix = "dubbo"

// Interface returns the interface of a service, or its name when the source did not say.
func Interface(svc *model.Service) string {
	if name := svc.Metadata[model.MetaDubboInterface]; name != "" {
		return name
	}
	return svc.Ref.Name
}

// Named reports whether a service is one of Dubbo's interfaces, so that its host is named by interface, group and version.
func Named(svc *model.Service) bool { return svc.Metadata[model.MetaDubboInterface] != "" }

// Served reports whether Dubbo's providers offer a service: an interface, or all that an application has.
func Served(svc *model.Service) bool {
	return Named(svc) || svc.Metadata[model.MetaDubboApplication] != ""
}

// Host returns the default host of a service, not yet made legal, as what stands before the suffix and the suffix:
// "[v-<version>.][g-<group>.]<interface>", and "dubbo" for an interface without a dot.
func Host(svc *model.Service) (name, suffix string) {
	iface := Interface(svc)
	name = iface
	if group := svc.Metadata[model.MetaDubboGroup]; group != "" {
		name = "g-" + group + "." + name
	}
	if version := svc.Metadata[model.MetaDubboVersion]; version != "" {
		name = "v-" + version + "." + name
	}
	if !strings.Contains(iface, ".") {
		suffix = bareSuffix
	}
	return name, suffix
}

// Port is how a provider's port is published.
type Port struct {
	// Prefix stands before the number in the port's name.
	Prefix string
	// Protocol is in Istio's words.
	Protocol string
}

// Rendering is how one data plane wants Dubbo services.
type Rendering struct {
	// Port says how a port is published that providers registered with the given scheme ("dubbo", "tri", …), in lower case.
	Port func(scheme string) Port
	// ExportTo is the default of the objects that have a TCP port.
	ExportTo []string
}
