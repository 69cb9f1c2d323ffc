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
	// wanted are the objects of which find has returned that they are in our way.
	wanted map[types.NamespacedName]bool
}

func newClaims() *claims {
	return &claims{
		byName: map[types.NamespacedName]claim{}, byHost: map[string][]types.NamespacedName{},
		wanted: map[types.NamespacedName]bool{},
	}
}

// set replaces what an object claims; an empty claim removes it. It reports whether the object was in our way, and perhaps is no more.
func (c *claims) set(name types.NamespacedName, claim claim) (freed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replace(name, claim)
	freed = c.wanted[name]
	delete(c.wanted, name)
	return freed
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

// reset replaces everything, and reports what set does.
func (c *claims) reset(items []*item) (freed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	freed = len(c.wanted) > 0
	clear(c.wanted)
	clear(c.byName)
	clear(c.byHost)
	for _, i := range items {
		c.replace(i.name(), i.claim)
	}
	return freed
}

// find returns who else has the name of o, or its host in view of those who would see o.
func (c *claims) find(o *translate.Object) (owner types.NamespacedName, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := types.NamespacedName{Namespace: o.Key.Namespace, Name: o.Key.Name}
	if _, taken := c.byName[own]; taken {
		c.wanted[own] = true
		return own, true
	}
	for _, name := range c.byHost[strings.ToLower(o.ServiceEntry.Host)] {
		if inView(o.ServiceEntry.ExportTo, o.Key.Namespace, c.byName[name].exportTo, name.Namespace) {
			c.wanted[name] = true
			return name, true
		}
	}
	return types.NamespacedName{}, false
}

// inView reports whether some namespace sees both of two objects, by their exportTo and their own namespaces.
func inView(a []string, aNamespace string, b []string, bNamespace string) bool {
	aAll, aSeen := translate.Viewers(a, aNamespace)
	bAll, bSeen := translate.Viewers(b, bNamespace)
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
