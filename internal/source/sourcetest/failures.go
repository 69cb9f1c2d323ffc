package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

// grace is how long a test looks whether something happens that must not.
const grace = 300 * time.Millisecond

func failingFirstListing(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	heal := b.FailListing(b.T)
	r := b.start()
	state, _ := r.AwaitError()
	if state.Synced > 0 {
		b.T.Errorf("synced although the listing failed: %s", state)
	}
	heal()
	r.AwaitSynced()
	r.Await("listing", has(orders, "10.0.0.1:20880"))
}

func failingLaterListing(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	heal := b.FailListing(b.T)
	b.relay.Cut() // So that it has to list again.
	b.relay.Restore()
	all := func(s State) bool { return has(orders, "10.0.0.1:20880")(s) && has(stock, "10.0.0.9:20880")(s) }
	r.Steady(grace, "as before", all)
	heal()
	b.Remove(b.T, stock, at("10.0.0.9", 20880))
	r.Await("removal that happened meanwhile", func(s State) bool { return has(orders, "10.0.0.1:20880")(s) && has(stock)(s) })
}

func failingUnit(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	heal := b.FailUnit(b.T, orders)
	b.relay.Cut()
	b.relay.Restore()
	state := r.Await("Skip", func(s State) bool { return len(s.Skipped) == 1 })
	if !has(orders, "10.0.0.1:20880")(state) || !has(stock, "10.0.0.9:20880")(state) {
		b.T.Errorf("a failing unit changed the state: %s", state)
	}
	heal()
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	r.Await("recovery", func(s State) bool { return len(s.Skipped) == 0 && has(orders, "10.0.0.1:20880", "10.0.0.2:20880")(s) })
}

func outage(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	b.relay.Cut()
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	b.Remove(b.T, stock, at("10.0.0.9", 20880))
	r.Steady(grace, "as before the outage", func(s State) bool { return has(orders, "10.0.0.1:20880")(s) && has(stock, "10.0.0.9:20880")(s) })
	b.relay.Restore()
	r.Await("what happened meanwhile", func(s State) bool { return has(orders, "10.0.0.1:20880", "10.0.0.2:20880")(s) && has(stock)(s) })
	b.Remove(b.T, orders, at("10.0.0.1", 20880))
	r.Await("what happens afterwards", has(orders, "10.0.0.2:20880"))
}

func restart(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	b.Restart(b.T)
	r.Steady(grace, "as before the restart", func(s State) bool { return has(orders, "10.0.0.1:20880")(s) && has(stock, "10.0.0.9:20880")(s) })
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	state := r.Await("what happens afterwards", has(orders, "10.0.0.1:20880", "10.0.0.2:20880"))
	if !has(stock, "10.0.0.9:20880")(state) {
		b.T.Errorf("a restart changed another service: %s", state)
	}
}

func lossOfData(b *bench) {
	for _, a := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		b.Put(b.T, orders, at(a, 20880))
	}
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	b.Wipe(b.T)
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	r.Await("what is registered now", func(s State) bool { return has(orders, "10.0.0.2:20880")(s) && has(stock)(s) })
	b.Put(b.T, orders, at("10.0.0.4", 20880))
	r.Await("what happens afterwards", has(orders, "10.0.0.2:20880", "10.0.0.4:20880"))
}

func cancelWatching(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	r := b.start()
	r.AwaitSynced()
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	r.Halt() // Fails the test when it takes longer than a second.
	if errs := r.Errors(); len(errs) > 0 {
		b.T.Errorf("cancelled run ended with %v", errs)
	}
	b.Put(b.T, orders, at("10.0.0.3", 20880)) // The Recorder fails the test when it hears of it.
}

func cancelUnreachable(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	r := b.start()
	r.AwaitSynced()
	b.relay.Cut()
	r.Halt()
}

func twoRuns(b *bench) {
	for _, a := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		b.Put(b.T, orders, at(a, 20880))
		b.Put(b.T, stock, at(a, 20881))
	}
	one := b.start()
	one.AwaitSynced()
	one.Halt()
	other := b.start()
	if diff := cmp.Diff(one.State().Services, other.AwaitSynced().Services); diff != "" {
		b.T.Errorf("(-first +second)\n%s", diff)
	}
}

// safeBuffer takes the log of a source.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// String is what was written.
func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func badCredentials(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	var log safeBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := b.startWith(SourceOptions{Addr: b.relay.Addr(), BadCredentials: true, Logger: logger})
	state, err := r.AwaitError()
	if !errors.Is(err, source.ErrUnauthorized) {
		b.T.Errorf("error %v, want source.ErrUnauthorized", err)
	}
	if state.Synced > 0 || len(state.Services) > 0 {
		b.T.Errorf("something was named: %s", state)
	}
	if b.Secret == "" || strings.Contains(err.Error()+log.String(), b.Secret) {
		b.T.Errorf("the secret %q is in the error %q or in the log\n%s", b.Secret, err, log.String())
	}
}

func constructorIsIdle(b *bench) {
	var cfg net.ListenConfig
	listener, err := cfg.Listen(b.T.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.T.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	src := b.New(SourceOptions{Addr: listener.Addr().String(), Logger: slog.New(slog.DiscardHandler)})
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if c, err := listener.Accept(); err == nil {
			_ = c.Close()
		}
	}()
	select {
	case <-accepted:
		b.T.Error("the constructor connects")
	case <-time.After(grace):
	}
	// A run that is over before it begins does nothing either.
	ctx, cancel := context.WithCancel(b.T.Context())
	cancel()
	rec := NewRecorder(b.T, ID)
	sink, end := rec.Begin()
	if err := src.Run(ctx, sink); err != nil {
		b.T.Errorf("a cancelled run ended with %v", err)
	}
	end()
	_ = listener.Close()
	<-accepted
}
