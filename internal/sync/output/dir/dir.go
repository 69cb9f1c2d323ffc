// Package dir keeps objects as a folder of YAML files, one for each, which istiod reads with "configSources: [{address: fs://DIR}]".
//
// # What is in the folder
//
//	serviceentry_<namespace>_<name>.yaml    one object; istiod reads *.yaml and *.yml
//	workloadentry_<namespace>_<name>.yaml   one endpoint of an object in mode WorkloadEntry
//	.registry-bridge-<hash>.lock            held (flock) by the one bridge with this instance id
//	.registry-bridge-<hash>.tmp             the file that is being written; renamed into place, so no reader ever sees half of it
//
// A file is ours when it has the name that its object would get and carries our two owner labels. All others are never touched: when
// one of them stands at the name of an object of ours, that object is refused. Bridges with different instance ids may share a folder.
//
// # A file of ours that does not parse
//
// It is reported and never deleted. As long as the bridge knows what was in it, or has the object to publish anyway, it is written
// anew. A file that does not parse counts as ours when it was ours before, names our instance id as an owner label would, or is blank
// (what a crash of the machine leaves of a new file).
//
// # Durability
//
// A file that replaces another is flushed to the disk before it is renamed: a crash of the machine leaves the old or the new content.
// A new file is not: a crash can only lose what was published in the last seconds, and thousands of first writes stay fast.
package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Options say where and who.
type Options struct {
	// Path is the folder. Open makes it when it does not exist; one that vanishes later is an error until it is back, because it
	// may be a volume that is not mounted.
	Path string
	// Instance is the owner id.
	Instance string
	// ReadOnly takes no lock, changes nothing, and refuses to write: for commands that look while a bridge runs. A folder that does
	// not exist is an empty one then.
	ReadOnly bool
	// Logger hears of files that are in the way or do not parse, once for each version of them. Nil logs nothing.
	Logger *slog.Logger
}

// Dir is an output.Output over a folder. One goroutine uses it.
type Dir struct {
	opts Options
	log  *slog.Logger
	// prefix is that of our lock and our temporary file.
	prefix string
	lock   *os.File
	files  map[string]*file
	joiner pieces.Joiner
	live   []plan.Live
}

var _ output.Output = (*Dir)(nil)

// Open takes the folder for this instance id and removes what an earlier process left half written. It fails when another process
// holds it; Close gives it back.
func Open(opts Options) (*Dir, error) {
	sum := sha256.Sum256([]byte(opts.Instance))
	d := &Dir{
		opts: opts, log: opts.Logger,
		prefix: ".registry-bridge-" + hex.EncodeToString(sum[:4]),
		files:  map[string]*file{},
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if opts.ReadOnly {
		return d, nil
	}
	if err := os.MkdirAll(opts.Path, 0o755); err != nil { //nolint:gosec // istiod may run as somebody else and has to read it.
		return nil, fmt.Errorf("make the output folder: %w", err)
	}
	if err := d.takeLock(); err != nil {
		return nil, err
	}
	return d, nil
}

// Close gives the folder back. The files stay.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	defer func() { d.lock = nil }()
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("release the output folder: %w", err)
	}
	return nil
}

// takeLock locks the folder, unless the lock that we hold is still the one in it: a folder that was replaced has lost ours.
func (d *Dir) takeLock() error {
	path := d.path(d.prefix + ".lock")
	if d.lock != nil {
		held, err := d.lock.Stat()
		if err != nil {
			return fmt.Errorf("look at the lock: %w", err)
		}
		if there, err := os.Lstat(path); err == nil && os.SameFile(held, there) {
			return nil
		}
		_ = d.lock.Close() // It locks nothing any more.
		d.lock = nil
	}
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the output folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return fmt.Errorf("lock the output folder %q: another bridge with instance id %q uses it: %w", d.opts.Path, d.opts.Instance, err)
	}
	d.lock = lock
	if err := os.Remove(d.path(d.prefix + ".tmp")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a leftover: %w", err)
	}
	return nil
}

// Live implements output.Output. Only files that changed are read again.
func (d *Dir) Live(ctx context.Context) ([]plan.Live, error) {
	if !d.opts.ReadOnly {
		if err := d.takeLock(); err != nil {
			return nil, fmt.Errorf("%w: %w", output.ErrOutput, err)
		}
	}
	entries, err := os.ReadDir(d.opts.Path)
	if err != nil {
		if d.opts.ReadOnly && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("%w: list the folder: %w", output.ErrOutput, err)
	}
	files, err := d.lookAll(ctx, entries)
	if err != nil {
		return nil, err
	}
	if d.live == nil || !maps.Equal(files, d.files) {
		d.live = d.joiner.Join(liveOf(files))
	}
	d.files = files
	return d.live, nil
}

// lookAll looks at every file that could hold an object of ours.
func (d *Dir) lookAll(ctx context.Context, entries []fs.DirEntry) (map[string]*file, error) {
	files := make(map[string]*file, len(d.files))
	for _, entry := range entries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		name := entry.Name()
		if !isObjectName(name) {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			files[name], err = d.look(name, info)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: read %q: %w", output.ErrOutput, name, err)
		}
	}
	return files, nil
}

// liveOf lists the files that are ours.
func liveOf(files map[string]*file) []plan.Live {
	live := make([]plan.Live, 0, len(files))
	for _, f := range files {
		if f.live != nil {
			live = append(live, *f.live)
		}
	}
	return live
}

// look returns what is known of a file, reading it when it is new or may have changed.
func (d *Dir) look(name string, info fs.FileInfo) (*file, error) {
	now := statOf(info)
	last := d.files[name]
	if last != nil && last.stat == now && !last.racy {
		return last, nil
	}
	f := &file{stat: now, racy: isRacy(info)}
	wasOurs := last != nil && last.live != nil
	if !info.Mode().IsRegular() {
		f.obstacle = errors.New("it is not a regular file")
	} else {
		text, err := os.ReadFile(d.path(name))
		switch {
		case errors.Is(err, fs.ErrPermission):
			f.obstacle = err
		case err != nil:
			return nil, err
		default:
			f.version = now.version(text)
			if last != nil && last.version == f.version {
				last.racy = f.racy
				return last, nil
			}
			f.parse(name, text, d.opts.Instance, wasOurs)
		}
	}
	if f.broken != nil && wasOurs {
		f.live = &plan.Live{Object: unlike(last.live.Object), ResourceVersion: f.version}
	}
	d.report(name, f)
	return f, nil
}

// report logs what is wrong with a file.
func (d *Dir) report(name string, f *file) {
	switch {
	case f.broken != nil:
		d.log.Warn("a file of ours does not parse, it is kept until its object is written again", "file", name, "error", f.broken)
	case f.obstacle != nil:
		d.log.Warn("a file that is not ours has a name of ours, its object is not written", "file", name, "reason", f.obstacle)
	}
}

// unlike returns a copy of what a file held, different enough from every object that would be published for a plan to write it again.
func unlike(o *translate.Object) *translate.Object {
	changed := *o
	if o.ServiceEntry != nil {
		se := *o.ServiceEntry
		se.Resolution = ""
		changed.ServiceEntry = &se
	}
	if o.EnvoyFilter != nil {
		filter := *o.EnvoyFilter
		filter.Unknown = "a file that does not parse"
		changed.EnvoyFilter = &filter
	}
	if o.WorkloadEntry != nil || o.DestinationRule != nil {
		changed.Labels = nil
	}
	return &changed
}

func (d *Dir) path(name string) string { return filepath.Join(d.opts.Path, name) }

// stat is what the folder shows of one version of a file. Every write of ours makes a new inode, and an edit moves size or time, unless
// it comes within the clock of the file system (see isRacy).
type stat struct {
	size, mtime int64
	inode       uint64
}

func statOf(info fs.FileInfo) stat {
	s := stat{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// version tells two contents apart.
func (s stat) version(text []byte) string {
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%x-%x-%x-%x", s.size, s.mtime, s.inode, sum[:8])
}

// isRacy reports whether a file changed so recently that the next change could bear the same time, for some file systems count in
// seconds. Such a file is read again at the next look.
func isRacy(info fs.FileInfo) bool { return time.Since(info.ModTime()) < 2*time.Second }

const (
	extension = ".yaml"
	// maxName is what file systems allow for a name.
	maxName = 255
)

// fileName returns the name of the file of an object: its key, in characters that no file system and no path minds. Names that do not
// fit, or that have other characters, end with a hash of the key, so that no two keys share a file.
func fileName(key translate.Key) string {
	plain := strings.ToLower(string(key.Kind)) + "_" + key.Namespace + "_" + key.Name
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, plain)
	underscores := strings.Count(key.Namespace, "_") + strings.Count(key.Name, "_")
	if name == plain && underscores == 0 && len(name)+len(extension) <= maxName {
		return name + extension
	}
	sum := sha256.Sum256([]byte(key.String()))
	suffix := "_" + hex.EncodeToString(sum[:8]) + extension
	return name[:min(len(name), maxName-len(suffix))] + suffix
}

// isObjectName reports whether a file could hold an object of ours.
func isObjectName(name string) bool {
	kind, _, _ := strings.Cut(name, "_")
	var known []string
	for _, k := range translate.Kinds() {
		known = append(known, strings.ToLower(string(k)))
	}
	return slices.Contains(known, kind) && strings.HasSuffix(name, extension)
}
