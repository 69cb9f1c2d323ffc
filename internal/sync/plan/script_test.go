package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// A scenario is a script of what registries, people and the clock do, and of what must then be live. Each line is a time since the
// start and commands separated by semicolons:
//
//	0s   live a 1 2 3; sync s        before the first plan: host a has 10.0.0.1 to 3; source s is synced
//	1m   want a 1                    the registry lists 10.0.0.1 only
//	1m   is a 1                      what is live then
//	1m   held a 2 3 by EmptyService until 4m
//
// An endpoint is [source/]number[:port]; source s and port 80 when nothing is said. Registry r has source s, Registry q source t.
// Between two lines the world computes only when the plan asked to be woken: a hold that ends in a quiet system ends by its own wake.
// Lines that only look (is, held, free, empty, gone, …) compute nothing.
type scenario struct {
	name, script string
}

func runScenarios(t *testing.T, scenarios []scenario) {
	t.Helper()
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for line := range strings.Lines(sc.script) {
				w.line(strings.TrimSpace(line))
			}
		})
	}
}

// start is the time 0s of every scenario.
func start() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// world is a bridge with an output that writes at once, and registries that say what the script says.
type world struct {
	t         *testing.T
	now       time.Time
	at        string
	policies  []Policy
	sources   map[model.SourceID]model.Status
	desired   map[string]*translate.Object
	ports     map[string][]translate.ServicePort
	withdrawn []translate.Withdrawal
	live      map[translate.Key]Live
	frozen    bool
	offline   bool
	memory    Memory
	plan      Plan
	version   int
	// seen is called with each object as it is written.
	seen func(key translate.Key, o *translate.Object)
	// dubbo is what the world has of services that are routed by table.
	dubbo dubboWorld
}

func newWorld(t *testing.T) *world {
	t.Helper()
	policy := func(name string, source model.SourceID) Policy {
		return Policy{
			Namespace: "ns", Name: name, Sources: []model.SourceID{source}, Mode: Active,
			EmptyGrace: 3 * time.Minute, DeleteAfter: 10 * time.Minute, MassRemovalPercent: 30, MassRemovalHold: 10 * time.Minute,
		}
	}
	return &world{
		t: t, now: start(), policies: []Policy{policy("r", "s"), policy("q", "t")},
		sources: map[model.SourceID]model.Status{"s": {State: model.Listing, Since: start()}, "t": {State: model.Listing}},
		desired: map[string]*translate.Object{}, live: map[translate.Key]Live{}, ports: map[string][]translate.ServicePort{},
		dubbo: newDubboWorld(),
		seen:  func(translate.Key, *translate.Object) {},
	}
}

func (w *world) line(line string) {
	w.t.Helper()
	if line == "" || strings.HasPrefix(line, "#") {
		return
	}
	at, commands, _ := strings.Cut(line, " ")
	offset, err := time.ParseDuration(at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.at = line
	w.sleepUntil(start().Add(offset))
	acted := false
	for command := range strings.SplitSeq(commands, ";") {
		words := strings.Fields(command)
		if act, ok := actions()[words[0]]; ok {
			act(w, words[1:])
			acted = true
			continue
		}
		if acted {
			w.settle()
			acted = false
		}
		look, ok := looks()[words[0]]
		if !ok {
			w.t.Fatalf("%s: what is %q?", line, words[0])
		}
		look(w, words[1:])
	}
	if acted {
		w.settle()
	}
}

// sleepUntil lets time pass, and computes when the plan asked for it.
func (w *world) sleepUntil(to time.Time) {
	w.t.Helper()
	for !w.plan.Wake.IsZero() && !w.plan.Wake.After(to) {
		if !w.plan.Wake.After(w.now) {
			w.t.Fatalf("%s: at %v the plan asks to be woken at %v", w.at, w.now, w.plan.Wake)
		}
		w.now = w.plan.Wake
		w.settle()
	}
	w.now = to
}

func (w *world) input() Input {
	in := Input{
		Now: w.now, Sources: maps.Clone(w.sources), Policies: slices.Clone(w.policies), Frozen: w.frozen, Memory: w.memory,
		Desired: translate.Result{Withdrawn: w.withdrawn}, RootNamespace: "root",
	}
	in.Desired.Objects = slices.AppendSeq(w.routing(), maps.Values(w.desired))
	slices.SortFunc(in.Desired.Objects, func(a, b *translate.Object) int { return a.Key.Compare(b.Key) })
	in.Live = slices.SortedFunc(maps.Values(w.live), func(a, b Live) int { return a.Object.Key.Compare(b.Object.Key) })
	return in
}

// settle computes and writes until nothing is left to write.
func (w *world) settle() {
	w.t.Helper()
	for range 10 {
		w.plan = Compute(w.input())
		w.memory = w.plan.Memory
		if w.offline || w.plan.Empty() || !w.write() {
			return
		}
	}
	w.t.Fatalf("%s: the plan does not come to rest: %v", w.at, w.plan)
}

// write carries out the plan, and reports whether there was anything to do that is possible.
func (w *world) write() (written bool) {
	w.t.Helper()
	for _, c := range slices.Concat(w.plan.Apply, w.plan.Delete) {
		if w.dubbo.refused[c.Key] {
			continue
		}
		w.dubbo.crash--
		if w.dubbo.crash == 0 {
			w.memory = Memory{}
			return true
		}
		written = true
		was, exists := w.live[c.Key]
		if exists != (c.Live != nil) || (exists && *c.Live != was) || (c.Op == Create) == exists {
			w.t.Fatalf("%s: %v %v does not fit what is live", w.at, c.Op, c.Key)
		}
		if c.Op == Delete {
			delete(w.live, c.Key)
		} else {
			w.put(c.Object)
			w.seen(c.Key, c.Object)
		}
		w.checkRouting(c)
	}
	return written
}

// put makes an object live, as an output would read it back.
func (w *world) put(o *translate.Object) {
	w.version++
	read := *o
	read.Origins, read.Registries = nil, nil
	w.live[o.Key] = Live{Object: &read, ResourceVersion: strconv.Itoa(w.version), UID: o.Key.Name}
}

func key(name string) translate.Key {
	return translate.Key{Kind: translate.KindServiceEntry, Namespace: "ns", Name: name}
}

// object makes the object of a host. A name like a#2 is the second shard of host a.
func (w *world) object(name string, endpoints []string) *translate.Object {
	host, shard, sharded := strings.Cut(name, "#")
	objectName := host
	if sharded {
		objectName += "-" + shard
	}
	o := &translate.Object{
		Key:         key(objectName),
		Labels:      map[string]string{translate.LabelManagedBy: translate.ManagedBy},
		Annotations: map[string]string{translate.AnnotationService: host, translate.AnnotationRegistry: "r"},
		ServiceEntry: &translate.ServiceEntry{
			Host: host, Addresses: []string{"240.239.0.1"}, Location: "MESH_INTERNAL", Resolution: "STATIC",
			Ports: []translate.ServicePort{{Name: "tcp-80", Number: 80, Protocol: translate.TCP}},
		},
	}
	if ports, ok := w.ports[host]; ok {
		o.ServiceEntry.Ports = ports
	}
	if to, ok := w.dubbo.to[host]; ok {
		o.ServiceEntry.Addresses, o.ServiceEntry.ExportTo = nil, to
	}
	for _, token := range endpoints {
		e := w.endpoint(token)
		e.Ports = remap(&e, o.ServiceEntry.Ports)
		o.ServiceEntry.Endpoints = append(o.ServiceEntry.Endpoints, e)
	}
	slices.SortFunc(o.ServiceEntry.Endpoints, func(a, b translate.Endpoint) int { return a.Compare(&b) })
	if len(endpoints) > 0 && o.ServiceEntry.Endpoints[0].Source() == "t" {
		o.Annotations[translate.AnnotationRegistry] = "q"
	}
	return o
}

func (w *world) endpoint(token string) translate.Endpoint {
	w.t.Helper()
	source, rest, ok := strings.Cut(token, "/")
	if !ok {
		source, rest = "s", token
	}
	number, port, ok := strings.Cut(rest, ":")
	if !ok {
		port = "80"
	}
	n, err := strconv.Atoi(number)
	p, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		w.t.Fatalf("%s: endpoint %q", w.at, token)
	}
	return translate.Endpoint{
		Address: fmt.Sprintf("10.0.%d.%d", n/250, n%250),
		Ports:   []translate.EndpointPort{{Name: "tcp-80", Number: uint32(p)}},
		Labels:  append(w.dubbo.labels(number), translate.Label{Key: translate.LabelSource, Value: source}),
	}
}

// expand turns "1..4" into 1 2 3 4, with or without a source in front.
func expand(words []string) []string {
	var out []string
	for _, word := range words {
		first, last, ok := strings.Cut(word, "..")
		if !ok {
			out = append(out, word)
			continue
		}
		source, n, ok := strings.Cut(first, "/")
		if !ok {
			source, n = "s", first
		}
		from, _ := strconv.Atoi(n)
		to, _ := strconv.Atoi(last)
		for i := from; i <= to; i++ {
			out = append(out, source+"/"+strconv.Itoa(i))
		}
	}
	return out
}

func (w *world) policy(name string) *Policy {
	w.t.Helper()
	i := slices.IndexFunc(w.policies, func(p Policy) bool { return p.Name == name })
	if i < 0 {
		w.t.Fatalf("%s: no Registry %q", w.at, name)
	}
	return &w.policies[i]
}

func (w *world) setState(source string, state model.State) {
	w.sources[model.SourceID(source)] = model.Status{State: state, Since: w.now}
}

// setUnit makes a unit of a source fail, or heals it when failure is nil.
func (w *world) setUnit(source, unit string, failure *model.UnitFailure) {
	status := w.sources[model.SourceID(source)]
	status.FailingUnits = maps.Clone(status.FailingUnits)
	if status.FailingUnits == nil {
		status.FailingUnits = map[string]model.UnitFailure{}
	}
	delete(status.FailingUnits, unit)
	if failure != nil {
		status.FailingUnits[unit] = *failure
	}
	w.sources[model.SourceID(source)] = status
}

// heldIDs returns the ids of the current holds of a guard.
func (w *world) heldIDs(guard string) []string {
	var ids []string
	for _, h := range w.plan.Held {
		if h.Guard == reason.Reason(guard) && !slices.Contains(ids, h.ID) {
			ids = append(ids, h.ID)
		}
	}
	return ids
}
