package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

type command func(w *world, args []string)

// actions change the world; a plan is computed and written afterwards.
func actions() map[string]command {
	all := dubboActions()
	maps.Copy(all, map[string]command{
		// want HOST ENDPOINT…: what is desired for a host, nothing when nothing is usable.
		"want": func(w *world, args []string) {
			delete(w.desired, args[0])
			if len(args) > 1 {
				w.desired[args[0]] = w.object(args[0], expand(args[1:]))
			}
		},
		// claims HOST ENDPOINT…: endpoints of the desired host that these sources have, too.
		"claims": func(w *world, args []string) {
			o := *w.desired[args[0]]
			for _, token := range expand(args[1:]) {
				e := w.endpoint(token)
				o.Claims = append(o.Claims, translate.Claim{Source: e.Source(), Address: e.Address, Port: e.Port()})
			}
			w.desired[args[0]] = &o
		},
		// ports HOST PROTOCOL-NUMBER…: the ports of the host in all that is desired from now on.
		"ports": func(w *world, args []string) {
			var ports []translate.ServicePort
			for _, name := range args[1:] {
				protocol, number, _ := strings.Cut(name, "-")
				n, _ := strconv.ParseUint(number, 10, 16)
				ports = append(ports, translate.ServicePort{Name: name, Number: uint32(n), Protocol: translate.Protocol(strings.ToUpper(protocol))})
			}
			w.ports[args[0]] = ports
		},
		// live HOST ENDPOINT…: what is live, whatever came before.
		"live": func(w *world, args []string) { w.put(w.object(args[0], expand(args[1:]))) },
		// many N COUNT: hosts n1 to nN with COUNT endpoints each are desired, all at places of their own.
		"many": func(w *world, args []string) {
			hosts, _ := strconv.Atoi(args[0])
			each, _ := strconv.Atoi(args[1])
			for i := 1; i <= hosts; i++ {
				name := "n" + strconv.Itoa(i)
				delete(w.desired, name)
				if each > 0 {
					w.desired[name] = w.object(name, expand([]string{strconv.Itoa(i*each) + ".." + strconv.Itoa(i*each+each-1)}))
				}
			}
		},
		"sync": func(w *world, args []string) { w.setState(args[0], model.Synced) },
		"fail": func(w *world, args []string) { w.setState(args[0], model.Failing) },
		"list": func(w *world, args []string) { w.setState(args[0], model.Listing) },
		// unit SOURCE NAME unread|read|ok
		"unit": func(w *world, args []string) {
			failure := &model.UnitFailure{Since: w.now, Read: args[2] == "read"}
			if args[2] == "ok" {
				failure = nil
			}
			w.setUnit(args[0], args[1], failure)
		},
		// annotate HOST KEY VALUE: an annotation of the live object; no value removes it.
		"annotate": func(w *world, args []string) {
			o := *w.live[key(args[0])].Object
			o.Annotations = map[string]string{translate.AnnotationService: args[0], translate.AnnotationRegistry: "r"}
			delete(o.Annotations, "registry-bridge.io/"+args[1])
			if len(args) > 2 {
				o.Annotations["registry-bridge.io/"+args[1]] = args[2]
			}
			w.put(&o)
		},
		// withdraw HOST SOURCE [NUMBER]: configuration takes a host, or one endpoint, from a source.
		"withdraw": func(w *world, args []string) {
			wd := translate.Withdrawal{Key: key(args[0]), Source: model.SourceID(args[1])}
			if len(args) > 2 {
				e := w.endpoint(args[2])
				wd.Address, wd.Port = e.Address, e.Port()
			}
			w.withdrawn = append(slices.Clone(w.withdrawn), wd)
			slices.SortFunc(w.withdrawn, func(a, b translate.Withdrawal) int { return a.Key.Compare(b.Key) })
		},
		"readmit": func(w *world, _ []string) { w.withdrawn = nil },
		"mode":    func(w *world, args []string) { w.policy(args[0]).Mode = Mode(args[1]) },
		"delete":  func(w *world, args []string) { w.policy(args[0]).Deleted = true },
		"forget": func(w *world, args []string) {
			w.policies = slices.DeleteFunc(slices.Clone(w.policies), func(p Policy) bool { return p.Name == args[0] })
		},
		// scopes REGISTRY SOURCE…: the sources that are configured.
		"scopes": func(w *world, args []string) {
			p := w.policy(args[0])
			p.Sources = nil
			for _, id := range args[1:] {
				p.Sources = append(p.Sources, model.SourceID(id))
			}
		},
		"max": func(w *world, args []string) { w.policy(args[0]).MaxServices, _ = strconv.Atoi(args[1]) },
		"maxhold": func(w *world, args []string) {
			w.policy(args[0]).MaxHold, _ = time.ParseDuration(args[1])
		},
		"masshold": func(w *world, args []string) {
			w.policy(args[0]).MassRemovalHold, _ = time.ParseDuration(args[1])
		},
		"grace": func(w *world, args []string) {
			w.policy(args[0]).EmptyGrace, _ = time.ParseDuration(args[1])
		},
		// release REGISTRY GUARD|*: a person releases what the guard holds now.
		"release": func(w *world, args []string) {
			p := w.policy(args[0])
			p.Released = slices.Clone(p.Released)
			if args[1] == "*" {
				p.Released = append(p.Released, "*")
				return
			}
			p.Released = append(p.Released, w.heldIDs(args[1])...)
		},
		"freeze":  func(w *world, _ []string) { w.frozen = true },
		"thaw":    func(w *world, _ []string) { w.frozen = false },
		"offline": func(w *world, _ []string) { w.offline = true },
		"online":  func(w *world, _ []string) { w.offline = false },
		// restart: a new process, or a new leader.
		"restart": func(w *world, args []string) {
			w.memory = Memory{}
			for _, source := range args {
				w.setState(source, model.Listing)
			}
		},
		// event: something happened that is none of our business.
		"event": func(*world, []string) {},
	})
	return all
}

// looks compare the world with what must be.
func looks() map[string]command {
	all := dubboLooks()
	maps.Copy(all, map[string]command{
		// is HOST ENDPOINT…: exactly these endpoints are live.
		"is": func(w *world, args []string) {
			w.t.Helper()
			want := w.object(args[0], expand(args[1:]))
			live, ok := w.live[want.Key]
			if !ok {
				w.t.Fatalf("%s: there is no object", w.at)
			}
			if diff := cmp.Diff(places(want), places(live.Object)); diff != "" {
				w.t.Fatalf("%s: endpoints (-want +got):\n%s", w.at, diff)
			}
		},
		// serves HOST PORT…: exactly these ports are live.
		"serves": func(w *world, args []string) {
			w.t.Helper()
			var got []string
			for _, p := range w.live[key(args[0])].Object.ServiceEntry.Ports {
				got = append(got, p.Name)
			}
			if diff := cmp.Diff(args[1:], got); diff != "" {
				w.t.Fatalf("%s: ports (-want +got):\n%s", w.at, diff)
			}
		},
		// maps HOST NUMBER PORT=REAL…: exactly this is the port map of a live endpoint.
		"maps": func(w *world, args []string) {
			w.t.Helper()
			want := w.endpoint(args[1])
			var got []string
			for _, e := range w.live[key(args[0])].Object.ServiceEntry.Endpoints {
				for _, p := range e.Ports {
					if e.Address == want.Address {
						got = append(got, p.Name+"="+strconv.Itoa(int(p.Number)))
					}
				}
			}
			if diff := cmp.Diff(args[2:], got); diff != "" {
				w.t.Fatalf("%s: port map (-want +got):\n%s", w.at, diff)
			}
		},
		"gone": func(w *world, args []string) {
			w.t.Helper()
			if o, ok := w.live[w.object(args[0], nil).Key]; ok {
				w.t.Fatalf("%s: it is still there: %v", w.at, places(o.Object))
			}
		},
		// objects N: so many objects are live.
		"objects": func(w *world, args []string) {
			w.t.Helper()
			if n := strconv.Itoa(len(w.live)); n != args[0] {
				w.t.Fatalf("%s: there are %s", w.at, n)
			}
		},
		// held HOST ENDPOINT… by GUARD [until TIME]: exactly these holds of the guard are on the host; "object" is the object.
		"held": func(w *world, args []string) {
			w.t.Helper()
			by := slices.Index(args, "by")
			var want, got []string
			for _, token := range expand(args[1:by]) {
				if token == "object" {
					want = append(want, "")
					continue
				}
				e := w.endpoint(token)
				want = append(want, idOf(&e).String())
			}
			until := time.Time{}
			if len(args) > by+2 {
				d, _ := time.ParseDuration(args[by+3])
				until = start().Add(d)
			}
			host, _, _ := strings.Cut(args[0], "#")
			for _, h := range w.plan.Held {
				if h.Host != host || string(h.Guard) != args[by+1] {
					continue
				}
				got = append(got, h.Endpoint)
				if !h.Until.Equal(until) {
					w.t.Errorf("%s: %s is held until %v", w.at, h.Endpoint, h.Until.Sub(start()))
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				w.t.Fatalf("%s: held (-want +got):\n%s\nall: %v", w.at, diff, w.plan.Held)
			}
		},
		// free HOST: nothing of it is held; without a host, nothing at all.
		"free": func(w *world, args []string) {
			w.t.Helper()
			for _, h := range w.plan.Held {
				if len(args) == 0 || h.Host == args[0] {
					w.t.Fatalf("%s: held: %+v", w.at, h)
				}
			}
		},
		// holds GUARD N: so many holds of the guard, and one id for all of them.
		"holds": func(w *world, args []string) {
			w.t.Helper()
			n := 0
			for _, h := range w.plan.Held {
				if string(h.Guard) == args[0] {
					n++
				}
			}
			if strconv.Itoa(n) != args[1] || len(w.heldIDs(args[0])) > 1 {
				w.t.Fatalf("%s: %d holds, ids %v", w.at, n, w.heldIDs(args[0]))
			}
		},
		"suppressed": func(w *world, args []string) {
			w.t.Helper()
			var got []string
			for _, c := range w.plan.Suppressed {
				got = append(got, c.Op.String()+":"+c.Key.Name)
			}
			if diff := cmp.Diff(args, got); diff != "" && len(args)+len(got) > 0 {
				w.t.Fatalf("%s: suppressed (-want +got):\n%s", w.at, diff)
			}
		},
		// wake TIME|never: when the plan asks to be woken.
		"wake": func(w *world, args []string) {
			w.t.Helper()
			got := "never"
			if !w.plan.Wake.IsZero() {
				got = w.plan.Wake.Sub(start()).String()
			}
			if d, err := time.ParseDuration(args[0]); err == nil {
				args = []string{d.String()}
			}
			if got != args[0] {
				w.t.Fatalf("%s: it asks for %s", w.at, got)
			}
		},
	})
	return all
}

// places are the endpoints of an object, without what does not identify them.
func places(o *translate.Object) []string {
	out := []string{}
	for i := range o.ServiceEntry.Endpoints {
		out = append(out, idOf(&o.ServiceEntry.Endpoints[i]).String())
	}
	return out
}
