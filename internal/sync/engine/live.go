package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// ownWriteFor is how long our own write is believed against an output that still shows what was there before. An output that reads
// from a cache lags; one that shows the old state for longer than this really has it, because somebody undid our write.
const ownWriteFor = 10 * time.Second

// liveView is what the output holds: what it said last, overlaid with what we have written since.
type liveView struct {
	// current says that the output shows our writes at once, so what it says is always right.
	current bool
	base    []plan.Live
	// own are our writes that base need not show yet.
	own map[translate.Key]*ownWrite

	merged []plan.Live
	priors map[translate.Key]translate.Prior
	dirty  bool
}

// ownWrite is our last write of one key.
type ownWrite struct {
	// live is the object as written, nil when it was deleted.
	live *plan.Live
	// superseded are the versions that our writes replaced, "" for no object: a reader that shows one of them lags behind.
	superseded []string
	at         time.Time
}

func newLiveView() liveView {
	return liveView{own: map[translate.Key]*ownWrite{}, priors: map[translate.Key]translate.Prior{}}
}

// version tells two states of one key apart, "" for no object.
func version(l *plan.Live) string {
	if l == nil {
		return ""
	}
	return l.UID + "/" + l.ResourceVersion
}

func find(list []plan.Live, key translate.Key) *plan.Live {
	i, found := slices.BinarySearchFunc(list, key, func(l plan.Live, key translate.Key) int { return l.Object.Key.Compare(key) })
	if !found {
		return nil
	}
	return &list[i]
}

// read takes what the output said now.
func (v *liveView) read(fresh []plan.Live, now time.Time) {
	for key, own := range v.own {
		lags := !v.current && slices.Contains(own.superseded, version(find(fresh, key)))
		if !lags || now.Sub(own.at) >= ownWriteFor {
			delete(v.own, key)
			v.dirty = true
		}
	}
	if len(fresh) != len(v.base) || (len(fresh) > 0 && &fresh[0] != &v.base[0]) {
		v.dirty = true
	}
	v.base = fresh
}

// wrote takes a write that succeeded over what the plan had seen, nil for a create.
func (v *liveView) wrote(r output.Result, seen *plan.Live, now time.Time) {
	own := &ownWrite{live: r.Live, at: now}
	if last := v.own[r.Key]; last != nil {
		own.superseded = last.superseded
	}
	own.superseded = append(own.superseded, version(seen))
	v.own[r.Key] = own
	v.dirty = true
}

// list returns what is live, sorted by key, and what of it makes the next translation sticky. Neither is changed later.
func (v *liveView) list() ([]plan.Live, map[translate.Key]translate.Prior) {
	if v.dirty {
		last := v.merged
		v.merged = v.merge()
		v.priors = updatePriors(v.priors, last, v.merged)
		v.dirty = false
	}
	return v.merged, v.priors
}

// merge lays our own writes over what the output said.
func (v *liveView) merge() []plan.Live {
	if len(v.own) == 0 {
		return v.base
	}
	merged := make([]plan.Live, 0, len(v.base)+len(v.own))
	rest := v.base
	for _, key := range slices.SortedFunc(maps.Keys(v.own), translate.Key.Compare) {
		i, found := slices.BinarySearchFunc(rest, key, func(l plan.Live, key translate.Key) int { return l.Object.Key.Compare(key) })
		merged = append(merged, rest[:i]...)
		if found {
			i++
		}
		rest = rest[i:]
		if live := v.own[key].live; live != nil {
			merged = append(merged, *live)
		}
	}
	return append(merged, rest...)
}

// updatePriors returns priors as the change from last to now makes them: the same map when nothing changed, else a new one that shares
// what did not.
func updatePriors(priors map[translate.Key]translate.Prior, last, now []plan.Live) map[translate.Key]translate.Prior {
	copied := false
	edit := func() map[translate.Key]translate.Prior {
		if !copied {
			priors, copied = maps.Clone(priors), true
		}
		return priors
	}
	for len(last) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(last) > 0 && last[0].Object.Key.Compare(now[0].Object.Key) < 0:
			delete(edit(), last[0].Object.Key)
			last = last[1:]
		case len(last) == 0 || last[0].Object.Key != now[0].Object.Key:
			edit()[now[0].Object.Key] = translate.PriorOf(now[0].Object)
			now = now[1:]
		default:
			if last[0].Object != now[0].Object {
				edit()[now[0].Object.Key] = translate.PriorOf(now[0].Object)
			}
			last, now = last[1:], now[1:]
		}
	}
	return priors
}
