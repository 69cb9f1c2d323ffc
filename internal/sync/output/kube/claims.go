package kube

import (
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// claim is which hosts an object of somebody else has, and who sees it. A wildcard host claims only itself: istiod prefers an exact
// host, and a catch-all is meant to be refined.
type claim struct {
	hosts    []string
	exportTo []string
}

// claims are the hosts that one watch tells of. It may be used from any goroutine.
type claims struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]claim
	byHost map[string][]types.NamespacedName
}

func newClaims() *claims {
	return &claims{byName: map[types.NamespacedName]claim{}, byHost: map[string][]types.NamespacedName{}}
}

// set replaces what an object claims; an empty claim removes it.
func (c *claims) set(name types.NamespacedName, claim claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replace(name, claim)
}

func (c *claims) replace(name types.NamespacedName, claim claim) {
	for _, host := range c.byName[name].hosts {
		left := slices.DeleteFunc(c.byHost[host], func(n types.NamespacedName) bool { return n == name })
		if len(left) == 0 {
			delete(c.byHost, host)
		} else {
			c.byHost[host] = left
		}
	}
	delete(c.byName, name)
	if len(claim.hosts) == 0 {
		return
	}
	c.byName[name] = claim
	for _, host := range claim.hosts {
		c.byHost[host] = append(c.byHost[host], name)
	}
}

// reset replaces everything.
func (c *claims) reset(items []*item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byName)
	clear(c.byHost)
	for _, i := range items {
		c.replace(i.name(), i.claim)
	}
}

// find returns who else has the host of o in view of those who would see o. An object of o's own name does not count: the API server
// itself refuses a second one.
func (c *claims) find(o *translate.Object) (owner types.NamespacedName, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.byHost[strings.ToLower(o.ServiceEntry.Host)] {
		if name.Namespace == o.Key.Namespace && name.Name == o.Key.Name {
			continue
		}
		if inView(o.ServiceEntry.ExportTo, o.Key.Namespace, c.byName[name].exportTo, name.Namespace) {
			return name, true
		}
	}
	return types.NamespacedName{}, false
}

// inView reports whether some namespace sees both of two objects, by their exportTo and their own namespaces.
func inView(a []string, aNamespace string, b []string, bNamespace string) bool {
	aAll, aSeen := viewers(a, aNamespace)
	bAll, bSeen := viewers(b, bNamespace)
	switch {
	case aAll && bAll:
		return true
	case aAll:
		return len(bSeen) > 0
	case bAll:
		return len(aSeen) > 0
	}
	return slices.ContainsFunc(aSeen, func(namespace string) bool { return slices.Contains(bSeen, namespace) })
}

// viewers returns the namespaces that see an object. Without exportTo everybody does, unless the mesh configuration says otherwise,
// which we do not know.
func viewers(exportTo []string, own string) (all bool, namespaces []string) {
	if len(exportTo) == 0 {
		return true, nil
	}
	for _, to := range exportTo {
		switch to {
		case "*":
			return true, nil
		case ".":
			namespaces = append(namespaces, own)
		case "~":
		default:
			namespaces = append(namespaces, to)
		}
	}
	return false, namespaces
}
