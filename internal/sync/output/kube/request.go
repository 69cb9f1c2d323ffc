package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// noVersion is a resource version that no object ever has: etcd counts from 1, and its first write gets 2.
const noVersion = "1"

var (
	errForeign = fmt.Errorf("%w: there is an object of this name that is not ours", output.ErrTaken)
	// errForeignOther is about other kinds than ServiceEntries. It is no ErrTaken: no Check tells when it ends.
	errForeignOther = fmt.Errorf("%w: there is an object of this name and kind that is not ours", output.ErrRefused)
	// errNoRouting is why DestinationRules and EnvoyFilters are not written.
	errNoRouting = fmt.Errorf("%w: it is not allowed to write EnvoyFilters (--envoy-filters; dubbo.envoyFilters in the values of the chart)", output.ErrRefused)
)

// Check implements output.Checker: an object must not be created when somebody else has its name or its host. Objects that are live
// stay.
func (k *Kube) Check(c plan.Change) error {
	switch kind := c.Key.Kind; {
	case kind == translate.KindDestinationRule && k.opts.Routing && c.Live == nil && k.neighbours.hasRule(c.Object.DestinationRule.Host):
		return fmt.Errorf("%w: somebody else has a DestinationRule for the host %q", output.ErrTaken, c.Object.DestinationRule.Host)
	case !k.opts.Routing && (kind == translate.KindDestinationRule || kind == translate.KindEnvoyFilter):
		return errNoRouting
	case !createsEntry(c):
		return nil
	}
	for _, feed := range k.feeds() {
		owner, found := k.claims[feed].find(c.Object)
		switch {
		case found && feed != feedServices && owner == (types.NamespacedName{Namespace: c.Key.Namespace, Name: c.Key.Name}):
			return errForeign
		case found:
			kind := "ServiceEntry"
			if feed == feedServices {
				kind = "Service"
			}
			return fmt.Errorf("%w: %s: the host %q belongs to %s %s", output.ErrTaken, reason.HostConflict, c.Object.ServiceEntry.Host, kind, owner)
		}
	}
	return nil
}

// createsEntry reports whether a change creates a ServiceEntry: with an object, or for WorkloadEntries that have lost theirs.
func createsEntry(c plan.Change) bool {
	switch {
	case c.Object == nil || c.Object.ServiceEntry == nil:
		return false
	case c.Live == nil:
		return true
	}
	return c.Live.Stored != nil && (*c.Live.Stored)[0].Object.ServiceEntry == nil && len(c.Object.ServiceEntry.Ports) > 0
}

// send carries out one change and returns what is live then, nil after a Delete.
func (k *Kube) send(ctx context.Context, c plan.Change) (*plan.Live, error) {
	var live *plan.Live
	var err error
	if c.Op == plan.Delete {
		err = k.remove(ctx, c)
	} else {
		live, err = k.apply(ctx, c)
	}
	if apierrors.IsConflict(err) || c.Live != nil && isGone(err) {
		return nil, k.lookAgain(ctx, c, err)
	}
	return live, err
}

// remove deletes exactly the object that the plan saw.
func (k *Kube) remove(ctx context.Context, c plan.Change) error {
	uid := types.UID(c.Live.UID)
	body, err := json.Marshal(metav1.DeleteOptions{
		TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &c.Live.ResourceVersion},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", output.ErrRefused, err)
	}
	if _, err := k.do(ctx, k.objects.Delete().Body(body), c.Key); err != nil {
		return err
	}
	k.mirror.forget(c.Key, uid)
	return nil
}

// apply writes an object by server-side apply.
func (k *Kube) apply(ctx context.Context, c plan.Change) (*plan.Live, error) {
	fields, err := manifest.Map(c.Object)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", output.ErrRefused, err)
	}
	before := &item{ObjectMeta: metav1.ObjectMeta{ResourceVersion: noVersion}}
	if c.Live != nil {
		before.ResourceVersion, before.UID = c.Live.ResourceVersion, types.UID(c.Live.UID)
	}
	after, err := k.patch(ctx, c.Key, fields, before)
	if err == nil {
		after, err = k.takeOver(ctx, c.Object, fields, after)
	}
	if err != nil {
		return nil, err
	}
	if after.object == nil || !plan.Satisfies(after.object, c.Object) {
		k.mirror.saw(after)
		return nil, fmt.Errorf("%w: the API server stores something else than what was written; a mutating webhook may change it", output.ErrRefused)
	}
	return k.mirror.wrote(after, c.Object), nil
}

func hasEndpoints(i *item) bool {
	return i.object != nil && i.object.ServiceEntry != nil && len(i.object.ServiceEntry.Endpoints) > 0
}

// patch sends one server-side apply that holds only for the given version of the object.
func (k *Kube) patch(ctx context.Context, key translate.Key, fields map[string]any, before *item) (*item, error) {
	fields["apiVersion"] = k.resourceOf(key.Kind).GroupVersion().String()
	metadata, _ := fields["metadata"].(map[string]any)
	metadata["resourceVersion"] = before.ResourceVersion
	if before.UID != "" {
		metadata["uid"] = string(before.UID)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", output.ErrRefused, err)
	}
	request := k.objects.Patch(types.ApplyPatchType).Param("fieldManager", FieldManager).Param("force", "true").Body(body)
	return k.do(ctx, request, key)
}

// takeOver drops from an object that was just applied what somebody else has applied too, and keeps, and what must not be there.
func (k *Kube) takeOver(ctx context.Context, want *translate.Object, fields map[string]any, after *item) (*item, error) {
	switch {
	case after.object == nil:
	case want.EnvoyFilter != nil && after.object.EnvoyFilter.Unknown != "":
		return k.strip(ctx, want.Key, after)
	case hasEndpoints(after) && want.ServiceEntry.Mode == translate.Inline && len(want.ServiceEntry.Endpoints) == 0:
		// An empty list takes them over, and then goes.
		if err := unstructured.SetNestedSlice(fields, []any{}, "spec", "endpoints"); err != nil {
			return nil, err
		}
		after, err := k.patch(ctx, want.Key, fields, after)
		if err != nil {
			return nil, err
		}
		unstructured.RemoveNestedField(fields, "spec", "endpoints")
		return k.patch(ctx, want.Key, fields, after)
	}
	return after, nil
}

// strip takes from an EnvoyFilter the selectors that somebody added: an apply leaves what others own, and with a selector the table would
// not be there for all proxies.
func (k *Kube) strip(ctx context.Context, key translate.Key, before *item) (*item, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": before.ResourceVersion, "uid": string(before.UID)},
		"spec":     map[string]any{"workloadSelector": nil, "targetRefs": nil},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", output.ErrRefused, err)
	}
	return k.do(ctx, k.rest.Patch(types.MergePatchType).Param("fieldManager", FieldManager).Body(body), key)
}

// lookAgain reads an object that is not what the plan saw, so that the next plan sees it, and returns the error of the write: a name
// that somebody else has will not become free by itself.
func (k *Kube) lookAgain(ctx context.Context, c plan.Change, conflict error) error {
	k.limiter.Reserve() // It need not wait, but it counts.
	there, err := k.do(ctx, k.objects.Get(), c.Key)
	switch {
	case isGone(err) && c.Live != nil:
		k.mirror.forget(c.Key, types.UID(c.Live.UID))
	case err != nil:
		return fmt.Errorf("%w: %w", output.ErrConflict, conflict) // The watch tells, or the next attempt does.
	case there.object == nil && c.Op == plan.Create && c.Key.Kind != translate.KindServiceEntry:
		return errForeignOther
	case there.object == nil && c.Op == plan.Create:
		return errForeign
	default:
		k.mirror.saw(there)
	}
	return fmt.Errorf("%w: %w", output.ErrConflict, conflict)
}

// errNotLeader is why nothing is sent by a process that does not own the objects now.
var errNotLeader = fmt.Errorf("%w: %w", output.ErrOutput, errLease)

// do sends a request about one object and reads the answer. Nothing is sent twice, and nothing beyond Options.Until.
func (k *Kube) do(ctx context.Context, request *rest.Request, key translate.Key) (*item, error) {
	until := k.until()
	if !time.Now().Before(until) {
		return nil, errNotLeader
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	served := k.resourceOf(key.Kind)
	result := request.AbsPath("/apis", served.Group, served.Version, "namespaces", key.Namespace, served.Resource, key.Name).
		MaxRetries(0).Do(ctx)
	// Error, unlike Raw, reads what the API server says about an error.
	if err := result.Error(); err != nil {
		return nil, err
	}
	text, err := result.Raw()
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(text, &u.Object); err != nil {
		return nil, fmt.Errorf("read the answer of the API server: %w", err)
	}
	return read(u, k.opts.Instance), nil
}

// classify turns the error of a request into one of the engine's, with the wait that the API server asked for.
func classify(err error) (time.Duration, error) {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, output.ErrConflict), errors.Is(err, output.ErrRefused), errors.Is(err, output.ErrOutput):
		return 0, err
	case errors.Is(err, context.DeadlineExceeded):
		return 0, fmt.Errorf("%w: %w: %w", output.ErrOutput, errServer, err)
	case !errors.As(err, &status):
		return 0, fmt.Errorf("%w: %w", output.ErrOutput, err)
	}
	seconds, _ := apierrors.SuggestsClientDelay(err)
	after := time.Duration(seconds) * time.Second
	switch code := status.Status().Code; {
	case code == http.StatusConflict:
		return 0, fmt.Errorf("%w: %w", output.ErrConflict, err)
	case code == http.StatusInternalServerError:
		return after, fmt.Errorf("%w: %w: %w", output.ErrOutput, errServer, err)
	case code == http.StatusUnauthorized, code == http.StatusRequestTimeout, code == http.StatusTooManyRequests,
		code > http.StatusInternalServerError, code == http.StatusNotFound && !isGone(err):
		return after, fmt.Errorf("%w: %w", output.ErrOutput, err)
	}
	return 0, fmt.Errorf("%w: %w", output.ErrRefused, err)
}

// isGone reports whether an error says that an object, or its namespace, does not exist; and not that the kind is not served.
func isGone(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Name != ""
}
