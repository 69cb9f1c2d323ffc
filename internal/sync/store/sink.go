package store

import (
	"errors"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// errForeign is the failure of a unit that a source named with another source's id, which only a bug in the source can bring about.
var errForeign = errors.New("internal error: the source named a service of another source")

// runSink is the sink of one run. Once the run has ended, or its source has been removed, it does nothing.
type runSink struct {
	store *Store
	rec   *record
}

var _ source.HintSink = (*runSink)(nil)

// lock locks the store and reports whether the run still counts; if it does not, the store is unlocked again.
func (k *runSink) lock() bool {
	k.store.mu.Lock()
	if k.rec.run != k {
		k.store.mu.Unlock()
		return false
	}
	return true
}

// end ends the run. An error means that what was read cannot be trusted to be current any more; none, that the run was asked to stop,
// which changes nothing.
func (k *runSink) end(err error) {
	if !k.lock() {
		return
	}
	defer k.store.mu.Unlock()
	k.rec.run = nil
	if k.rec.interrupt(nil, time.Now()) {
		k.store.touchStatus(k.rec)
	}
	if err == nil {
		return
	}
	state := model.Failing
	if k.rec.state == model.Listing {
		state = model.Listing
	}
	if k.rec.enter(state, err, time.Now()) {
		k.store.touchStatus(k.rec)
	}
}

// Upsert implements source.Sink.
func (k *runSink) Upsert(svc *model.Service) {
	if svc == nil || !k.lock() {
		return
	}
	defer k.store.mu.Unlock()
	if svc.Ref.Source != k.rec.id {
		k.fail(svc.Ref.Unit, errForeign)
		return
	}
	u := k.read(svc.Ref.Unit)
	e := u.services[svc.Ref.Name]
	if e == nil {
		e = &entry{}
		u.services[svc.Ref.Name] = e
	}
	e.named = k.rec.listing
	svc = resolveHealth(svc, e.service)
	if e.service != nil && svc.Equal(e.service) {
		return
	}
	e.service = compact(svc)
	k.store.touchServices(k.rec.set(svc.Ref, e.service))
}

// Delete implements source.Sink.
func (k *runSink) Delete(ref model.Ref) {
	if !k.lock() {
		return
	}
	defer k.store.mu.Unlock()
	if ref.Source != k.rec.id || k.rec.units[ref.Unit] == nil {
		return
	}
	u := k.read(ref.Unit)
	if ref.Name != "" {
		k.remove(u, ref)
		return
	}
	k.removeUnit(ref.Unit, u)
}

// Skip implements source.Sink.
func (k *runSink) Skip(ref model.Ref, err error) {
	if !k.lock() {
		return
	}
	defer k.store.mu.Unlock()
	k.fail(ref.Unit, err)
}

// Synced implements source.Sink. A unit that failed in this run is left alone, named or not: its retries are the source's business.
// One that failed in an earlier run and does not appear in this listing any more is gone like everything else.
func (k *runSink) Synced() {
	if !k.lock() {
		return
	}
	defer k.store.mu.Unlock()
	for name, u := range k.rec.units {
		if _, failing := k.rec.failures[name]; failing && u.named >= k.rec.begun {
			continue
		}
		if u.named != k.rec.listing {
			k.removeUnit(name, u)
			continue
		}
		for svcName, e := range u.services {
			if e.named != k.rec.listing {
				k.remove(u, model.Ref{Source: k.rec.id, Unit: name, Name: svcName})
			}
		}
	}
	k.rec.listing++
	if k.rec.enter(model.Synced, nil, time.Now()) {
		k.store.touchStatus(k.rec)
	}
}

// SetHints implements source.HintSink.
func (k *runSink) SetHints(hints ...model.Hint) {
	if !k.lock() {
		return
	}
	defer k.store.mu.Unlock()
	k.store.setHints(k.rec, hints)
}

// SetInterruption implements source.InterruptionSink.
func (k *runSink) SetInterruption(why error) {
	if !k.lock() {
		return
	}
	defer k.store.mu.Unlock()
	if k.rec.interrupt(why, time.Now()) {
		k.store.touchStatus(k.rec)
	}
}

// read returns the unit as one that was just read without error.
func (k *runSink) read(name string) *unit {
	u := k.rec.unit(name)
	u.read = true
	k.recovered(name)
	return u
}

// fail notes that a unit cannot be read.
func (k *runSink) fail(name string, err error) {
	text := "unknown error"
	if err != nil {
		text = err.Error()
	}
	failure := model.UnitFailure{Since: time.Now(), Err: text, Read: k.rec.unit(name).read}
	if last, failing := k.rec.failures[name]; failing {
		if last.Err == text {
			return
		}
		failure.Since = last.Since
	}
	k.rec.failures[name] = failure
	k.store.touchStatus(k.rec)
}

// recovered forgets the failure of a unit that was read again, or is gone.
func (k *runSink) recovered(name string) {
	if _, failing := k.rec.failures[name]; failing {
		delete(k.rec.failures, name)
		k.store.touchStatus(k.rec)
	}
}

// remove forgets one service.
func (k *runSink) remove(u *unit, ref model.Ref) {
	if u.services[ref.Name] == nil {
		return
	}
	delete(u.services, ref.Name)
	k.store.touchServices(k.rec.set(ref, nil))
}

// removeUnit forgets a unit and its services.
func (k *runSink) removeUnit(name string, u *unit) {
	for svcName := range u.services {
		k.remove(u, model.Ref{Source: k.rec.id, Unit: name, Name: svcName})
	}
	k.recovered(name)
	delete(k.rec.units, name)
}
