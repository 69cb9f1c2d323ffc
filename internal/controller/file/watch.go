package file

import (
	"context"
	"log/slog"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/fileset"
)

// WatcherOptions say what a Watcher looks at. Only Paths is needed.
type WatcherOptions struct {
	// Paths are files and folders, as for Load.
	Paths []string
	// Logger, Quiet and Recheck are those of a fileset.Watcher.
	Logger         *slog.Logger
	Quiet, Recheck time.Duration
}

// Watcher tells when Registries in files change.
type Watcher struct{ files *fileset.Watcher }

// NewWatcher returns a Watcher. It reads nothing yet.
func NewWatcher(opts WatcherOptions) *Watcher {
	return &Watcher{files: fileset.NewWatcher(fileset.WatcherOptions{
		Options: files(opts.Paths), Logger: opts.Logger, Quiet: opts.Quiet, Recheck: opts.Recheck,
	})}
}

// Load reads the files now. Run reports changes against what it returned. It must not be called while Run runs.
func (w *Watcher) Load() Set { return decode(w.files.Read()) }

// Run calls changed with the new content after each change, until ctx ends. A change counts once two readings in a row agree.
func (w *Watcher) Run(ctx context.Context, changed func(Set)) {
	w.files.Run(ctx, func(c fileset.Content) { changed(decode(c)) })
}
