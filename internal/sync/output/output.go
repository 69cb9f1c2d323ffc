// Package output is the contract between the engine and the place where objects live: a Kubernetes API server, or a folder that
// istiod reads.
package output

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Output holds the objects. It is used by one goroutine, the engine's.
type Output interface {
	// Live returns what this bridge owns in the output now, sorted by key. An object that did not change since the last call
	// is the same pointer. An error means that nothing may be concluded.
	Live(ctx context.Context) ([]plan.Live, error)
	// Write carries out a plan in its order and returns within about a second; what it did not send, the next plan finds again.
	// There is one Result for each change that was tried.
	Write(ctx context.Context, p plan.Plan) []Result
}

// Notifier is an Output that hears of changes by itself. Its Live costs nothing when there is none, and shows a Write of ours as soon as
// that has returned.
type Notifier interface {
	// Changed receives a value when Live may say something that no Write of ours has made, also after the first time that it can
	// say anything. Several changes may be one value.
	Changed() <-chan struct{}
}

// Surveyor is an Output that sees what others have beside our objects.
type Surveyor interface {
	// Foreign returns the same pointer as long as nothing of it changes, nil when nobody looks. When it changes, a Notifier tells.
	Foreign() *translate.Foreign
}

// Checker is an Output that knows of some changes, without trying them, that it would refuse.
type Checker interface {
	// Check returns why Write would refuse the change now, an ErrTaken; nil when it would try. When that ends, a Notifier tells.
	Check(c plan.Change) error
}

// Result is how one write ended.
type Result struct {
	Key translate.Key
	Op  plan.Op
	// Live is the object as written, so that the engine need not wait until it reads its own write; nil after a Delete or an
	// error. Of an object that is stored in several pieces it is what is live now, also after an error.
	Live *plan.Live
	// More says that a part of the change was written, and another part was not tried for want of time: the next plan finds it. An
	// error is about what was tried then, and the next plan finds that, too.
	More bool
	Err  error
	// RetryAfter is what the output asked for, 0 for nothing.
	RetryAfter time.Duration
}

// How a write failed, told apart with errors.Is.
var (
	// ErrConflict: the object is not what the plan saw. Read again, plan again, at once.
	ErrConflict = errors.New("object changed since it was read")
	// ErrRefused: the output refuses this object. It backs off alone.
	ErrRefused = errors.New("object refused")
	// ErrTaken is an ErrRefused: somebody else has the name or the host of this object. When a Checker does not say so any more, it is
	// tried again at once.
	ErrTaken = fmt.Errorf("%w because of another one", ErrRefused)
	// ErrFailed: the output failed, perhaps over this object only. It backs off alone, as long as the output would at most.
	ErrFailed = errors.New("object could not be written")
	// ErrOutput: the output as a whole is in trouble. Everything backs off.
	ErrOutput = errors.New("output unavailable")
)
