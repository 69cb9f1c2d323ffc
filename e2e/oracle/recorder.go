package oracle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Version is one content of one file.
type Version struct {
	// File is the name within the folder, At when the content was read, which is after it was written.
	File string
	At   time.Time
	// Data is nil when the file was removed.
	Data []byte
	// Found says that the file was there when the recorder started.
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

// Recorder keeps every version of every YAML file in a folder. It reads a file the moment the kernel says that it was renamed into
// its place, and counts what was replaced before it could be read.
type Recorder struct {
	dir     string
	watcher *fsnotify.Watcher
	done    chan struct{}

	mu       sync.Mutex
	versions []Version
	missed   int
	err      error
	changed  chan struct{}
	// last is the identity of the content that was read last; only the goroutine uses it after the start.
	last map[string]identity
}

// identity tells two contents of one path apart: a rename brings another inode, and an inode that is used again another time.
type identity struct {
	inode uint64
	mtime time.Time
	found bool
}

// Record starts to watch dir, which must exist. Close ends it.
func Record(dir string) (*Recorder, error) {
	watcher, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	r := &Recorder{dir: dir, watcher: watcher, done: make(chan struct{}), changed: make(chan struct{}), last: map[string]identity{}}
	if err := r.start(); err != nil {
		return nil, errors.Join(err, watcher.Close())
	}
	return r, nil
}

func (r *Recorder) start() error {
	// First watch, then read: what is written in between is seen twice, never missed.
	if err := r.watcher.Add(r.dir); err != nil {
		return fmt.Errorf("watch %s: %w", r.dir, err)
	}
	files, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.dir, err)
	}
	for _, f := range files {
		if manifest(f.Name()) {
			r.read(f.Name(), Version{Found: true})
		}
	}
	go r.run()
	return nil
}

// manifest reports whether istiod would read a file of this name.
func manifest(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

func (r *Recorder) run() {
	defer close(r.done)
	for {
		select {
		case event, ok := <-r.watcher.Events:
			if !ok {
				return
			}
			r.handle(event)
		case err, ok := <-r.watcher.Errors:
			if !ok {
				return
			}
			r.mu.Lock()
			r.missed++
			r.err = errors.Join(r.err, err)
			r.mu.Unlock()
		}
	}
}

func (r *Recorder) handle(event fsnotify.Event) {
	name, err := filepath.Rel(r.dir, event.Name)
	if err != nil || !manifest(name) || strings.ContainsRune(name, filepath.Separator) {
		return
	}
	switch {
	case event.Has(fsnotify.Create):
		r.read(name, Version{})
	case event.Has(fsnotify.Write):
		r.read(name, Version{InPlace: true})
	case event.Has(fsnotify.Remove), event.Has(fsnotify.Rename):
		delete(r.last, name)
		r.keep(Version{File: name, At: time.Now()})
	}
}

// read keeps the present content of a file.
func (r *Recorder) read(name string, v Version) {
	data, id, err := open(filepath.Join(r.dir, name))
	v.File, v.At, v.Data = name, time.Now(), data
	id.found = v.Found
	before, known := r.last[name]
	same := known && before.inode == id.inode && before.mtime.Equal(id.mtime)
	switch {
	case err != nil:
		// Gone again before it could be read.
		r.miss()
	case same && before.found:
		// The start saw it already.
		before.found = false
		r.last[name] = before
	case same && !v.InPlace:
		// Two renames, of which only the second could be read, at the first one's event.
		r.miss()
	default:
		r.last[name] = id
		r.keep(v)
	}
}

// open reads the file and says which content it was, even if the path is renamed over meanwhile.
func open(path string) ([]byte, identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, identity{}, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, identity{}, err
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if err != nil && n < len(data) {
		return nil, identity{}, err
	}
	id := identity{mtime: info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		id.inode = stat.Ino
	}
	return data, id, nil
}

func (r *Recorder) miss() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missed++
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

// Published returns what the folder publishes now, as recorded.
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

// Await waits until the condition holds for what the folder publishes. It looks again at each version.
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
	err := r.watcher.Close()
	<-r.done
	if errors.Is(err, fs.ErrClosed) {
		err = nil
	}
	return errors.Join(r.err, err)
}
