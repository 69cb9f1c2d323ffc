// Package dubboprovider reads what providers of Apache Dubbo register of themselves, in whatever registry: the parameters of their URLs,
// which of them matter, and which providers are one process. It is pure.
package dubboprovider

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

const (
	// DefaultWeight is Dubbo's weight of a provider that names none.
	DefaultWeight = 100
	// unsetVersion is how Dubbo writes "no version" on the wire; it means the same as an absent one.
	unsetVersion = "0.0.0"
)

// Service is how Dubbo names a service.
type Service struct{ Interface, Group, Version string }

// Key is Dubbo's name of a service, "group/interface:version" without the parts that are blank.
func (s Service) Key() string {
	key := s.Interface
	if s.Group != "" {
		key = s.Group + "/" + key
	}
	if s.Version != "" {
		key += ":" + s.Version
	}
	return key
}

// Metadata is what model.Service.Metadata says of a service.
func (s Service) Metadata() map[string]string {
	meta := map[string]string{model.MetaDubboInterface: s.Interface}
	if s.Group != "" {
		meta[model.MetaDubboGroup] = s.Group
	}
	if s.Version != "" {
		meta[model.MetaDubboVersion] = s.Version
	}
	return meta
}

// Is reports whether scheme and parameters are those of a provider, and not of a consumer, a rule or an in-JVM service.
func Is(scheme string, params map[string]string) bool {
	switch scheme {
	case "injvm", "empty", "consumer", "override", "absent", "route", "condition", "script", "admin":
		return false
	}
	category := params["category"]
	return params["side"] != "consumer" && (category == "" || strings.Contains(category, "providers"))
}

// Version makes the two ways to say "no version" one.
func Version(v string) string {
	if v == unsetVersion {
		return ""
	}
	return v
}

// Weight reads a weight as Dubbo does: below zero is zero. What is no number counts as unset.
func Weight(text string, unset uint32) uint32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return unset
	}
	return uint32(max(n, 0))
}

// Disabled is Dubbo's rule: "disabled" decides when it is there, else "enabled", which defaults to true.
func Disabled(params map[string]string) bool {
	if v := params["disabled"]; v != "" {
		return True(v)
	}
	v := params["enabled"]
	return v != "" && !True(v)
}

// True reads a flag.
func True(v string) bool { return strings.EqualFold(v, "true") }

// Metadata removes from params what must never be metadata and returns the size of the rest: values that differ after every
// restart (a restart is no change), keys that only repeat another one, and secrets.
func Metadata(params map[string]string) int {
	size := 0
	for key, value := range params {
		if isVolatile(key) || isSecret(key) || strings.HasPrefix(key, "default.") {
			delete(params, key)
			continue
		}
		size += len(key) + len(value)
	}
	return size
}

func isVolatile(key string) bool {
	switch key {
	case "timestamp", "remote.timestamp", "pid", "warmup", "bind.ip", "bind.port", "qos.port":
		return true
	}
	return false
}

// isSecret is generous on purpose: metadata that is lost can be asked for, a secret in a label cannot be taken back.
func isSecret(key string) bool {
	key = strings.ToLower(key)
	for _, word := range []string{"token", "password", "passwd", "secret", "credential", "accesskey", "access.key"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// Offer is one protocol at one port of a host.
type Offer struct {
	Scheme string
	Port   int
	// PID is that of the process, empty when it did not say.
	PID string
	// State keeps offers apart: a protocol that takes no traffic must not take the others with it.
	State int
}

// Processes groups the offers of one host by the process that makes them, each group in the order of its ports. Those with a process
// id belong together by it when all have one, else by order: the first port of each protocol, then the second.
func Processes[T any](offers []T, of func(T) Offer) [][]T {
	if len(offers) == 1 {
		return [][]T{offers}
	}
	slices.SortFunc(offers, func(a, b T) int {
		x, y := of(a), of(b)
		return cmp.Or(cmp.Compare(x.Scheme, y.Scheme), cmp.Compare(x.Port, y.Port))
	})
	type place struct {
		pid         string
		state, rank int
	}
	byPID := !slices.ContainsFunc(offers, func(t T) bool { return of(t).PID == "" })
	seen := make(map[[2]string]int, len(offers))
	groups := make(map[place][]T, len(offers))
	for _, t := range offers {
		o := of(t)
		at := place{state: o.State}
		if byPID {
			at.pid = o.PID
		}
		at.rank = seen[[2]string{at.pid, o.Scheme}]
		seen[[2]string{at.pid, o.Scheme}]++
		groups[at] = append(groups[at], t)
	}
	return slices.Collect(maps.Values(groups))
}
