// Package source is the contract between a registry and the rest of the program: a Source watches one scope of one registry and
// names what it finds to a Sink.
//
// Failure has three sizes, and each has its own way out:
//
//	an instance makes no sense           -> Instance.Problem inside its service
//	a unit cannot be read or understood  -> Sink.Skip; the source retries the unit with its own backoff
//	the connection or the listing fails  -> Run returns the error; Supervise restarts it, the store keeps the last good state
//
// Nothing is ever reported from what is left of a failed read.
package source

import (
	"context"
	"errors"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// Source is the running watcher of one scope of a Registry. Its constructor does no I/O and starts nothing.
type Source interface {
	// Run names everything in the registry to sink, calls Synced, then reports changes until ctx ends (nil) or the connection
	// or the listing fails (why; wrapping one of the Err values of this package where it fits). It waits for every goroutine
	// that it started, returns within a second of ctx's end, and does not call sink after it has returned. Run is called again
	// after it returned, never twice at once.
	Run(ctx context.Context, sink Sink) error
}

// Sink takes what a source reads. Its methods do no I/O and never block; they may be called from several goroutines of the source
// and are ignored once Run has returned.
type Sink interface {
	// Upsert hands over the full content of one service, read without error. It is allowed before Synced, so that additions
	// flow early. The sink owns svc from here on: the source never changes it again.
	Upsert(svc *model.Service)
	// Delete says that the registry itself says that the service is gone. An empty Ref.Name means all services of the unit.
	Delete(ref model.Ref)
	// Skip says that the unit of ref cannot be read or understood now: its last state and its live endpoints stay until it is
	// next named by Upsert or Delete.
	Skip(ref model.Ref, err error)
	// Synced says that everything was named since Run began, or since the last Synced. What was not is gone.
	Synced()
}

// HintSink is a Sink that also takes hints. It is apart from Sink because few sources have any, and nothing that is published depends on
// them. A Sink that wraps another one passes them on with SetHints.
type HintSink interface {
	Sink
	// SetHints replaces all hints of this run; without arguments there is nothing to say any more. A run begins without hints.
	SetHints(hints ...model.Hint)
}

// SetHints gives hints to a sink that takes them.
func SetHints(sink Sink, hints ...model.Hint) {
	if s, ok := sink.(HintSink); ok {
		s.SetHints(hints...)
	}
}

// InterruptionSink is a Sink that also hears of interruptions. It is apart from Sink because nothing that is published depends on them:
// they only let an operator see at once what would else show when Run has given up.
type InterruptionSink interface {
	Sink
	// SetInterruption says why the registry cannot be heard now, although Run goes on and connects again by itself; nil when it can be
	// heard again. A run begins without an interruption.
	SetInterruption(why error)
}

// SetInterruption tells a sink of an interruption if it wants to hear of those.
func SetInterruption(sink Sink, why error) {
	if s, ok := sink.(InterruptionSink); ok {
		s.SetInterruption(why)
	}
}

// Classes of failure that Supervise, status and the conformance suite tell apart with errors.Is. The texts around them name the
// registry and the step, and never hold a secret.
var (
	// ErrUnavailable: the registry could not be reached, or stopped answering.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrUnauthorized: the registry refused our credentials, or they do not suffice to read what was asked for.
	ErrUnauthorized = errors.New("registry refused the credentials")
	// ErrMalformed: the registry answered with something that is not its protocol.
	ErrMalformed = errors.New("registry sent a malformed answer")
	// ErrSecret: what the configuration refers to, such as a password, cannot be had. It names the reference, never the content.
	ErrSecret = errors.New("secret not available")
)
