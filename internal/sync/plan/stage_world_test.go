package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// dubboWorld is what a world has of services that are routed by table: the interface of a host is its name.
type dubboWorld struct {
	// to are the namespaces that see a host, of hosts that are routed; unrouted those of them without a route.
	to       map[string][]string
	unrouted map[string]bool
	// tags are those of endpoints, by number; splits the hosts that share the calls of a host, by weight.
	tags   map[string]string
	splits map[string][]string
	// tables are what was desired last.
	objects map[translate.Key]*translate.Object
	// refused cannot be written; stale could not, and has not been since. Missing were deleted by hand, and are not back.
	refused, stale, missing map[translate.Key]bool
	// crash is after how many writes the process ends, and another one goes on; never when it is 0.
	crash int
}

func newDubboWorld() dubboWorld {
	return dubboWorld{
		to: map[string][]string{}, unrouted: map[string]bool{}, tags: map[string]string{}, splits: map[string][]string{},
		objects: map[translate.Key]*translate.Object{}, refused: map[translate.Key]bool{}, stale: map[translate.Key]bool{}, missing: map[translate.Key]bool{},
	}
}

func (d *dubboWorld) labels(number string) []translate.Label {
	if tag := d.tags[number]; tag != "" {
		return []translate.Label{{Key: translate.LabelDubboTag, Value: tag}}
	}
	return nil
}

// routing returns the tables and DestinationRules that are desired: of the tables that a desired entry needs, with a route to each host.
func (w *world) routing() []*translate.Object {
	objects := map[translate.Key]*translate.Object{}
	for _, name := range slices.Sorted(maps.Keys(w.desired)) {
		o := w.desired[name]
		for _, port := range o.ServiceEntry.TablePorts() {
			w.addRoutes(objects, o, port)
		}
	}
	for key, o := range objects {
		if was := w.dubbo.objects[key]; was != nil && covers(was, o) && covers(o, was) {
			objects[key] = was
		}
	}
	w.dubbo.objects = objects
	return slices.Collect(maps.Values(objects))
}

func (w *world) addRoutes(objects map[translate.Key]*translate.Object, o *translate.Object, port uint32) {
	host := o.ServiceEntry.Host
	route := translate.DubboRoute{Interface: host}
	var rule translate.DestinationRule
	for _, e := range o.ServiceEntry.Endpoints {
		for _, l := range e.Labels {
			if l.Key == translate.LabelDubboTag && !slices.ContainsFunc(rule.Subsets, func(u translate.Subset) bool { return u.Name == l.Value }) {
				rule.Subsets = append(rule.Subsets, translate.Subset{Name: l.Value, Labels: []translate.Label{l}})
				route.Matches = append(route.Matches, translate.DubboMatch{Tag: l.Value, To: []translate.DubboTarget{{Host: host, Port: port, Subset: l.Value}}})
			}
		}
	}
	if len(rule.Subsets) > 0 {
		rule.Host = host
		key := translate.Key{Kind: translate.KindDestinationRule, Namespace: "ns", Name: host}
		objects[key] = &translate.Object{Key: key, Annotations: o.Annotations, DestinationRule: &rule}
	}
	for _, key := range o.Tables("root") {
		if key != translate.TableKey(key.Namespace, port) {
			continue
		}
		if objects[key] == nil {
			objects[key] = &translate.Object{Key: key, EnvoyFilter: &translate.EnvoyFilter{Port: port}}
		}
		last := translate.DubboMatch{To: []translate.DubboTarget{{Host: host, Port: port}}}
		for _, other := range w.dubbo.splits[host] {
			if o := w.desired[other]; o != nil && slices.Contains(o.Tables("root"), key) {
				last.To[0].Weight = 90
				last.To = append(last.To, translate.DubboTarget{Host: other, Port: port, Weight: 10})
			}
		}
		whole := route
		whole.Matches = append(slices.Clone(route.Matches), last)
		if f := objects[key].EnvoyFilter; !w.dubbo.unrouted[host] && f.Find(&whole) == nil {
			objects[key].EnvoyFilter = f.With([]translate.DubboRoute{whole})
		}
	}
}

// checkRouting wants, after each single write, a table wherever an entry is seen that needs one, and what live routes name where they are.
func (w *world) checkRouting(c Change) {
	w.t.Helper()
	delete(w.dubbo.stale, c.Key)
	delete(w.dubbo.missing, c.Key)
	var entries, rules []*translate.Object
	for _, l := range w.live {
		for _, key := range l.Object.Tables("root") {
			if _, ok := w.live[key]; !ok && !w.dubbo.missing[key] {
				w.t.Fatalf("%s: after %v %v, %v is seen without %v", w.at, c.Op, c.Key, l.Object.Key, key)
			}
		}
		if l.Object.ServiceEntry != nil {
			entries = append(entries, l.Object)
		}
		if l.Object.DestinationRule != nil {
			rules = append(rules, l.Object)
		}
	}
	for key, l := range w.live {
		if l.Object.EnvoyFilter == nil || w.dubbo.stale[key] {
			continue
		}
		for i := range l.Object.EnvoyFilter.Routes {
			for target := range l.Object.EnvoyFilter.Routes[i].Targets {
				seen := slices.ContainsFunc(entries, func(o *translate.Object) bool {
					return o.ServiceEntry.Host == target.Host && slices.Contains(o.Tables("root"), translate.TableKey(key.Namespace, target.Port))
				})
				subset := target.Subset == "" || slices.ContainsFunc(rules, func(o *translate.Object) bool {
					return o.DestinationRule.Host == target.Host && hasSubset(o, target.Subset)
				})
				if !seen || !subset {
					w.t.Fatalf("%s: after %v %v, %v has a route to %v, which is not there", w.at, c.Op, c.Key, key, target)
				}
			}
		}
	}
}

// tableKey reads NAMESPACE:PORT.
func tableKey(text string) translate.Key {
	namespace, number, _ := strings.Cut(text, ":")
	port, _ := strconv.ParseUint(number, 10, 16)
	return translate.TableKey(namespace, uint32(port))
}

func dubboActions() map[string]command {
	return map[string]command{
		// routed HOST NAMESPACE…: the host is routed by table for consumers in these namespaces, in all that is desired from now on.
		"routed": func(w *world, args []string) {
			w.dubbo.to[args[0]] = slices.Sorted(slices.Values(args[1:]))
		},
		"addressed": func(w *world, args []string) { delete(w.dubbo.to, args[0]) },
		// route HOST and unroute HOST: its tables have a route to it, or have none.
		"route":   func(w *world, args []string) { delete(w.dubbo.unrouted, args[0]) },
		"unroute": func(w *world, args []string) { w.dubbo.unrouted[args[0]] = true },
		// split HOST OTHER…: a tenth of its calls goes to others.
		"split": func(w *world, args []string) { w.dubbo.splits[args[0]] = args[1:] },
		// tag NUMBER TAG: the tag of an endpoint in all that is desired from now on.
		"tag": func(w *world, args []string) { w.dubbo.tags[args[0]] = args[1] },
		// remove NAMESPACE:PORT: somebody deletes the table by hand.
		"remove": func(w *world, args []string) {
			delete(w.live, tableKey(args[0]))
			w.dubbo.missing[tableKey(args[0])] = true
		},
		// refuse NAMESPACE:PORT: the table cannot be written from now on. Accept ends it.
		"refuse": func(w *world, args []string) {
			w.dubbo.refused[tableKey(args[0])], w.dubbo.stale[tableKey(args[0])] = true, true
		},
		"accept": func(w *world, args []string) { delete(w.dubbo.refused, tableKey(args[0])) },
	}
}

func dubboLooks() map[string]command {
	return map[string]command{
		// table NAMESPACE:PORT ROUTE…: the table is live with exactly these routes: a host, or HOST/TAG, or HOST+HOST for a split.
		"table": func(w *world, args []string) {
			w.t.Helper()
			live, ok := w.live[tableKey(args[0])]
			if !ok {
				w.t.Fatalf("%s: there is no table %s", w.at, args[0])
			}
			var got []string
			for _, r := range live.Object.EnvoyFilter.Routes {
				for _, m := range r.Matches {
					var hosts []string
					for _, target := range m.To {
						hosts = append(hosts, target.Host)
					}
					text := strings.Join(hosts, "+")
					if m.Tag != "" {
						text += "/" + m.Tag
					}
					got = append(got, text)
				}
			}
			if !slices.Equal(got, args[1:]) {
				w.t.Fatalf("%s: routes are %v", w.at, got)
			}
		},
		"notable": func(w *world, args []string) {
			w.t.Helper()
			if _, ok := w.live[tableKey(args[0])]; ok {
				w.t.Fatalf("%s: table %s is there", w.at, args[0])
			}
		},
		// seen HOST NAMESPACE…: exactly these namespaces see the host.
		"seen": func(w *world, args []string) {
			w.t.Helper()
			live, ok := w.live[key(args[0])]
			if !ok {
				w.t.Fatalf("%s: there is no %s", w.at, args[0])
			}
			if !slices.Equal(live.Object.ServiceEntry.ExportTo, args[1:]) {
				w.t.Fatalf("%s: %v see it", w.at, live.Object.ServiceEntry.ExportTo)
			}
		},
		// subsets HOST NAME…: exactly these subsets are live; without a name, there is no DestinationRule.
		"subsets": func(w *world, args []string) {
			w.t.Helper()
			var got []string
			if live, ok := w.live[translate.Key{Kind: translate.KindDestinationRule, Namespace: "ns", Name: args[0]}]; ok {
				for _, u := range live.Object.DestinationRule.Subsets {
					got = append(got, u.Name)
				}
			}
			if !slices.Equal(got, args[1:]) {
				w.t.Fatalf("%s: subsets %v", w.at, got)
			}
		},
	}
}
