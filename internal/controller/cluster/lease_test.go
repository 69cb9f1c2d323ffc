package cluster_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
)

// lock is a resourcelock that holds its record in memory.
type lock struct {
	record resourcelock.LeaderElectionRecord
	// takes is how long each request takes, fails why it fails after having been carried out.
	takes time.Duration
	fails error
}

func (l *lock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record := l.record
	return &record, nil, l.fails
}

func (l *lock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.Update(ctx, r)
}

func (l *lock) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	<-time.After(l.takes)
	l.record = r
	return l.fails
}

func (*lock) RecordEvent(string) {}
func (*lock) Identity() string   { return "me" }
func (*lock) Describe() string   { return "test" }

const lasts = 15 * time.Second

func held(by string) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{HolderIdentity: by, RenewTime: metav1.Now()}
}

func TestLeaseCountsFromWhenTheRequestWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &lock{takes: 2 * time.Second}
		l := cluster.NewLease(inner, lasts)
		if !l.Until().IsZero() {
			t.Fatal("a lease that was never held lasts")
		}
		sent := time.Now()
		if err := l.Create(t.Context(), held("me")); err != nil {
			t.Fatal(err)
		}
		if got, want := l.Until(), sent.Add(lasts); !got.Equal(want) {
			t.Errorf("until %v, want %v", got, want)
		}
	})
}

// TestLeaseCountsFromTheFirstRequestOfASecond: others do not notice the second renewal of a second, and count from when they saw the first.
func TestLeaseCountsFromTheFirstRequestOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &lock{}
		l := cluster.NewLease(inner, lasts)
		renew := func(fails error) time.Time {
			inner.fails = fails
			if err := l.Update(t.Context(), held("me")); !errors.Is(err, fails) {
				t.Fatal(err)
			}
			return l.Until()
		}
		first := renew(nil)
		<-time.After(600 * time.Millisecond)
		if again := renew(nil); !again.Equal(first) {
			t.Errorf("until %v after another renewal in the same second, want %v as before", again, first)
		}
		<-time.After(600 * time.Millisecond)
		second := time.Now()
		renew(errors.New("timed out")) // It may have been carried out.
		<-time.After(600 * time.Millisecond)
		if got, want := renew(nil), second.Add(lasts); !got.Equal(want) {
			t.Errorf("until %v in the next second, want %v", got, want)
		}
	})
}

func TestLeaseThatCannotBeRenewedRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &lock{}
		l := cluster.NewLease(inner, lasts)
		if err := l.Update(t.Context(), held("me")); err != nil {
			t.Fatal(err)
		}
		before := l.Until()
		<-time.After(5 * time.Second)
		inner.takes, inner.fails = time.Second, errors.New("timed out")
		if err := l.Update(t.Context(), held("me")); err == nil {
			t.Fatal("the error is lost")
		}
		if _, _, err := l.Get(t.Context()); err == nil {
			t.Fatal("the error is lost")
		}
		if got := l.Until(); !got.Equal(before) {
			t.Errorf("until %v after a request that failed, want %v as before", got, before)
		}
		<-time.After(lasts)
		if got := l.Until(); !got.IsZero() {
			t.Errorf("it lasts until %v, which is over", got)
		}
	})
}

func TestLeaseEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, inner *lock, l *cluster.Lease){
		"when it is released": func(t *testing.T, _ *lock, l *cluster.Lease) {
			t.Helper()
			if err := l.Update(t.Context(), held("")); err != nil {
				t.Fatal(err)
			}
		},
		"when its release fails": func(t *testing.T, inner *lock, l *cluster.Lease) {
			t.Helper()
			inner.fails = errors.New("no connection")
			if err := l.Update(t.Context(), held("")); err == nil {
				t.Fatal("the error is lost")
			}
		},
		"when somebody else has it": func(t *testing.T, inner *lock, l *cluster.Lease) {
			t.Helper()
			inner.record = held("other")
			if _, _, err := l.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := &lock{}
				l := cluster.NewLease(inner, lasts)
				if err := l.Update(t.Context(), held("me")); err != nil {
					t.Fatal(err)
				}
				end(t, inner, l)
				if !l.Until().IsZero() {
					t.Errorf("it lasts until %v", l.Until())
				}
			})
		})
	}
}

// TestLeaseOfAnotherIsNotReleased: a process that goes on when its lease is over reads the lease, and then gives up what it believes to be
// its own.
func TestLeaseOfAnotherIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &lock{}
		l := cluster.NewLease(inner, lasts)
		if err := l.Update(t.Context(), held("me")); err != nil {
			t.Fatal(err)
		}
		inner.record = held("other")
		if _, _, err := l.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Update(t.Context(), held("")); !errors.Is(err, cluster.ErrNotLeader) {
			t.Errorf("the release ended with %v, want %v", err, cluster.ErrNotLeader)
		}
		if inner.record != held("other") {
			t.Errorf("the lease was taken from its holder: %v", inner.record)
		}
	})
}
