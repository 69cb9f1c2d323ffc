package file

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Set is what a list of files and folders holds.
type Set struct {
	// Registries are those without a mistake, sorted by namespace and name.
	Registries []Entry
	// Problems is everything that is wrong, sorted by file and line.
	Problems []Problem
	// Files counts the files that were read.
	Files int

	// broken are the paths, of files or of folders, whose content is not fully understood.
	broken map[string]bool
}

// Load reads all Registries of the given files and folders. Of a folder, the files *.yaml, *.yml and *.json count, without those whose
// name starts with a dot and without those in folders below.
func Load(paths []string) Set { return read(paths).decode() }

// Keeping returns s with those Registries of last added that s lacks only because of a mistake: what is not understood changes nothing.
// A Registry whose file could be read without any problem and does not hold it any more is gone.
func (s Set) Keeping(last Set) Set {
	have := map[string]bool{}
	for _, e := range s.Registries {
		have[e.key()] = true
	}
	kept := slices.Clone(s.Registries)
	for _, e := range last.Registries {
		if !have[e.key()] && (s.broken[e.File] || s.broken[filepath.Dir(e.File)]) {
			kept = append(kept, e)
		}
	}
	sortEntries(kept)
	s.Registries = kept
	return s
}

// key is namespace/name, which identifies a Registry.
func (e Entry) key() string { return e.Registry.Namespace + "/" + e.Registry.Name }

func sortEntries(entries []Entry) {
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Registry.Namespace, b.Registry.Namespace), cmp.Compare(a.Registry.Name, b.Registry.Name))
	})
}

// content is the bytes of all files at one moment.
type content struct {
	files map[string][]byte
	// failed has the reason for each path that could not be read.
	failed map[string]string
}

func (c content) equal(o content) bool {
	return maps.EqualFunc(c.files, o.files, bytes.Equal) && maps.Equal(c.failed, o.failed)
}

// read never fails as a whole: what cannot be read is in failed.
func read(paths []string) content {
	c := content{files: map[string][]byte{}, failed: map[string]string{}}
	for _, path := range paths {
		path = filepath.Clean(path)
		entries, err := os.ReadDir(path)
		if err != nil {
			c.readFile(path) // A file, or nothing; both say so themselves.
			continue
		}
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			if !isConfig(e.Name()) {
				continue
			}
			if info, err := os.Stat(name); err == nil && info.IsDir() {
				continue
			}
			c.readFile(name)
		}
	}
	return c
}

func isConfig(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

func (c content) readFile(name string) {
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.failed[name] = "does not exist"
	case err != nil:
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err // The path is said already.
		}
		c.failed[name] = fmt.Sprintf("cannot be read: %v", err)
	case len(bytes.TrimSpace(data)) == 0:
		// Rather a full disk, or an editor between truncating and writing, than a person who wants everything gone.
		c.failed[name] = "is empty; to configure nothing, remove the file or leave a comment in it"
	default:
		c.files[name] = data
	}
}

func (c content) decode() Set {
	s := Set{Files: len(c.files), broken: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(c.failed)) {
		s.Problems = append(s.Problems, Problem{File: name, Detail: c.failed[name]})
	}
	first := map[string]Entry{}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		d := Decode(name, c.files[name])
		s.Problems = append(s.Problems, d.Problems...)
		for _, e := range d.Registries {
			if other, twice := first[e.key()]; twice {
				s.Problems = append(s.Problems, Problem{
					File: e.File, Line: e.Line, Path: "metadata.name", Value: render(e.Registry.Name),
					Detail: fmt.Sprintf("is the name of the Registry in %s:%d too, in namespace %q; give one of them another name",
						other.File, other.Line, e.Registry.Namespace),
				})
				continue
			}
			first[e.key()] = e
			s.Registries = append(s.Registries, e)
		}
	}
	for _, p := range s.Problems {
		s.broken[p.File] = true
	}
	sortEntries(s.Registries)
	sortProblems(s.Problems)
	return s
}
