package fileset

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// WatcherOptions say what a Watcher looks at, and how.
type WatcherOptions struct {
	Options
	// Logger gets a line when the file system cannot tell of changes. Nil logs nothing.
	Logger *slog.Logger
	// Quiet is how long the content has to stay the same before it counts, 250 ms when 0: a file is often written in pieces.
	Quiet time.Duration
	// Recheck is how often the files are read without a hint from the file system, 10 s when 0. It finds what such hints miss:
	// network file systems, folders that were replaced, links to links.
	Recheck time.Duration
}

// Watcher tells when files change. A mounted ConfigMap, whose files are links that are swapped together, is one change.
type Watcher struct {
	opts WatcherOptions
	log  *slog.Logger
	last Content
}

// NewWatcher returns a Watcher. It reads nothing yet.
func NewWatcher(opts WatcherOptions) *Watcher {
	opts.Quiet = cmp.Or(opts.Quiet, 250*time.Millisecond)
	opts.Recheck = cmp.Or(opts.Recheck, 10*time.Second)
	w := &Watcher{opts: opts, log: opts.Logger}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	return w
}

// Read reads the files now. Run reports changes against what it returned. It must not be called while Run runs.
func (w *Watcher) Read() Content {
	w.last = Read(w.opts.Options)
	return w.last
}

// Run calls changed with the new content after each change, until ctx ends. A change counts once two readings in a row agree.
func (w *Watcher) Run(ctx context.Context, changed func(Content)) {
	events := make(<-chan fsnotify.Event)
	errs := make(<-chan error)
	fw, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("cannot watch files for changes; reading them from time to time instead", "interval", w.opts.Recheck, "error", err)
	} else {
		defer fw.Close()
		events, errs = fw.Events, fw.Errors
		w.add(fw)
	}

	timer := time.NewTimer(0) // What changed since Read is found at once.
	defer timer.Stop()
	// pending is the content of the last reading when it differs from what was reported.
	var pending *Content
	quick := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			if !quick {
				quick = true
				timer.Reset(w.opts.Quiet)
			}
			continue
		case err := <-errs:
			w.log.Debug("watching files", "error", err)
			continue
		case <-timer.C:
		}
		quick = false
		now := Read(w.opts.Options)
		switch {
		case now.Equal(w.last):
			pending = nil
		case pending != nil && now.Equal(*pending):
			pending, w.last = nil, now
			changed(now)
		default:
			pending, quick = &now, true
		}
		if fw != nil {
			w.add(fw)
		}
		if quick {
			timer.Reset(w.opts.Quiet)
		} else {
			timer.Reset(w.opts.Recheck)
		}
	}
}

// add watches the folders in which a change can happen: those that are configured, those of configured files, and those that links lead
// to. Watching one twice does nothing; one that is missing now is tried again at the next reading.
func (w *Watcher) add(fw *fsnotify.Watcher) {
	for _, path := range w.opts.Paths {
		for _, dir := range []string{path, filepath.Dir(path), resolved(path)} {
			if err := fw.Add(dir); err != nil {
				w.log.Debug("cannot watch", "path", dir, "error", err)
			}
		}
	}
}

// resolved returns the folder of what a link leads to; the folder of the link when it leads nowhere.
func resolved(path string) string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		target = path
	}
	return filepath.Dir(target)
}
