package installation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// AnnotationResume on a Registry that is paused has the mode that Resume goes back to, where that is not Active.
const AnnotationResume = v1alpha1.Group + "/resume-mode"

// releaseManager is the field manager of the annotation that releases, so that the API server notes when it was last written.
const releaseManager = FieldManager + "-release"

// releaseKept is how long a released id stays in the annotation after its hold has gone from the status: what the hold kept back goes in
// several steps, and all of them need the release.
const releaseKept = 10 * time.Minute

var (
	// ErrNoRegistry says that there is no Registry of that name.
	ErrNoRegistry = errors.New("no such Registry")
	// ErrNoHold says that a Registry has no hold of that id.
	ErrNoHold = errors.New("no such hold")
	// ErrFixed says that a hold is one that nobody can release.
	ErrFixed = errors.New("nobody can release it")
)

// Registry is one Registry of an API server, which may not exist.
type Registry struct {
	Client client.Client
	Name   types.NamespacedName
}

// Read reads it; ErrNoRegistry when it does not exist.
func (r Registry) Read(ctx context.Context) (*v1alpha1.Registry, error) {
	read := &v1alpha1.Registry{}
	err := r.Client.Get(ctx, r.Name, read)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: %s", ErrNoRegistry, r.Name)
	case err != nil:
		return nil, fmt.Errorf("read Registry %s: %w", r.Name, err)
	}
	return read, nil
}

// Pause stops the writes of the Registry. It returns the mode that it had.
func (r Registry) Pause(ctx context.Context) (v1alpha1.Mode, error) {
	return patch(ctx, r, FieldManager, func(seen *v1alpha1.Registry) (map[string]any, v1alpha1.Mode) {
		if seen.Spec.Mode == v1alpha1.ModePaused {
			return nil, seen.Spec.Mode
		}
		var resume any // Active is not noted: it is what everybody expects.
		if seen.Spec.Mode == v1alpha1.ModeObserve {
			resume = v1alpha1.ModeObserve
		}
		return changes(AnnotationResume, resume, v1alpha1.ModePaused), seen.Spec.Mode
	})
}

// Resume ends what Pause began: the Registry gets the mode back that it had. It returns that mode; a Registry that is not paused stays as it
// is.
func (r Registry) Resume(ctx context.Context) (v1alpha1.Mode, error) {
	return patch(ctx, r, FieldManager, func(seen *v1alpha1.Registry) (map[string]any, v1alpha1.Mode) {
		if seen.Spec.Mode != v1alpha1.ModePaused {
			return nil, seen.Spec.Mode
		}
		mode := v1alpha1.ModeActive
		if seen.Annotations[AnnotationResume] == string(v1alpha1.ModeObserve) {
			mode = v1alpha1.ModeObserve
		}
		return changes(AnnotationResume, nil, mode), mode
	})
}

// changes is a merge patch of an annotation and, unless it is empty, of the mode.
func changes(annotation string, value any, mode v1alpha1.Mode) map[string]any {
	fields := map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotation: value}}}
	if mode != "" {
		fields["spec"] = map[string]any{"mode": mode}
	}
	return fields
}

// patch changes a Registry, unless decide returns no fields. It returns what decide returned of the version that was changed.
func patch[T any](ctx context.Context, r Registry, manager string, decide func(*v1alpha1.Registry) (map[string]any, T)) (T, error) {
	var result T
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		seen, err := r.Read(ctx)
		if err != nil {
			return err
		}
		var fields map[string]any
		if fields, result = decide(seen); fields == nil {
			return nil
		}
		if metadata, ok := fields["metadata"].(map[string]any); ok {
			metadata["resourceVersion"] = seen.ResourceVersion // Nothing is overwritten that was not looked at.
		}
		body, err := json.Marshal(fields)
		if err != nil {
			return fmt.Errorf("encode the change: %w", err)
		}
		return r.Client.Patch(ctx, seen, client.RawPatch(types.MergePatchType, body), client.FieldOwner(manager))
	})
	if err != nil && !errors.Is(err, ErrNoRegistry) {
		err = fmt.Errorf("change Registry %s: %w", r.Name, err)
	}
	return result, err
}

// CheckRelease reports what is wrong with releasing these holds of a Registry: ids that its status does not have, and holds that nobody can
// release.
func CheckRelease(r *v1alpha1.Registry, ids []string) error {
	var errs []error
	for _, id := range ids {
		at := slices.IndexFunc(r.Status.Holds, func(h v1alpha1.HoldStatus) bool { return h.ID == id })
		switch {
		case at < 0:
			errs = append(errs, fmt.Errorf("%w: Registry %s/%s does not hold anything as %s now", ErrNoHold, r.Namespace, r.Name, id))
		case !reason.Releasable(reason.Reason(r.Status.Holds[at].Guard)):
			errs = append(errs, fmt.Errorf("%s is held by %s: %w", id, r.Status.Holds[at].Guard, ErrFixed))
		}
	}
	return errors.Join(errs...)
}

// Release ends holds of the Registry, by adding their ids to its annotation. Ids there that stand for nothing any more are taken out, once the
// annotation has not been changed for 10 minutes. It returns the ids that are in the annotation afterwards.
func (r Registry) Release(ctx context.Context, ids []string, now time.Time) ([]string, error) {
	return patch(ctx, r, releaseManager, func(seen *v1alpha1.Registry) (map[string]any, []string) {
		var next []string
		for _, id := range slices.Concat(seen.Released(), ids) {
			asked := slices.Contains(ids, id)
			if !slices.Contains(next, id) && (asked || !stale(seen, id, now)) {
				next = append(next, id)
			}
		}
		return changes(v1alpha1.AnnotationRelease, strings.Join(next, ","), ""), next
	})
}

// stale reports whether an id that was released stands for nothing any more.
func stale(r *v1alpha1.Registry, id string, now time.Time) bool {
	s := &r.Status
	if int(s.HoldCount) > len(s.Holds) {
		return false // The status does not name all of them.
	}
	if slices.ContainsFunc(s.Holds, func(h v1alpha1.HoldStatus) bool { return h.ID == id }) {
		return false
	}
	for i := range r.ManagedFields {
		if m := &r.ManagedFields[i]; m.Manager == releaseManager && m.Time != nil {
			return now.Sub(m.Time.Time) > releaseKept
		}
	}
	return false // Somebody has written it in another way, and we do not know when.
}

// ErrHeld says that what was released is still held.
var ErrHeld = errors.New("it is still held")

// AwaitReleased waits until the status of the Registry has none of these holds any more. It returns ErrHeld when ctx ends before.
func (r Registry) AwaitReleased(ctx context.Context, ids []string) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		seen, err := r.Read(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && !slices.ContainsFunc(seen.Status.Holds, func(h v1alpha1.HoldStatus) bool { return slices.Contains(ids, h.ID) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: the annotation is written, and Registry %s has not followed yet; does a bridge run, and lead?", ErrHeld, r.Name)
		case <-ticker.C:
		}
	}
}
