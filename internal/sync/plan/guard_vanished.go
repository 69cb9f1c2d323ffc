package plan

import (
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// vanish empties an object that has lost its last endpoint, and deletes it when it has been empty for deleteAfter: until then its
// host answers at once that nobody is there, instead of being unknown.
//
//	last endpoint gone         deleteAfter, or released
//	─────────────────▶ emptied ─────────────────────────▶ deleted
func (r *review) vanish(v *view, old *notes, live *Live, policy *Policy) {
	empty := len(live.Object.ServiceEntry.Endpoints) == 0
	if empty && r.holdUnlisted(v, live, policy) {
		return
	}
	if !empty {
		r.update(v, live, withList(live.Object, nil), registryOf(live.Object))
		if !v.writable(policy) {
			// It is not emptied yet, and the time does not run.
			return
		}
	}
	since := old.emptiedSince(live.Object.Key, v.now)
	r.host.notes.emptied = append(r.host.notes.emptied, emptied{live.Object.Key, since})
	hold := objectHold(reason.Vanished, live.Object)
	hold.ID, hold.Since = holdID(reason.Vanished, live.Object.Key.String(), since), since
	hold.Until = since.Add(policy.DeleteAfter)
	hold.Detail = "No usable instance is left; the empty object goes in time, or by release."
	due := !v.now.Before(hold.Until) || v.released(policy, hold.ID)
	if empty && due {
		v.change(pending{Change: Change{Op: Delete, Key: live.Object.Key, Live: live}, registry: registryOf(live.Object), host: r.host.key})
		return
	}
	v.hold(hold)
}

// holdUnlisted keeps an empty object while a source of its Registry, or its unit, has not been read: nothing in it tells which source
// it came from, and an instance may yet be named.
func (r *review) holdUnlisted(v *view, live *Live, policy *Policy) bool {
	hold := objectHold(reason.Unsynced, live.Object)
	for _, id := range policy.Sources {
		s := v.sources[id]
		_, unread := s.unreadUnit(r.host)
		switch {
		case s.status.State == model.Listing:
			hold.Detail = "A source of its Registry has not finished its first full listing; it ends with that."
		case unread:
			hold.Guard = reason.Failing
			hold.Detail = "What it belongs to cannot be read now; it ends when the registry's answer makes sense again."
		default:
			continue
		}
		hold.set(v.keepIncident(incidentKey{hold.Guard, live.Object.Key.String()}))
		hold.Source = id
		v.hold(hold)
		return true
	}
	return false
}
