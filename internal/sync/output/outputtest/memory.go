package outputtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Memory is an output and its Place in memory, with faults on demand. It may be used from any goroutine; the zero value is empty.
type Memory struct {
	mu      sync.Mutex
	version int
	objects map[translate.Key]*stored
	joiner  pieces.Joiner
	writes  []Written
	faults  Faults
}

var (
	_ output.Output = (*Memory)(nil)
	_ Place         = (*Memory)(nil)
)

// Faults are what goes wrong in a Memory. Functions that are nil do nothing.
type Faults struct {
	// Live is called before each Live, Write before each change of one stored object; what they return is the error.
	Live  func() error
	Write func(c plan.Change) (retryAfter time.Duration, err error)
	// Slots is how many stored objects one Write changes, 0 for all.
	Slots int
}

// Written is one change of a stored object that a Memory was asked to make.
type Written struct {
	Key  translate.Key
	Op   plan.Op
	Time time.Time
	Err  error
}

type stored struct {
	manifest map[string]any
	live     *plan.Live
}

// Open implements Place: the same objects, as a new process would read them.
func (m *Memory) Open(t *testing.T) output.Output {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.objects {
		if object, err := manifest.Parse(s.manifest); err == nil && s.live != nil {
			s.live = &plan.Live{Object: object, ResourceVersion: s.live.ResourceVersion}
		}
	}
	m.joiner = pieces.Joiner{}
	return m
}

// Get implements Place.
func (m *Memory) Get(t *testing.T, key translate.Key) map[string]any {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.objects[key]; s != nil {
		return deepCopy(s.manifest)
	}
	return nil
}

// Put implements Place.
func (m *Memory) Put(t *testing.T, key translate.Key, object map[string]any) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	parsed, err := manifest.Parse(object)
	if err != nil {
		t.Fatal(err)
	}
	m.store(key, deepCopy(object), parsed)
}

// Remove implements Place.
func (m *Memory) Remove(t *testing.T, key translate.Key) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// Break replaces what goes wrong from now on.
func (m *Memory) Break(f Faults) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = f
}

// Writes returns every change that the Memory was asked to make so far.
func (m *Memory) Writes() []Written {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.writes)
}

// Keys returns the keys of everything that is stored, sorted.
func (m *Memory) Keys() []translate.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.objects), translate.Key.Compare)
}

// Endpoints returns the addresses and ports ("address:port") behind each host, sorted. A host without endpoints has an empty list.
func (m *Memory) Endpoints() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	hosts := map[string][]string{}
	for _, live := range m.joined() {
		se := live.Object.ServiceEntry
		list := hosts[se.Host]
		if list == nil {
			list = []string{}
		}
		for i := range se.Endpoints {
			list = append(list, fmt.Sprintf("%s:%d", se.Endpoints[i].Address, se.Endpoints[i].Port()))
		}
		slices.Sort(list)
		hosts[se.Host] = list
	}
	return hosts
}

// Live implements output.Output.
func (m *Memory) Live(context.Context) ([]plan.Live, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.faults.Live != nil {
		if err := m.faults.Live(); err != nil {
			return nil, err
		}
	}
	return m.joined(), nil
}

// joined returns what is ours.
func (m *Memory) joined() []plan.Live {
	live := []plan.Live{}
	for _, key := range slices.SortedFunc(maps.Keys(m.objects), translate.Key.Compare) {
		if s := m.objects[key]; s.live != nil {
			live = append(live, *s.live)
		}
	}
	return m.joiner.Join(live)
}

// Write implements output.Output.
func (m *Memory) Write(_ context.Context, p plan.Plan) []output.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	var results []output.Result
	sent := 0
	proceed := func() bool { return m.faults.Slots == 0 || sent < m.faults.Slots }
	for _, c := range slices.Concat(p.Apply, p.Delete) {
		var after time.Duration
		r, tried := pieces.Write(c, func(c plan.Change) (live *plan.Live, err error) {
			sent++
			if m.faults.Write != nil {
				after, err = m.faults.Write(c)
			}
			if err == nil {
				live, err = m.write(c)
			}
			m.writes = append(m.writes, Written{Key: c.Key, Op: c.Op, Time: time.Now(), Err: err})
			return live, err
		}, proceed)
		if !tried {
			break
		}
		r.RetryAfter = after
		m.joiner.Wrote(r.Live)
		results = append(results, r)
	}
	return results
}

func (m *Memory) write(c plan.Change) (*plan.Live, error) {
	there := m.objects[c.Key]
	switch {
	case c.Live == nil && there != nil && there.live == nil:
		return nil, fmt.Errorf("%w: foreign object", output.ErrRefused)
	case c.Live == nil && there != nil,
		c.Live != nil && (there == nil || there.live == nil || there.live.ResourceVersion != c.Live.ResourceVersion):
		return nil, output.ErrConflict
	}
	if c.Op == plan.Delete {
		delete(m.objects, c.Key)
		return nil, nil
	}
	merged, err := manifest.Map(c.Object)
	if there != nil {
		merged, err = manifest.Overlay(there.manifest, c.Object)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", output.ErrRefused, err)
	}
	return m.store(c.Key, merged, c.Object), nil
}

// store stores an object and returns it as live, nil when it is not ours.
func (m *Memory) store(key translate.Key, text map[string]any, object *translate.Object) *plan.Live {
	if m.objects == nil {
		m.objects = map[translate.Key]*stored{}
	}
	m.version++
	s := &stored{manifest: text}
	if object.Labels[translate.LabelManagedBy] == translate.ManagedBy && object.Labels[translate.LabelInstance] == Instance {
		s.live = &plan.Live{Object: object, ResourceVersion: strconv.Itoa(m.version)}
	}
	m.objects[key] = s
	return s.live
}

// deepCopy copies the maps and lists of a manifest.
func deepCopy(from map[string]any) map[string]any {
	to := make(map[string]any, len(from))
	for k, v := range from {
		switch v := v.(type) {
		case map[string]any:
			to[k] = deepCopy(v)
		case []any:
			list := slices.Clone(v)
			for i := range list {
				if m, ok := list[i].(map[string]any); ok {
					list[i] = deepCopy(m)
				}
			}
			to[k] = list
		default:
			to[k] = v
		}
	}
	return to
}
