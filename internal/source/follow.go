package source

import (
	"context"
	"maps"
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// Content is what one complete read of a registry found.
type Content struct {
	// Services are those that could be understood, each Ref once. They are not changed any more.
	Services []*model.Service
	// Unreadable has what is wrong with each unit that is there and cannot be read or understood, by Ref.Unit. A unit is here or has
	// services, not both.
	Unreadable map[string]error
}

// Follow is the Run of a source that reads its registry, id, as a whole. It names what next returns: everything of the first content, then
// Synced, and of each later one what is different. It returns the error of next, nil once ctx has ended.
//
// Next returns at once when it is called first, and later when there is news or could be; it ends with ctx.
func Follow(ctx context.Context, sink Sink, id model.SourceID, next func(ctx context.Context) (Content, error)) error {
	f := follower{sink: sink, id: id, known: map[model.Ref]*model.Service{}}
	for synced := false; ; synced = true {
		content, err := next(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // Ended on request; what else went wrong meanwhile is of no interest.
		}
		if err != nil {
			return err
		}
		f.name(content)
		if !synced {
			sink.Synced()
		}
	}
}

// follower knows what was named.
type follower struct {
	sink  Sink
	id    model.SourceID
	known map[model.Ref]*model.Service
	// skipped are the units that were named as unreadable last.
	skipped map[string]error
}

// name names what is different from the content before. Additions come first, so that a service that moves to another unit is never
// absent.
func (f *follower) name(c Content) {
	now := make(map[model.Ref]*model.Service, len(c.Services))
	units := make(map[string]bool, len(c.Services))
	for _, svc := range c.Services {
		now[svc.Ref], units[svc.Ref.Unit] = svc, true
		last := f.known[svc.Ref]
		if _, failed := f.skipped[svc.Ref.Unit]; failed || last == nil || !last.Equal(svc) {
			f.sink.Upsert(svc)
		}
	}
	for _, unit := range slices.Sorted(maps.Keys(c.Unreadable)) {
		f.sink.Skip(model.Ref{Source: f.id, Unit: unit}, c.Unreadable[unit])
	}
	for ref, svc := range f.known {
		if _, failed := c.Unreadable[ref.Unit]; failed {
			now[ref] = svc // Its last state stays, so it is still to be taken back once the unit can be read.
		} else if now[ref] == nil {
			f.sink.Delete(ref)
		}
	}
	for unit := range f.skipped {
		if _, failed := c.Unreadable[unit]; !failed && !units[unit] {
			f.sink.Delete(model.Ref{Source: f.id, Unit: unit})
		}
	}
	f.known, f.skipped = now, c.Unreadable
}
