package plan

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// TestRandomRouting plays random histories of services that are routed by table: instances, tags, ports, namespaces and routes that come and
// go, services that are excluded, an output that refuses tables, people who delete them, pauses, freezes, and processes that end after any
// write. After each single write there is a table wherever one is needed, and routes name what is there (world.checkRouting). Endpoints that
// are not wanted go within a second, whatever tables wait for. In the end, what is live is what is desired.
func TestRandomRouting(t *testing.T) {
	for seed := range uint64(histories) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i := range w.policies {
				// Nothing but the steps delays anything.
				w.policies[i].EmptyGrace, w.policies[i].DeleteAfter, w.policies[i].MassRemovalPercent = 0, 0, 100
			}
			p := &routingPlayer{world: w, rnd: rand.New(rand.NewPCG(seed, 2)), hosts: map[string]*routedHost{}}
			p.play()
		})
	}
}

type routingPlayer struct {
	*world
	rnd   *rand.Rand
	hosts map[string]*routedHost
}

// routedHost is what a registry and the configuration say of a host.
type routedHost struct {
	endpoints []string
	to        []string
	ports     []string
	excluded  bool
}

func (p *routingPlayer) play() {
	p.t.Helper()
	p.setState("s", model.Synced)
	p.setState("t", model.Synced)
	for i := range 80 {
		p.at = "step " + strconv.Itoa(i)
		p.event()
		p.step()
		p.sleepUntil(p.now.Add(time.Duration(p.rnd.IntN(8000)) * time.Millisecond))
	}
	p.comeToRest()
}

func (p *routingPlayer) event() {
	name := "h" + strconv.Itoa(p.rnd.IntN(4))
	h := p.hosts[name]
	if h == nil {
		h = &routedHost{to: []string{"c1"}, ports: []string{"tcp-80"}}
		p.hosts[name] = h
	}
	table := []string{"c1", "c2", "root"}[p.rnd.IntN(3)] + ":" + strconv.Itoa(80+p.rnd.IntN(2))
	switch p.rnd.IntN(16) {
	case 0, 1, 2, 3:
		h.endpoints = nil
		for n := range 6 {
			if p.rnd.IntN(3) > 0 {
				h.endpoints = append(h.endpoints, strconv.Itoa(10*(1+int(name[1]-'0'))+n))
			}
		}
	case 4:
		h.to = [][]string{{"c1"}, {"c2"}, {"c1", "c2"}, {"*"}, nil}[p.rnd.IntN(5)]
	case 5:
		h.ports = [][]string{{"tcp-80"}, {"tcp-80", "tcp-81"}, {"tcp-81"}, {"tcp-80", "grpc-81"}}[p.rnd.IntN(4)]
	case 6:
		p.dubbo.unrouted[name] = !p.dubbo.unrouted[name]
	case 7:
		p.dubbo.tags[strconv.Itoa(10*(1+int(name[1]-'0'))+p.rnd.IntN(6))] = []string{"", "gray", "blue"}[p.rnd.IntN(3)]
	case 8:
		h.excluded = !h.excluded
	case 9:
		p.dubbo.splits[name] = [][]string{nil, {"h0"}, {"h1"}}[p.rnd.IntN(3)]
		p.dubbo.splits[name] = slices.DeleteFunc(slices.Clone(p.dubbo.splits[name]), func(o string) bool { return o == name })
	case 10:
		dubboActions()["refuse"](p.world, []string{table})
	case 11:
		clear(p.dubbo.refused)
	case 12:
		if _, there := p.live[tableKey(table)]; there {
			dubboActions()["remove"](p.world, []string{table})
		}
	case 13:
		p.dubbo.crash = 1 + p.rnd.IntN(4)
	case 14:
		p.frozen = !p.frozen
	default:
		p.policies[0].Mode = []Mode{Active, Pause, Observe, Active}[p.rnd.IntN(4)]
	}
}

// step translates, plans, writes, and checks.
func (p *routingPlayer) step() {
	p.t.Helper()
	p.withdrawn = nil
	for name, h := range p.hosts {
		delete(p.desired, name)
		delete(p.dubbo.to, name)
		if len(h.to) > 0 {
			p.dubbo.to[name] = h.to
		}
		actions()["ports"](p.world, append([]string{name}, h.ports...))
		if h.excluded {
			actions()["withdraw"](p.world, []string{name, "s"})
		} else if len(h.endpoints) > 0 {
			p.desired[name] = p.object(name, h.endpoints)
		}
	}
	p.settle()
	if p.frozen || p.policies[0].Mode == Pause || p.policies[0].Mode == Observe {
		return
	}
	crash := p.dubbo.crash
	p.sleepUntil(p.now.Add(time.Second))
	if crash > 0 && p.dubbo.crash <= 0 {
		return // A new process begins anew to wait for what goes first.
	}
	for name, h := range p.hosts {
		live, ok := p.live[key(name)]
		if want := p.desired[name]; ok && want != nil && !h.excluded {
			for i := range live.Object.ServiceEntry.Endpoints {
				e := &live.Object.ServiceEntry.Endpoints[i]
				if !slices.ContainsFunc(want.ServiceEntry.Endpoints, func(o translate.Endpoint) bool { return o.Address == e.Address }) {
					p.t.Fatalf("%s: %s still has %s", p.at, name, e.Address)
				}
			}
		}
	}
	for key := range p.dubbo.missing {
		if needed := slices.ContainsFunc(p.input().Live, func(l Live) bool { return slices.Contains(l.Object.Tables("root"), key) }); !needed {
			delete(p.dubbo.missing, key)
		} else if !p.dubbo.refused[key] {
			p.t.Fatalf("%s: %v was deleted, and is not back", p.at, key)
		}
	}
}

// comeToRest ends all trouble, waits, and wants what is live to be what is desired.
func (p *routingPlayer) comeToRest() {
	p.t.Helper()
	p.frozen, p.policies[0].Mode = false, Active
	clear(p.dubbo.refused)
	p.at = "rest"
	p.step()
	p.sleepUntil(p.now.Add(10 * time.Minute))
	if !p.plan.Empty() || len(p.plan.Held) > 0 || !p.plan.Wake.IsZero() {
		p.t.Fatalf("no rest: %v", p.plan)
	}
	want := p.input().Desired.Objects
	for _, o := range want {
		if got, ok := p.live[o.Key]; !ok || !covers(got.Object, o) {
			p.t.Errorf("%v is not what is desired", o.Key)
		}
	}
	if len(p.live) != len(want) {
		p.t.Errorf("%d objects are live, %d desired", len(p.live), len(want))
	}
}
