package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// patience is how long what must come may take.
const patience = 10 * time.Second

// observed is a source that runs until the end of the test, and how often it named a service.
type observed struct {
	*sourcetest.Recorder
	t       *testing.T
	upserts atomic.Int64
	deletes atomic.Int64
	stop    func() error
}

// counting counts what a recorder is told.
type counting struct {
	source.Sink
	o *observed
}

// Upsert implements source.Sink.
func (c counting) Upsert(svc *model.Service) {
	c.o.upserts.Add(1)
	c.Sink.Upsert(svc)
}

// Delete implements source.Sink.
func (c counting) Delete(ref model.Ref) {
	c.o.deletes.Add(1)
	c.Sink.Delete(ref)
}

// SetInterruption implements source.InterruptionSink.
func (c counting) SetInterruption(why error) { source.SetInterruption(c.Sink, why) }

// observe runs a source against the server. change may alter its configuration.
func observe(t *testing.T, s *zktest.Server, change func(*zookeeper.Config)) *observed {
	t.Helper()
	cfg := zookeeper.Config{SourceID: sourcetest.ID, Servers: []string{s.Addr()}, SessionTimeout: 2 * time.Second}
	if change != nil {
		change(&cfg)
	}
	o := &observed{Recorder: sourcetest.NewRecorder(t, sourcetest.ID), t: t}
	ctx, cancel := context.WithCancel(t.Context())
	sink, end := o.Begin()
	done := make(chan error, 1)
	go func() {
		err := zookeeper.New(cfg).Run(ctx, counting{sink, o})
		end()
		done <- err
	}()
	o.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = o.stop() })
	return o
}

func (o *observed) wait(what string, ok func(sourcetest.State) bool) sourcetest.State {
	o.t.Helper()
	return o.Wait(o.t, what, patience, ok)
}

func (o *observed) synced() sourcetest.State {
	o.t.Helper()
	return o.wait("Synced", func(s sourcetest.State) bool { return s.Synced > 0 })
}

func at(name string, places ...string) func(sourcetest.State) bool {
	return func(s sourcetest.State) bool { return slices.Equal(s.Addresses(name), places) }
}

// create makes nodes below the root, written as paths with an unencoded URL at the end.
func create(t *testing.T, s *zktest.Server, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := s.Create(p, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, s *zktest.Server, path string) {
	t.Helper()
	if err := s.Delete(path); err != nil {
		t.Fatal(err)
	}
}

// provider is the path of a provider of the interface orders.
func provider(u string) string { return "/dubbo/" + iface + "/providers/" + url.QueryEscape(u) }

// together holds the next event back, and all behind it, so that a slow test machine does not pull a burst apart.
func together(s *zktest.Server) {
	s.Inject(zktest.Fault{Op: wire.OpNotification, Times: 1, Delay: 300 * time.Millisecond})
}

func TestMissingRootIsEmptyAndAwaited(t *testing.T) {
	t.Parallel()
	for _, version := range []zktest.Version{zktest.Before36, zktest.V39} {
		s := serve(t, version)
		o := observe(t, s, func(cfg *zookeeper.Config) { cfg.Chroot, cfg.Root = "/prod/a", "registry/dubbo/" })
		if state := o.synced(); len(state.Services) != 0 {
			t.Errorf("a missing root gave %s", state)
		}
		create(t, s, "/prod/a/registry/dubbo/"+iface+"/providers/"+url.QueryEscape("dubbo://10.0.0.1:1/p"))
		o.wait("first provider", at(iface, "10.0.0.1:1"))
	}
}

func TestChrootInTheConnectString(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, "/prod/dubbo/"+iface+"/providers/"+url.QueryEscape("dubbo://10.0.0.1:1/p"))
	o := observe(t, s, func(cfg *zookeeper.Config) { cfg.Servers[0] += "/prod" })
	o.synced()
	create(t, s, "/prod/dubbo/"+iface+"/providers/"+url.QueryEscape("dubbo://10.0.0.2:1/p"))
	o.wait("event below the chroot", at(iface, "10.0.0.1:1", "10.0.0.2:1"))
}

func TestOddNamesAndData(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	names := map[string]string{
		"com.acme.Outer%24Inner_v2": "com.acme.Outer$Inner_v2",
		"com.acme.UPPER$Plain":      "com.acme.UPPER$Plain",
		strings.Repeat("l", 300):    strings.Repeat("l", 300),
		url.QueryEscape("com.订单"):   "com.订单",
		"com.%ff%fe":                "com.\xff\xfe",
	}
	for node := range names {
		path := "/dubbo/" + node + "/providers/" + url.QueryEscape("dubbo://10.0.0.1:1/p")
		create(t, s, path)
		if err := s.SetData(path, []byte{0, 0xff, '{'}); err != nil {
			t.Fatal(err)
		}
	}
	create(t, s, "/dubbo/config/dubbo/dubbo.properties", "/dubbo/mapping/"+iface, "/dubbo/metadata/"+iface+"/provider/app")
	state := observe(t, s, nil).synced()
	for _, name := range names {
		if !at(name, "10.0.0.1:1")(state) {
			t.Errorf("%q is missing", name)
		}
	}
	if len(state.Services) != len(names) || len(state.Skipped) != 0 {
		t.Errorf("more than the interfaces was named: %s", state)
	}
}

func TestTwoNodesOfOneInterface(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, "/dubbo/com.acme.A$B/providers/"+url.QueryEscape("dubbo://10.0.0.1:1/p"))
	o := observe(t, s, nil)
	o.synced()
	create(t, s, "/dubbo/com.acme.A%24B/providers/"+url.QueryEscape("dubbo://10.0.0.2:1/p"), provider("dubbo://10.0.0.3:1/p"))
	if state := o.wait("a later change", at(iface, "10.0.0.3:1")); !at("com.acme.A$B", "10.0.0.1:1")(state) {
		t.Errorf("the second node changed the first: %s", state)
	}
}

func TestRestartOfAnInstanceIsNoUpdate(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	old, other := provider("dubbo://10.0.0.1:1/p?timestamp=1&pid=1"), provider("dubbo://10.0.0.2:1/p")
	create(t, s, old, other)
	o := observe(t, s, nil)
	before := o.synced()
	upserts := o.upserts.Load()
	together(s)
	remove(t, s, old)
	create(t, s, provider("dubbo://10.0.0.1:1/p?timestamp=2&pid=2"))
	create(t, s, "/dubbo/com.acme.Later/providers/"+url.QueryEscape("dubbo://10.0.0.9:1/p"))
	after := o.wait("a later change", at("com.acme.Later", "10.0.0.9:1"))
	// The later service may have been told first; removing the other instance tells everything of this one.
	remove(t, s, other)
	o.wait("removal", at(iface, "10.0.0.1:1"))
	if got := o.upserts.Load() - upserts; got > 2 || o.deletes.Load() != 0 {
		t.Errorf("%d updates and %d removals, want one update of each service", got, o.deletes.Load())
	}
	if before.Service(iface) != after.Service(iface) {
		t.Error("the service was named again although nothing had changed")
	}
}

func TestDeleteAndCreateIsOneUpdate(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	old := provider("dubbo://10.0.0.1:1/p?weight=1")
	create(t, s, old)
	o := observe(t, s, nil)
	o.synced()
	upserts := o.upserts.Load()
	together(s)
	remove(t, s, old)
	create(t, s, provider("dubbo://10.0.0.1:1/p?weight=2"))
	o.wait("new weight", func(st sourcetest.State) bool {
		svc := st.Service(iface)
		return svc != nil && svc.Instances[0].Weight == 2
	})
	if got := o.upserts.Load() - upserts; got != 1 || o.deletes.Load() != 0 {
		t.Errorf("%d updates and %d removals, want 1 and 0", got, o.deletes.Load())
	}
}

func TestOnlyInterestingPathsCost(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:1/p"))
	o := observe(t, s, nil)
	o.synced()
	before, upserts := s.Stats().Requests[wire.OpGetChildren], o.upserts.Load()
	for i := range 50 {
		create(t, s, fmt.Sprintf("/dubbo/%s/consumers/c%d", iface, i), fmt.Sprintf("/dubbo/metadata/%s/%d", iface, i))
	}
	create(t, s, provider("dubbo://10.0.0.2:1/p"))
	o.wait("second provider", at(iface, "10.0.0.1:1", "10.0.0.2:1"))
	if reads := s.Stats().Requests[wire.OpGetChildren] - before; reads != 0 {
		t.Errorf("%d reads, want none: the events say everything", reads)
	}
	if got := o.upserts.Load() - upserts; got != 1 {
		t.Errorf("%d updates, want 1", got)
	}
}

func TestConfiguratorsApplyAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:1/p"))
	o := observe(t, s, nil)
	o.synced()
	rule := "/dubbo/" + iface + "/configurators/" + url.QueryEscape("override://10.0.0.1:1/p?disabled=true")
	health := func(want model.Health) func(sourcetest.State) bool {
		return func(st sourcetest.State) bool { return st.Service(iface).Instances[0].Health == want }
	}
	create(t, s, rule)
	o.wait("disabled", health(model.Disabled))
	remove(t, s, rule)
	o.wait("enabled", health(model.Healthy))
}

func TestChildrenOverOneMegabyte(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	filler := strings.Repeat("m", 2000)
	for i := range 1000 {
		create(t, s, provider(fmt.Sprintf("dubbo://10.0.%d.%d:1/p?methods=%s", i/256, i%256, filler)))
	}
	create(t, s, "/dubbo/com.acme.Small/providers/"+url.QueryEscape("dubbo://10.9.0.1:1/p"))
	state := observe(t, s, nil).synced()
	if n := len(state.Addresses(iface)); n != 1000 {
		t.Errorf("%d instances, want 1,000", n)
	}
	// Over the limit, only the one interface is skipped.
	state = observe(t, s, func(cfg *zookeeper.Config) { cfg.MaxReply = 1 << 20 }).synced()
	if !at("com.acme.Small", "10.9.0.1:1")(state) || state.Skipped[iface] == nil || len(state.Services) != 1 {
		t.Errorf("want the large interface skipped alone: %s", state)
	}
}

func TestInterfaceThatVanishesWhileListed(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:1/p"), "/dubbo/com.acme.Gone/providers/"+url.QueryEscape("dubbo://10.0.0.2:1/p"))
	// Between the listing of the root and its own the node goes.
	defer s.Inject(zktest.Fault{Op: wire.OpGetChildren, Path: "/dubbo/com.acme.Gone", Code: wire.CodeNoNode})()
	state := observe(t, s, nil).synced()
	if len(state.Services) != 1 || len(state.Skipped) != 0 || !at(iface, "10.0.0.1:1")(state) {
		t.Errorf("want the one that is left: %s", state)
	}
}

func TestHiddenNodesAreNotEmpty(t *testing.T) {
	t.Parallel()
	for _, version := range []zktest.Version{zktest.Before36, zktest.V36, zktest.V39} {
		s := serve(t, version)
		create(t, s, provider("dubbo://10.0.0.1:1/p"))
		o := observe(t, s, func(cfg *zookeeper.Config) { cfg.Relist = 200 * time.Millisecond })
		o.synced()
		if err := s.SetACL("/dubbo/"+iface+"/providers", wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("a:b")}); err != nil {
			t.Fatal(err)
		}
		state := o.wait("Skip", func(st sourcetest.State) bool { return st.Skipped[iface] != nil })
		if !errors.Is(state.Skipped[iface], source.ErrUnauthorized) || !at(iface, "10.0.0.1:1")(state) {
			t.Errorf("a hidden node changed the state: %s", state)
		}
		if err := s.SetACL("/dubbo/"+iface+"/providers", wire.WorldAll()...); err != nil {
			t.Fatal(err)
		}
		o.wait("recovery", func(st sourcetest.State) bool { return st.Skipped[iface] == nil && at(iface, "10.0.0.1:1")(st) })
	}
}

func TestDriftIsCountedAndRepaired(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:1/p"))
	var drift atomic.Int64
	o := observe(t, s, func(cfg *zookeeper.Config) {
		cfg.Relist = 300 * time.Millisecond
		cfg.Drift = func(n int) { drift.Add(int64(n)) }
	})
	o.synced()
	heal := s.Inject(zktest.Fault{Op: wire.OpNotification, Drop: true})
	create(t, s, provider("dubbo://10.0.0.2:1/p"))
	remove(t, s, provider("dubbo://10.0.0.1:1/p"))
	o.wait("what the watch had missed", at(iface, "10.0.0.2:1"))
	heal()
	create(t, s, provider("dubbo://10.0.0.3:1/p"))
	o.wait("what the watch tells", at(iface, "10.0.0.2:1", "10.0.0.3:1"))
	if got := drift.Load(); got != 2 {
		t.Errorf("drift %d, want 2", got)
	}
}

func TestMalformedAnswers(t *testing.T) {
	t.Parallel()
	garbage := func(frame []byte) []byte { // The header stays, the list claims to be longer than the frame.
		out := slices.Clone(frame)
		copy(out[20:], []byte{0x7f, 0xff, 0xff, 0xff})
		return out
	}
	t.Run("of a unit", func(t *testing.T) {
		t.Parallel()
		s := serve(t, zktest.V39)
		create(t, s, provider("dubbo://10.0.0.1:1/p"), "/dubbo/com.acme.Other/providers/"+url.QueryEscape("dubbo://10.0.0.2:1/p"))
		defer s.Inject(zktest.Fault{Op: wire.OpGetChildren, Path: "/dubbo/" + iface + "/providers", Corrupt: garbage})()
		state := observe(t, s, nil).synced()
		if !errors.Is(state.Skipped[iface], source.ErrMalformed) || !at("com.acme.Other", "10.0.0.2:1")(state) {
			t.Errorf("want one unit skipped as malformed: %s", state)
		}
	})
	t.Run("of the root", func(t *testing.T) {
		t.Parallel()
		s := serve(t, zktest.V39)
		create(t, s, "/dubbo")
		defer s.Inject(zktest.Fault{Op: wire.OpGetChildren, Path: "/dubbo", Corrupt: garbage})()
		cfg := zookeeper.Config{SourceID: sourcetest.ID, Servers: []string{s.Addr()}}
		sink, end := sourcetest.NewRecorder(t, sourcetest.ID).Begin()
		if err := zookeeper.New(cfg).Run(t.Context(), sink); !errors.Is(err, source.ErrMalformed) {
			t.Errorf("error %v, want source.ErrMalformed", err)
		}
		end()
	})
}

func TestSelects(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:1/p"), "/dubbo/org.other.X/providers/"+url.QueryEscape("dubbo://10.0.0.2:1/p"))
	o := observe(t, s, func(cfg *zookeeper.Config) {
		cfg.Selects = func(unit string) bool { return strings.HasPrefix(unit, "com.acme.") }
	})
	o.synced()
	create(t, s, "/dubbo/org.other.X/providers/"+url.QueryEscape("dubbo://10.0.0.3:1/p"), provider("dubbo://10.0.0.4:1/p"))
	if state := o.wait("selected change", at(iface, "10.0.0.1:1", "10.0.0.4:1")); len(state.Services) != 1 {
		t.Errorf("an interface that was not selected is named: %s", state)
	}
}

func TestProblemsArePublished(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:70000/p"), provider("dubbo://10.0.0.1:1/p"))
	state := observe(t, s, nil).synced()
	var reasons []reason.Reason
	for _, inst := range state.Service(iface).Instances {
		if inst.Problem != "" {
			r, _ := reason.SplitProblem(inst.Problem)
			reasons = append(reasons, r)
		}
	}
	if !slices.Equal(reasons, []reason.Reason{reason.PortOutOfRange}) || !at(iface, "10.0.0.1:1")(state) {
		t.Errorf("problems %v: %s", reasons, state)
	}
}

// TestInterruptionIsTold: a lost connection shows at once, although it is no failure yet, and no longer when everything has been read again.
func TestInterruptionIsTold(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:1/p"))
	o := observe(t, s, nil)
	before := o.synced()
	if before.Interruption != nil {
		t.Errorf("interrupted while all is well: %v", before.Interruption)
	}
	s.Stop()
	state := o.wait("the interruption", func(s sourcetest.State) bool { return s.Interruption != nil })
	if !errors.Is(state.Interruption, source.ErrUnavailable) {
		t.Errorf("the interruption is %v", state.Interruption)
	}
	if err := s.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	state = o.wait("the end of the interruption", func(s sourcetest.State) bool { return s.Interruption == nil })
	if state.Synced != before.Synced || len(state.Services) != 1 {
		t.Errorf("the interruption ended the run, or what it knew: %s", state)
	}
}

func TestExpiredSessionListsAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, zktest.V39)
	create(t, s, provider("dubbo://10.0.0.1:1/p"))
	o := observe(t, s, nil)
	before := o.synced()
	if s.ExpireSessions() == 0 {
		t.Fatal("there was no session")
	}
	create(t, s, provider("dubbo://10.0.0.2:1/p"))
	state := o.wait("what the expired session did not see", at(iface, "10.0.0.1:1", "10.0.0.2:1"))
	if state.Synced != before.Synced || o.deletes.Load() != 0 {
		t.Errorf("the expiry removed something or ended the run: %s", state)
	}
	remove(t, s, provider("dubbo://10.0.0.1:1/p"))
	o.wait("an event of the new session", at(iface, "10.0.0.2:1"))
}
