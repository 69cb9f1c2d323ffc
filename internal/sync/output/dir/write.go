package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
)

// writeBudget is how long Write goes on beginning new writes.
const writeBudget = time.Second

// Write implements output.Output. It stops at the first sign that the folder as a whole is in trouble.
func (d *Dir) Write(ctx context.Context, p plan.Plan) []output.Result {
	start := time.Now()
	results := make([]output.Result, 0, len(p.Apply)+len(p.Delete))
	for _, c := range slices.Concat(p.Apply, p.Delete) {
		if ctx.Err() != nil || time.Since(start) >= writeBudget {
			break
		}
		r, tried := pieces.Write(c, d.write, func() bool { return time.Since(start) < writeBudget })
		if !tried {
			break
		}
		d.joiner.Wrote(r.Live)
		results = append(results, r)
		if errors.Is(r.Err, output.ErrOutput) {
			break
		}
	}
	if len(results) > 0 {
		d.live = nil // The next Live lists anew.
	}
	return results
}

// write carries out the change of one file.
func (d *Dir) write(c plan.Change) (*plan.Live, error) {
	if d.opts.ReadOnly {
		return nil, fmt.Errorf("%w: the folder is opened for reading only", output.ErrOutput)
	}
	name := fileName(c.Key)
	there, err := d.check(c, name)
	if err != nil {
		return nil, err
	}
	if c.Op == plan.Delete {
		if err := os.Remove(d.path(name)); err != nil {
			return nil, classify("remove the file", err)
		}
		delete(d.files, name)
		return nil, nil
	}
	text, plain, err := d.render(c, name, there)
	if err != nil {
		return nil, err
	}
	info, err := d.replace(name, text, there)
	if err != nil {
		return nil, err
	}
	f := &file{stat: statOf(info), racy: true, plain: plain}
	f.version = f.stat.version(text)
	f.live = &plan.Live{Object: c.Object, ResourceVersion: f.version}
	d.files[name] = f
	return f.live, nil
}

// check compares what stands at name with what the plan saw, and returns it; nil for nothing.
func (d *Dir) check(c plan.Change, name string) (*file, error) {
	info, err := os.Lstat(d.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Live == nil:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(d.opts.Path); err != nil {
			return nil, classify("look at the folder", err)
		}
		return nil, fmt.Errorf("%w: the file is gone", output.ErrConflict)
	case err != nil:
		return nil, classify("look at the file", err)
	}
	there, err := d.look(name, info)
	switch {
	case err != nil:
		return nil, classify("read the file", err)
	case there.obstacle != nil && c.Live == nil:
		return nil, fmt.Errorf("%w: file %q is in the way: %w", output.ErrRefused, name, there.obstacle)
	case c.Live != nil && there.version != c.Live.ResourceVersion, c.Live == nil && there.live != nil:
		return nil, output.ErrConflict
	case c.Op == plan.Delete && there.broken != nil:
		return nil, fmt.Errorf("%w: file %q does not parse and may hold more than we know: %w", output.ErrRefused, name, there.broken)
	}
	return there, nil
}

// render returns the text to write: the object, laid over what somebody else added to the file, if anything. Plain says that there was
// nothing.
func (d *Dir) render(c plan.Change, name string, there *file) (text []byte, plain bool, err error) {
	if there == nil || there.plain || there.broken != nil {
		text, err = manifest.YAML(c.Object)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", output.ErrRefused, err)
		}
		return text, true, nil
	}
	old, err := os.ReadFile(d.path(name))
	if err != nil {
		return nil, false, classify("read the file", err)
	}
	var existing map[string]any
	if err := yaml.Unmarshal(old, &existing); err != nil {
		return nil, false, fmt.Errorf("%w: %w", output.ErrConflict, err)
	}
	merged, err := manifest.Overlay(existing, c.Object)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", output.ErrRefused, err)
	}
	text, err = yaml.Marshal(merged)
	if err != nil {
		return nil, false, fmt.Errorf("%w: render %s: %w", output.ErrRefused, c.Key, err)
	}
	return text, false, nil
}

// replace writes text beside the file and renames it into place, unless the file changed meanwhile. It returns what the folder
// shows of the new file.
func (d *Dir) replace(name string, text []byte, there *file) (info fs.FileInfo, err error) {
	temp := d.path(d.prefix + ".tmp")
	defer func() {
		if err != nil {
			_ = os.Remove(temp) // What cannot be removed now is removed by the next Open.
		}
	}()
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) //nolint:gosec // istiod may run as somebody else.
	if err != nil {
		return nil, classify("make the file", err)
	}
	_, err = f.Write(text)
	if err == nil && there != nil {
		err = f.Sync()
	}
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return nil, classify("write the file", err)
	}
	now, err := os.Lstat(d.path(name))
	if unchanged := there == nil && errors.Is(err, fs.ErrNotExist) || there != nil && err == nil && statOf(now) == there.stat; !unchanged {
		return nil, output.ErrConflict
	}
	if err := os.Rename(temp, d.path(name)); err != nil {
		return nil, classify("put the file in place", err)
	}
	return info, nil
}

// classify wraps an error of the file system: one about a name concerns that object, everything else the folder.
func classify(step string, err error) error {
	class := output.ErrOutput
	if errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EISDIR) {
		class = output.ErrRefused
	}
	return fmt.Errorf("%w: %s: %w", class, step, err)
}
