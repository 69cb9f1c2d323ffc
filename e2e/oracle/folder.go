package oracle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// folder feeds a recorder with every version of every YAML file. It reads a file the moment the kernel says that it was renamed into
// its place, and counts what was replaced before it could be read.
type folder struct {
	*Recorder
	dir     string
	watcher *fsnotify.Watcher
	done    chan struct{}
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
	f := &folder{Recorder: newRecorder(), dir: dir, watcher: watcher, done: make(chan struct{}), last: map[string]identity{}}
	f.end = f.stop
	if err := f.start(); err != nil {
		return nil, errors.Join(err, watcher.Close())
	}
	return f.Recorder, nil
}

func (f *folder) start() error {
	// First watch, then read: what is written in between is seen twice, never missed.
	if err := f.watcher.Add(f.dir); err != nil {
		return fmt.Errorf("watch %s: %w", f.dir, err)
	}
	files, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.dir, err)
	}
	for _, file := range files {
		if manifest(file.Name()) {
			f.read(file.Name(), Version{Found: true})
		}
	}
	go f.run()
	return nil
}

// manifest reports whether istiod would read a file of this name.
func manifest(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

func (f *folder) run() {
	defer close(f.done)
	for {
		select {
		case event, ok := <-f.watcher.Events:
			if !ok {
				return
			}
			f.handle(event)
		case err, ok := <-f.watcher.Errors:
			if !ok {
				return
			}
			f.miss(err)
		}
	}
}

func (f *folder) handle(event fsnotify.Event) {
	name, err := filepath.Rel(f.dir, event.Name)
	if err != nil || !manifest(name) || strings.ContainsRune(name, filepath.Separator) {
		return
	}
	switch {
	case event.Has(fsnotify.Create):
		f.read(name, Version{})
	case event.Has(fsnotify.Write):
		f.read(name, Version{InPlace: true})
	case event.Has(fsnotify.Remove), event.Has(fsnotify.Rename):
		delete(f.last, name)
		f.keep(Version{File: name, At: time.Now()})
	}
}

// read keeps the present content of a file.
func (f *folder) read(name string, v Version) {
	data, id, err := open(filepath.Join(f.dir, name))
	v.File, v.At, v.Data = name, time.Now(), data
	id.found = v.Found
	before, known := f.last[name]
	same := known && before.inode == id.inode && before.mtime.Equal(id.mtime)
	switch {
	case err != nil:
		// Gone again before it could be read.
		f.miss(nil)
	case same && before.found:
		// The start saw it already.
		before.found = false
		f.last[name] = before
	case same && !v.InPlace:
		// Two renames, of which only the second could be read, at the first one's event.
		f.miss(nil)
	default:
		f.last[name] = id
		f.keep(v)
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

// stop ends the watching.
func (f *folder) stop() error {
	err := f.watcher.Close()
	<-f.done
	if errors.Is(err, fs.ErrClosed) {
		err = nil
	}
	return err
}
