// Package fileset reads files and folders as one, and tells when they change.
package fileset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Missing is the reason in Content.Failed for a path that there is not.
const Missing = "does not exist"

var errNoFile = errors.New("it is no regular file")

// Options say what to read.
type Options struct {
	// Paths are files and folders.
	Paths []string
	// Extensions are those of the files that count in a folder, with their dots. Files whose name starts with a dot never count, nor do
	// those in folders below. A file in Paths counts whatever its name is.
	Extensions []string
	// MaxSize is how large a file may be, in bytes; 0 for any size. With a limit, pipes and devices are not read either: they may never
	// end, or never begin.
	MaxSize int64
}

// Content is what the files hold at one moment.
type Content struct {
	// Files has the bytes of each file by its path.
	Files map[string][]byte
	// Failed has the reason for each path, of a file or one of Options.Paths, that could not be read.
	Failed map[string]string
}

// Equal reports whether the two are the same.
func (c Content) Equal(o Content) bool {
	return maps.EqualFunc(c.Files, o.Files, bytes.Equal) && maps.Equal(c.Failed, o.Failed)
}

// Read reads the files now. It never fails as a whole: what cannot be read is in Failed.
func Read(opts Options) Content {
	c := Content{Files: map[string][]byte{}, Failed: map[string]string{}}
	for _, path := range opts.Paths {
		path = filepath.Clean(path)
		entries, err := os.ReadDir(path)
		if err != nil {
			c.readFile(path, opts.MaxSize) // A file, or nothing; both say so themselves.
			continue
		}
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			if strings.HasPrefix(e.Name(), ".") || !slices.Contains(opts.Extensions, filepath.Ext(name)) {
				continue
			}
			if info, err := os.Stat(name); err == nil && info.IsDir() {
				continue
			}
			c.readFile(name, opts.MaxSize)
		}
	}
	return c
}

func (c Content) readFile(name string, limit int64) {
	data, err := readLimited(name, limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Failed[name] = Missing
	case err != nil:
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err // The path is said already.
		}
		c.Failed[name] = fmt.Sprintf("cannot be read: %v", err)
	case limit > 0 && int64(len(data)) > limit:
		c.Failed[name] = fmt.Sprintf("is larger than %d bytes", limit)
	default:
		c.Files[name] = data
	}
}

// readLimited reads a file, and one byte above the limit at most.
func readLimited(name string, limit int64) ([]byte, error) {
	if limit == 0 {
		return os.ReadFile(name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}
