package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
)

const (
	// writeBudget is how long Write goes on beginning new requests behind the first. What comes up meanwhile, such as the removal of an
	// endpoint while thousands of objects are created, waits for its end.
	writeBudget = 250 * time.Millisecond
	// requestTimeout is how long the requests of one Write may take together. An API server that needs longer is one that does not
	// answer.
	requestTimeout = 3 * time.Second
	// maxServerErrors is how many objects may end with an errServer before nothing more is tried, as long as no other was written.
	maxServerErrors = 3
)

// errServer marks an error that may be about one object only: a 500, or no answer in time. A webhook that breaks or hangs on one object
// looks like that, and so does one that is down.
var errServer = errors.New("the API server had an error")

// Write implements output.Output. What removes endpoints is written before everything else begins, and so on, class by class.
func (k *Kube) Write(ctx context.Context, p plan.Plan) []output.Result {
	ctx, cancel := context.WithTimeout(quiet(ctx), requestTimeout)
	defer cancel()
	w := &writing{kube: k, begin: time.Now()}
	changes := slices.Concat(p.Apply, p.Delete)
	for len(changes) > 0 && !w.stopped {
		end := slices.IndexFunc(changes, func(c plan.Change) bool { return c.Op != changes[0].Op })
		if end < 0 {
			end = len(changes)
		}
		w.class(ctx, changes[:end])
		changes = changes[end:]
	}
	w.judge()
	if w.tooMany {
		k.parallel = max(1, k.parallel/2)
	} else {
		k.parallel = min(inFlight, k.parallel+1)
	}
	return w.results
}

// writing is one Write under way.
type writing struct {
	kube  *Kube
	begin time.Time

	mu      sync.Mutex
	results []output.Result
	// admitted says that a request was begun, stopped that nothing more is.
	admitted, stopped bool
	// written and serverErrors count how requests ended; tooMany says that one was too many (429).
	written, serverErrors int
	tooMany               bool
}

// class writes changes of one kind, and returns when all that was begun has ended: the first stage of each change, then the second of
// each, and so on.
func (w *writing) class(ctx context.Context, changes []plan.Change) {
	objects := make([]*pieces.Writing, len(changes))
	for n := range changes {
		objects[n] = pieces.Begin(changes[n])
	}
	for !w.stopped {
		var stage []request
		for _, object := range objects {
			for _, c := range object.Next() {
				stage = append(stage, request{object, c})
			}
		}
		if len(stage) == 0 {
			break
		}
		w.stage(ctx, stage)
	}
	for _, object := range objects {
		if r, tried := object.Result(); tried {
			r.Live = w.kube.mirror.settle(r.Live)
			w.results = append(w.results, r)
		}
	}
}

// request is the write of one object of the API server, and what it is a part of.
type request struct {
	of     *pieces.Writing
	change plan.Change
}

// stage sends requests, several at a time, and returns when all that were begun have ended.
func (w *writing) stage(ctx context.Context, requests []request) {
	results := make([]*output.Result, len(requests))
	next := 0
	take := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.stopped || next == len(requests) {
			return -1
		}
		next++
		return next - 1
	}
	var group sync.WaitGroup
	for range min(w.kube.parallel, len(requests)) {
		group.Go(func() {
			for n := take(); n >= 0; n = take() {
				results[n] = w.write(ctx, requests[n].change)
			}
		})
	}
	group.Wait()
	for n, r := range results {
		if r != nil {
			requests[n].of.Done(*r)
		}
	}
}

// write sends one request; nil when there was no time for it.
func (w *writing) write(ctx context.Context, c plan.Change) *output.Result {
	r := &output.Result{Key: c.Key, Op: c.Op}
	if r.Err = w.kube.Check(c); r.Err != nil {
		return r
	}
	if !w.admit(ctx) {
		return nil
	}
	var err error
	r.Live, err = w.kube.send(ctx, c)
	r.RetryAfter, r.Err = classify(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tooMany = w.tooMany || apierrors.IsTooManyRequests(err)
	switch {
	case r.Err == nil:
		w.written++
	case errors.Is(r.Err, errServer):
		w.serverErrors++
		w.stopped = w.stopped || w.written == 0 && w.serverErrors >= maxServerErrors
	case errors.Is(r.Err, output.ErrOutput):
		w.stopped = true
	}
	return r
}

// admit waits until a request may be sent. It reports false, and ends the writing, when that does not come within the budget; the first
// request waits for as long as there is, so that a busy machine gets on.
func (w *writing) admit(ctx context.Context) bool {
	w.mu.Lock()
	if w.admitted {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, w.begin.Add(writeBudget))
		defer cancel()
	}
	w.admitted = true
	w.mu.Unlock()
	if w.kube.limiter.Wait(ctx) == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	return false
}

// judge decides what each errServer was about: its object, unless there are several and no object was written.
func (w *writing) judge() {
	if w.written == 0 && w.serverErrors >= maxServerErrors {
		return
	}
	for i := range w.results {
		if r := &w.results[i]; errors.Is(r.Err, errServer) {
			r.Err = fmt.Errorf("%w: %v", output.ErrFailed, r.Err) //nolint:errorlint // It is no ErrOutput any more.
			r.RetryAfter = 0
		}
	}
}
