package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Version is one content of one file of a folder, or of one object of a cluster.
type Version struct {
	// File is the name within the folder, or "namespace/name" of the object; At is when the content was read, which is after it was
	// written.
	File string
	At   time.Time
	// Data is nil when it was removed.
	Data []byte
	// Found says that it was there when the recorder started.
	Found bool
	// InPlace says that the file was written where it lies and not renamed into its place.
	InPlace bool
	// parsed is shared by all copies, so that no version is parsed twice.
	parsed func() (hosts []string, endpoints Endpoints, err error)
}

func (v Version) parse() (hosts []string, endpoints Endpoints, err error) {
	if v.parsed == nil {
		return Parse(v.Data)
	}
	return v.parsed()
}

// Recorder keeps every version of everything that a bridge writes, and counts those that it knows it has missed. Record and RecordCluster
// make one.
type Recorder struct {
	// end stops what feeds the recorder, waits for it, and returns what went wrong.
	end func() error

	mu       sync.Mutex
	versions []Version
	missed   int
	err      error
	changed  chan struct{}
}

func newRecorder() *Recorder { return &Recorder{changed: make(chan struct{})} }

// miss counts a version that could not be read, with the reason if there is one.
func (r *Recorder) miss(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed++
	r.err = errors.Join(r.err, err)
}

func (r *Recorder) keep(v Version) {
	if v.Data != nil {
		v.parsed = onceValues(v.Data)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.versions = append(r.versions, v)
	close(r.changed)
	r.changed = make(chan struct{})
}

func onceValues(data []byte) func() ([]string, Endpoints, error) {
	type result struct {
		hosts     []string
		endpoints Endpoints
	}
	parse := sync.OnceValues(func() (result, error) {
		hosts, endpoints, err := Parse(data)
		return result{hosts, endpoints}, err
	})
	return func() ([]string, Endpoints, error) {
		r, err := parse()
		return r.hosts, r.endpoints, err
	}
}

// Versions returns what was kept so far, in the order of time, and how many versions were missed.
func (r *Recorder) Versions() (versions []Version, missed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.versions), r.missed
}

// Len returns how many versions were kept so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.versions)
}

// After returns the versions behind the first n.
func (r *Recorder) After(n int) []Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.versions[min(n, len(r.versions)):])
}

// Changed returns a channel that is closed when the next version has been kept.
func (r *Recorder) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Published returns what is published now, as recorded.
func (r *Recorder) Published() (Endpoints, error) {
	versions, _ := r.Versions()
	var invalid error
	line := newTimeline(latest(versions), func(v Version, err error) {
		invalid = errors.Join(invalid, fmt.Errorf("%s: %w", v.File, err))
	})
	return line.now(), invalid
}

// latest keeps the last version of each file.
func latest(versions []Version) []Version {
	last := map[string]int{}
	for i, v := range versions {
		last[v.File] = i
	}
	var kept []Version
	for i, v := range versions {
		if last[v.File] == i && v.Data != nil {
			kept = append(kept, v)
		}
	}
	return kept
}

// Await waits until the condition holds for what is published. It looks again at each version.
func (r *Recorder) Await(ctx context.Context, condition func(Endpoints) bool) error {
	for {
		changed := r.Changed()
		published, err := r.Published()
		if err == nil && condition(published) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// Close ends the recording and returns what went wrong in it.
func (r *Recorder) Close() error {
	err := r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.err, err)
}
