package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// histories is how many random histories TestRandomHistories plays.
const histories = 100

// TestRandomHistories plays random histories of two registries with failures, restarts of the bridge, half-finished listings, listings
// that are empty for less than the shortest grace, pauses and an output that is away. Throughout, no endpoint that is registered all
// the time may be missing from what is live; after quiet and all graces, what is live is what is registered.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(histories) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			newHistory(t, seed).play()
		})
	}
}

// fact is one registration: an endpoint of a host, from a source.
type fact struct{ host, endpoint string }

// history of the registries, beside what the bridge has been told of it.
type historyPlayer struct {
	*world
	rnd *rand.Rand
	// truth is what is registered; since when it is live without a break, when it is.
	truth map[string]map[fact]bool
	told  map[string]map[fact]bool
	live  map[fact]bool
	lying map[string]time.Time
}

func newHistory(t *testing.T, seed uint64) *historyPlayer {
	t.Helper()
	h := &historyPlayer{
		world: newWorld(t), rnd: rand.New(rand.NewPCG(seed, 1)),
		truth: map[string]map[fact]bool{}, told: map[string]map[fact]bool{}, live: map[fact]bool{}, lying: map[string]time.Time{},
	}
	for _, source := range []string{"s", "t"} {
		h.truth[source], h.told[source] = map[fact]bool{}, map[fact]bool{}
		for range h.rnd.IntN(40) {
			h.truth[source][h.anyFact(source)] = true
		}
		h.tell(source)
		h.setState(source, model.Synced)
	}
	return h
}

// anyFact draws a registration. Each source has addresses of its own, and each host: what another service registers is evidence.
func (h *historyPlayer) anyFact(source string) fact {
	host, n := h.rnd.IntN(4), h.rnd.IntN(12)
	at := 1 + host*20 + n
	if source == "t" {
		at += 100
	}
	return fact{"h" + strconv.Itoa(host), source + "/" + strconv.Itoa(at)}
}

func (h *historyPlayer) play() {
	h.t.Helper()
	h.step("start")
	for i := range 60 {
		h.at = fmt.Sprintf("step %d", i)
		h.step(h.event())
		h.sleepUntil(h.now.Add(time.Duration(h.rnd.IntN(50)) * time.Second))
		for source, until := range h.lying {
			if h.now.After(until) {
				h.tell(source)
				delete(h.lying, source)
			}
		}
		h.step("after a while")
	}
	h.comeToRest()
}

// event lets one thing happen.
func (h *historyPlayer) event() string {
	source := []string{"s", "t"}[h.rnd.IntN(2)]
	state := h.sources[model.SourceID(source)].State
	switch h.rnd.IntN(12) {
	case 0, 1, 2:
		for range 1 + h.rnd.IntN(6) {
			f := h.anyFact(source)
			h.truth[source][f] = !h.truth[source][f]
		}
	case 3:
		h.setState(source, model.Failing)
		return "fail"
	case 4, 5:
		h.setState(source, model.Synced)
		h.tell(source)
		return "sync"
	case 6:
		// The bridge restarts, and has been told half of it.
		h.memory = Memory{}
		for _, s := range []string{"s", "t"} {
			h.setState(s, model.Listing)
			h.told[s] = map[fact]bool{}
			for f := range h.truth[s] {
				h.told[s][f] = h.truth[s][f] && h.rnd.IntN(2) == 0
			}
		}
		return "restart"
	case 7, 8:
		if state == model.Synced && len(h.lying) == 0 {
			h.told[source] = map[fact]bool{}
			h.lying[source] = h.now.Add(time.Minute)
		}
		return "lie"
	case 9:
		h.offline = !h.offline
		return "offline"
	case 10:
		h.frozen = !h.frozen
		return "frozen"
	default:
		h.policies[h.rnd.IntN(2)].Mode = []Mode{Active, Pause, Active, Observe}[h.rnd.IntN(4)]
		return "mode"
	}
	if _, lies := h.lying[source]; state == model.Synced && !lies {
		h.tell(source)
	}
	return "change"
}

// tell lets the bridge read the truth.
func (h *historyPlayer) tell(source string) {
	delete(h.lying, source)
	h.told[source] = maps.Clone(h.truth[source])
}

// step translates what the bridge was told, with a shard of its own for a part of the endpoints, plans, writes, and checks.
func (h *historyPlayer) step(what string) {
	h.t.Helper()
	h.at += " " + what
	for host := range 4 {
		shards := map[string][]string{}
		for _, source := range []string{"s", "t"} {
			for f, registered := range h.told[source] {
				if f.host == "h"+strconv.Itoa(host) && registered {
					name := f.host
					if len(f.endpoint)%2 == 1 && h.rnd.IntN(20) > 0 {
						name += "#2"
					}
					shards[name] = append(shards[name], f.endpoint)
				}
			}
		}
		for _, name := range []string{"h" + strconv.Itoa(host), "h" + strconv.Itoa(host) + "#2"} {
			slices.Sort(shards[name])
			h.translate(name, shards[name])
		}
	}
	h.checkPurity()
	h.settle()
	h.checkPresence()
}

// translate keeps the pointer of an object that does not change.
func (h *historyPlayer) translate(name string, endpoints []string) {
	next := h.object(name, endpoints)
	if was, ok := h.desired[name]; ok && reflect.DeepEqual(was, next) {
		return
	}
	delete(h.desired, name)
	if len(endpoints) > 0 {
		h.desired[name] = next
	}
}

// checkPurity computes twice from the same memory, and from one that forgot the last answer, and wants the same plan.
func (h *historyPlayer) checkPurity() {
	h.t.Helper()
	in := h.input()
	first := Compute(in)
	again := Compute(in)
	if m := in.Memory.m; m != nil {
		fresh := *m
		fresh.seen = inputs{}
		in.Memory = Memory{&fresh}
	}
	slow := Compute(in)
	first.Memory = Memory{}
	for _, p := range []Plan{again, slow} {
		p.Memory = Memory{}
		if !reflect.DeepEqual(first, p) {
			h.t.Fatalf("%s: not pure:\n%s", h.at, cmp.Diff(first, p, cmpopts.IgnoreFields(Plan{}, "Memory")))
		}
	}
}

// checkPresence wants every endpoint that was live, and has been registered since, to be live.
func (h *historyPlayer) checkPresence() {
	h.t.Helper()
	now := map[fact]bool{}
	for _, l := range h.world.live {
		for i := range l.Object.ServiceEntry.Endpoints {
			e := &l.Object.ServiceEntry.Endpoints[i]
			var a, b, c, d int
			if _, err := fmt.Sscanf(e.Address, "%d.%d.%d.%d", &a, &b, &c, &d); err != nil {
				h.t.Fatal(err)
			}
			now[fact{l.Object.ServiceEntry.Host, string(e.Source()) + "/" + strconv.Itoa(c*250+d)}] = true
		}
	}
	for _, truth := range h.truth {
		for f, registered := range truth {
			if registered && h.live[f] && !now[f] {
				h.t.Fatalf("%s: %v was removed, and is registered", h.at, f)
			}
			h.live[f] = registered && now[f]
		}
	}
}

// comeToRest ends all trouble, waits for every grace, and wants what is live to be what is registered.
func (h *historyPlayer) comeToRest() {
	h.t.Helper()
	h.offline, h.frozen = false, false
	for i := range h.policies {
		h.policies[i].Mode = Active
	}
	for _, source := range []string{"s", "t"} {
		h.tell(source)
		h.setState(source, model.Synced)
	}
	h.step("rest")
	h.step("rest with the shards as they stay")
	h.sleepUntil(h.now.Add(time.Hour))
	if !h.plan.Empty() || len(h.plan.Held) > 0 || !h.plan.Wake.IsZero() {
		h.t.Fatalf("%s: no rest: %v", h.at, h.plan)
	}
	for name, want := range h.desired {
		if got, ok := h.world.live[want.Key]; !ok || !covers(got.Object, want) {
			h.t.Errorf("%s is not what is desired", name)
		}
	}
	if len(h.world.live) != len(h.desired) {
		h.t.Errorf("%d objects are live, %d desired", len(h.world.live), len(h.desired))
	}
	for key := range h.world.live {
		if !slices.ContainsFunc(h.input().Desired.Objects, func(o *translate.Object) bool { return o.Key == key }) {
			h.t.Errorf("%v is live", key)
		}
	}
}
