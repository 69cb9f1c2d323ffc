package cluster

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Lease is a lock for leader election that knows until when it is held. The election itself tells of a loss only after the fact: a
// process that was stopped for a minute still counts itself the leader when it goes on. Until does not: it is a point in time that is known
// before the process was stopped.
type Lease struct {
	resourcelock.Interface
	duration time.Duration

	mu    sync.Mutex
	until time.Time
	// second is the second that the last request to hold the lease named as its time, and first when the first request of that second
	// was sent. Others notice a renewal by its record, in which times have no fractions (as client-go 0.37 encodes them): of two renewals
	// in one second they see only the first, and count from there.
	second int64
	first  time.Time
	// holder is whom the API server named last as the holder.
	holder string
}

// NewLease wraps a lock whose lease lasts for duration.
func NewLease(lock resourcelock.Interface, duration time.Duration) *Lease {
	return &Lease{Interface: lock, duration: duration}
}

// Until returns the time before which nobody else can become the leader, and which every write of this process has to meet; the zero time
// when this process does not lead. Others count from when they saw a renewal, which is later than when this process sent it (or the first
// one of the same second).
func (l *Lease) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Comparing times in Go uses the monotonic clock, which stands still while a virtual machine is paused. The clock on the wall may
	// have been set; of the two, the one counts that says that the lease is over.
	if !time.Now().Round(0).Before(l.until.Round(0)) {
		return time.Time{}
	}
	return l.until
}

// Create implements resourcelock.Interface.
func (l *Lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	since := l.send(&record)
	err := l.Interface.Create(ctx, record)
	l.note(&record, since, err)
	return err
}

// Update implements resourcelock.Interface. A release of a lease that is somebody else's is refused: client-go reads the lease before it
// releases it, but does not look whose it is now, and a process that was stopped beyond its lease would take it from its successor.
func (l *Lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity != l.Identity() {
		// It is being released: whatever becomes of the request, nothing is written any more.
		if holder := l.end(); holder != l.Identity() {
			return ErrNotLeader
		}
	}
	since := l.send(&record)
	err := l.Interface.Update(ctx, record)
	l.note(&record, since, err)
	return err
}

// Get implements resourcelock.Interface.
func (l *Lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil {
		l.saw(record.HolderIdentity)
	}
	return record, raw, err
}

// send notes that a request is sent, and returns since when the lease counts if it succeeds.
func (l *Lease) send(record *resourcelock.LeaderElectionRecord) (since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := record.RenewTime.Unix(); second != l.second {
		l.second, l.first = second, time.Now()
	}
	return l.first
}

// note notes what became of a request to hold the lease. One that failed may have been carried out; until then the last one counts.
func (l *Lease) note(record *resourcelock.LeaderElectionRecord, since time.Time, err error) {
	if err != nil || record.HolderIdentity != l.Identity() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until, l.holder = since.Add(l.duration), record.HolderIdentity
}

// saw keeps who the holder is. If that is another one, this process does not lead.
func (l *Lease) saw(holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder = holder
	if holder != l.Identity() {
		l.until = time.Time{}
	}
}

// end lets nothing be written any more, and returns who is known as the holder.
func (l *Lease) end() (holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
	return l.holder
}
