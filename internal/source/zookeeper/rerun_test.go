package zookeeper_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// begin starts a run of src, and returns what ends it.
func begin(t *testing.T, src source.Source, rec *sourcetest.Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sink, end := rec.Begin()
	done := make(chan error, 1)
	go func() {
		err := src.Run(ctx, sink)
		end()
		done <- err
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// TestServiceGoneWhileItsUnitCouldNotBeRead: a unit of two services cannot be read when a run begins, and has only one of them when it
// can be read again. Whoever took both from the run before must be told that the other one is gone.
func TestServiceGoneWhileItsUnitCouldNotBeRead(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	const unit = "/dubbo/com.acme.Orders"
	blue := unit + "/providers/" + url.QueryEscape("dubbo://10.0.0.1:1/com.acme.Orders?group=blue")
	green := unit + "/providers/" + url.QueryEscape("dubbo://10.0.0.2:1/com.acme.Orders?group=green")
	for _, path := range []string{blue, green} {
		if err := s.Create(path, nil); err != nil {
			t.Fatal(err)
		}
	}
	src := zookeeper.New(zookeeper.Config{SourceID: sourcetest.ID, Servers: []string{s.Addr()}, SessionTimeout: 2 * time.Second})
	rec := sourcetest.NewRecorder(t, sourcetest.ID)
	stop := begin(t, src, rec)
	rec.Wait(t, "both services", patience, func(st sourcetest.State) bool { return st.Synced == 1 && len(st.Services) == 2 })
	stop()

	if err := s.SetACL(unit+"/providers", wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("a:b")}); err != nil {
		t.Fatal(err)
	}
	for runs := 2; runs <= 3; runs++ {
		stop = begin(t, src, rec)
		rec.Wait(t, "a unit that cannot be read, and what it held", patience, func(st sourcetest.State) bool {
			return st.Synced == runs && len(st.Skipped) == 1 && len(st.Services) == 2
		})
		if runs < 3 {
			stop()
		}
	}
	defer stop()
	if err := s.Delete(blue); err != nil {
		t.Fatal(err)
	}
	if err := s.SetACL(unit+"/providers", wire.WorldAll()...); err != nil {
		t.Fatal(err)
	}
	rec.Wait(t, "only what is left", patience, func(st sourcetest.State) bool {
		return len(st.Skipped) == 0 && len(st.Services) == 1 && st.Service("green/com.acme.Orders") != nil
	})
}
