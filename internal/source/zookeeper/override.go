package zookeeper

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/dubbourl"
)

const (
	anyHost  = "0.0.0.0"
	anyValue = "*"
	// conditionPrefix marks a parameter of an override that is compared with the provider's and not set.
	conditionPrefix = "~"
)

// override is one rule of a configurators node. Of what Dubbo lets a rule change, weight and disabled decide where traffic goes;
// everything else is for the Dubbo processes themselves.
type override struct {
	host           string
	port, priority int
	group, version string
	application    string
	conditions     map[string]string
	weight         *uint32
	disabled       *bool
	node           string // The last word of the order, so that it is total.
}

// parseOverride reads a configurator node. It returns nil for what changes nothing here: rules that are switched off, other schemes,
// and text that is no URL.
func parseOverride(node string) *override {
	u, err := dubbourl.Parse(node)
	if err != nil || !strings.EqualFold(u.Scheme, "override") {
		return nil
	}
	if v := u.Params["enabled"]; v != "" && !dubboprovider.True(v) {
		return nil
	}
	if side := u.Params["side"]; side == "consumer" {
		return nil
	}
	o := &override{
		host: u.Host, port: u.Port, node: node,
		group: u.Params["group"], version: dubboprovider.Version(u.Params["version"]), application: u.Params["application"],
	}
	o.priority, _ = strconv.Atoi(u.Params["priority"])
	if v := u.Params["disabled"]; v != "" {
		disabled := dubboprovider.True(v)
		o.disabled = &disabled
	}
	if _, err := strconv.ParseInt(u.Params["weight"], 10, 32); err == nil {
		weight := dubboprovider.Weight(u.Params["weight"], dubboprovider.DefaultWeight)
		o.weight = &weight
	}
	if o.disabled == nil && o.weight == nil {
		return nil
	}
	for key, value := range u.Params {
		if name, ok := strings.CutPrefix(key, conditionPrefix); ok && value != anyValue {
			if o.conditions == nil {
				o.conditions = make(map[string]string)
			}
			o.conditions[name] = value
		}
	}
	return o
}

// sortOverrides puts rules in Dubbo's order, a later one winning: by host, so that a specific one comes after 0.0.0.0, then by
// priority. Equal ones are ordered by their text, so that two readers agree.
func sortOverrides(list []*override) {
	slices.SortFunc(list, func(a, b *override) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.priority, b.priority), cmp.Compare(a.node, b.node))
	})
}

// matches follows Dubbo's AbstractConfigurator. A rule with a port means the providers at that port, of its host or of all hosts. A
// rule without a port means all providers when its host is 0.0.0.0; any other host is then that of a consumer, which is no business
// of ours.
func (o *override) matches(p *provider) bool {
	switch {
	case o.port != 0 && o.port != p.port,
		o.port == 0 && o.host != anyHost,
		o.host != anyHost && o.host != p.host:
		return false
	}
	if !matchesWord(o.group, p.group) || !matchesWord(o.version, p.version) {
		return false
	}
	if o.application != "" && !matchesWord(o.application, p.application) {
		return false
	}
	for key, want := range o.conditions {
		if p.meta[key] != want {
			return false
		}
	}
	return true
}

// matchesWord: a rule without group or version is for services without one, as in Dubbo.
func matchesWord(rule, word string) bool { return rule == anyValue || rule == word }

// apply returns the weight and the state of p under the rules, which are in order.
func apply(p *provider, rules []*override) (weight uint32, disabled bool) {
	weight, disabled = p.weight, p.disabled
	for _, o := range rules {
		if !o.matches(p) {
			continue
		}
		if o.weight != nil {
			weight = *o.weight
		}
		if o.disabled != nil {
			disabled = *o.disabled
		}
	}
	return weight, disabled
}
