// Package file watches documents that list services: one file, or the files *.json of a folder. Each file is a unit.
//
//	a file is replaced by a rename, or by swapping the link of a mounted ConfigMap   -> read once it is the same for a moment
//	a file that cannot be read, is cut off or makes no sense in any of its services  -> what it held stays (Skip), until it is good again
//	the file or the folder is not there, or the folder holds no document             -> the run ends with an error
//
// So nothing is ever gone because a file is missing or empty: a document without services says that there is none.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/fileset"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
)

// Config says what to read. SourceID and Path must be set.
type Config struct {
	// SourceID is the Source of every Ref.
	SourceID model.SourceID
	// Path is that of a file, or of a folder.
	Path string
	// Format is document.Native when it is empty.
	Format document.Format
	// ServiceLabel is that of a document.Reader.
	ServiceLabel string
	// Quiet and Recheck are those of a fileset.Watcher.
	Quiet, Recheck time.Duration
	// Logger gets a line when the file system cannot tell of changes. Nil logs nothing.
	Logger *slog.Logger
}

// New returns a source that watches documents in files. It does no I/O.
func New(cfg Config) source.Source {
	cfg.Path = filepath.Clean(cfg.Path)
	return &fileSource{cfg: cfg}
}

type fileSource struct{ cfg Config }

// Run implements source.Source.
func (s *fileSource) Run(ctx context.Context, sink source.Sink) error {
	watcher := fileset.NewWatcher(fileset.WatcherOptions{
		Options: fileset.Options{Paths: []string{s.cfg.Path}, Extensions: []string{".json"}, MaxSize: document.MaxSize},
		Logger:  s.cfg.Logger, Quiet: s.cfg.Quiet, Recheck: s.cfg.Recheck,
	})
	contents := make(chan fileset.Content, 1)
	contents <- watcher.Read()

	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		watcher.Run(watching, func(c fileset.Content) {
			select {
			case contents <- c:
			case <-watching.Done():
			}
		})
	})
	err := source.Follow(ctx, sink, s.cfg.SourceID, func(ctx context.Context) (source.Content, error) {
		select {
		case c := <-contents:
			return s.read(c)
		case <-ctx.Done():
			return source.Content{}, ctx.Err()
		}
	})
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

// read reads the documents. A service that is in two files belongs to the first of them, and the other one is not believed.
func (s *fileSource) read(files fileset.Content) (source.Content, error) {
	if files.Failed[s.cfg.Path] == fileset.Missing {
		return source.Content{}, fmt.Errorf("%w: %s does not exist", source.ErrUnavailable, s.cfg.Path)
	}
	if len(files.Files)+len(files.Failed) == 0 {
		return source.Content{}, fmt.Errorf("%w: the folder %s has no file *.json; to publish nothing, write a document with an empty list into it",
			source.ErrUnavailable, s.cfg.Path)
	}
	all := source.Content{Unreadable: map[string]error{}}
	for path, why := range files.Failed {
		all.Unreadable[filepath.Base(path)] = fmt.Errorf("%w: the file %s", source.ErrUnavailable, why)
	}
	owners := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(files.Files)) {
		unit := filepath.Base(path)
		services, err := s.document(unit, files.Files[path])
		for _, svc := range services {
			if other, taken := owners[svc.Ref.Name]; taken && err == nil {
				err = fmt.Errorf("%w: service %q is in %q, too", source.ErrMalformed, svc.Ref.Name, other)
			}
		}
		if err != nil {
			all.Unreadable[unit] = err
			continue
		}
		for _, svc := range services {
			owners[svc.Ref.Name] = unit
		}
		all.Services = append(all.Services, services...)
	}
	return all, nil
}

// document reads one file.
func (s *fileSource) document(unit string, data []byte) ([]*model.Service, error) {
	content, err := document.Reader{
		Format: s.cfg.Format, ServiceLabel: s.cfg.ServiceLabel,
		Ref: func(name string) model.Ref { return model.Ref{Source: s.cfg.SourceID, Unit: unit, Name: name} },
	}.Read(data)
	if err != nil {
		return nil, err
	}
	var unclear []error
	for _, name := range slices.Sorted(maps.Keys(content.Unreadable)) {
		unclear = append(unclear, fmt.Errorf("service %q: %w", name, content.Unreadable[name]))
	}
	return content.Services, errors.Join(unclear...)
}
