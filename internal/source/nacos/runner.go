package nacos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// awayFor is how long no server may have been able to list before Run gives up. The restart of a server, or of all in turn, is shorter.
const awayFor = 30 * time.Second

// runner is one Run. Its state belongs to Run's goroutine.
type runner struct {
	cfg     Config
	sink    source.Sink
	convert converter
	login   *login
	units   map[string]*unit
	// unnamed counts the units of which the sink has not heard in this Run.
	unnamed int
	// listed says that there was a listing, synced that the sink was told.
	listed, synced bool
	// away is since when there is no listing; zero while there is one.
	away time.Time
	// interrupted says that the sink was told why nothing is heard.
	interrupted bool
	// attempts counts the connections since the last listing.
	attempts int
	// next is the place in Servers of the server to connect to.
	next int
}

func newRunner(cfg Config, sink source.Sink) *runner {
	return &runner{
		cfg: cfg, sink: sink, convert: newConverter(cfg), login: &login{cfg: &cfg}, units: map[string]*unit{},
		next: rand.IntN(max(len(cfg.Servers), 1)), //nolint:gosec // To spread bridges over servers needs no secret randomness.
	}
}

// run keeps a connection to one server after another, until none of them has been able to list for too long.
func (r *runner) run(ctx context.Context) error {
	if len(r.cfg.Servers) == 0 {
		return fmt.Errorf("%w: there is no server", source.ErrUnavailable)
	}
	for {
		server := r.cfg.Servers[r.next]
		err := r.connection(ctx, server)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now := time.Now()
		if r.away.IsZero() {
			r.away = now
		}
		// A first listing that fails is told at once, but not before each server was asked.
		if r.listed && now.Sub(r.away) > awayFor || !r.listed && r.attempts+1 >= len(r.cfg.Servers) {
			return err
		}
		if r.listed {
			r.interrupt(ctx, err)
		}
		if r.cfg.Servers[r.next] == server {
			r.next = (r.next + 1) % len(r.cfg.Servers)
		}
		r.attempts++
		if err := r.pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits before the next attempt: not at all before each server had its turn.
func (r *runner) pause(ctx context.Context) error {
	timer := time.NewTimer(reconnectAfter(r.attempts / len(r.cfg.Servers)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connection watches by one connection until it is lost.
func (r *runner) connection(ctx context.Context, server string) error {
	c, err := connect(ctx, &r.cfg, server, r.login)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", server, err)
	}
	for _, u := range r.units {
		u.disconnect()
	}
	w := newWatch(r, c)
	err = w.run(ctx)
	c.close()
	w.wg.Wait()
	return err
}

// interrupt tells why nothing is heard, once.
func (r *runner) interrupt(ctx context.Context, err error) {
	if !r.interrupted {
		r.interrupted = true
		source.SetInterruption(r.sink, fmt.Errorf("nacos: %w", err))
		r.cfg.Logger.InfoContext(ctx, "nacos does not answer, trying again", "error", err)
	}
}

// resume tells that everything is heard again.
func (r *runner) resume(ctx context.Context, server string) {
	r.away, r.attempts = time.Time{}, 0
	if r.interrupted {
		r.interrupted = false
		source.SetInterruption(r.sink, nil)
		r.cfg.Logger.InfoContext(ctx, "nacos answers again", "server", server)
	}
}

// moveTo lets the next connection be to the server at an address, if that is one of those that are configured.
func (r *runner) moveTo(address string) {
	for i, server := range r.cfg.Servers {
		if host, _, err := net.SplitHostPort(server); err == nil && host == address {
			r.next = i
			return
		}
	}
}

// takeNames brings the units in line with a listing and returns those that are to be read now, and those that are gone.
func (r *runner) takeNames(list listing) (added, gone []*unit) {
	present := make(map[string]bool, len(list.names))
	for _, name := range list.names {
		name = r.convert.unitName(name)
		present[name] = true
		if u := r.units[name]; u != nil {
			u.missed = 0
			continue
		}
		names := r.convert.names(name)
		if len(names) == 0 {
			continue
		}
		u := &unit{name: name, told: map[string]*model.Service{}}
		r.units[name] = u
		r.unnamed++
		if r.cfg.Selects != nil && !slices.ContainsFunc(names, r.cfg.Selects) {
			u.unwanted = true
			r.tell(u, nil)
			continue
		}
		added = append(added, u)
	}
	for name, u := range r.units {
		if present[name] || !list.complete {
			continue
		}
		u.missed++
		if u.missed >= misses {
			r.remove(u)
			gone = append(gone, u)
		}
	}
	r.listed = true
	return added, gone
}

// remove forgets a unit that is gone.
func (r *runner) remove(u *unit) {
	u.removed = true
	delete(r.units, u.name)
	r.name(u)
	r.sink.Delete(r.convert.ref(u.name, ""))
}

// name notes that the sink has heard of the unit.
func (r *runner) name(u *unit) {
	if !u.named {
		u.named = true
		r.unnamed--
	}
}

// tell hands the services of a unit to the sink, as far as they are not what that has already. Services that are no longer among them are
// told without instances: they may come back, and what the unit is was known by its instances.
func (r *runner) tell(u *unit, services map[string]*model.Service) {
	for name := range u.told {
		if services[name] == nil {
			if services == nil {
				services = map[string]*model.Service{}
			}
			services[name] = r.convert.service(u.name, name)
		}
	}
	if len(services) == 0 {
		svc := r.convert.empty(u.name)
		services = map[string]*model.Service{svc.Ref.Name: svc}
	}
	for _, name := range slices.SortedFunc(maps.Keys(services), strings.Compare) {
		svc := services[name]
		if told := u.told[name]; u.skipped || told == nil || !told.Equal(svc) {
			u.told[name] = svc
			r.sink.Upsert(svc)
		}
	}
	u.skipped, u.failures = false, 0
	r.name(u)
}

// sync tells the sink once everything was named.
func (r *runner) sync() {
	if r.listed && !r.synced && r.unnamed == 0 {
		r.synced = true
		r.sink.Synced()
	}
}
