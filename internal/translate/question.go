package translate

import (
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// HostOf returns the host that a service of a source gets, by the rules, template and suffix of its Registry; empty with a reason when it can
// have none. Whether it is published under that host is another question.
func HostOf(svc *model.Service, reg *Registry, src *Source) (string, reason.Reason) {
	host, f := reg.hostOf(svc, src, reg.settingsOf(svc.Ref.Name).host)
	if f != nil {
		return host, f.reason
	}
	return host, ""
}
