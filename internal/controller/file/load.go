package file

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/registry-bridge/registry-bridge/internal/fileset"
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
func Load(paths []string) Set { return decode(fileset.Read(files(paths))) }

func files(paths []string) fileset.Options {
	return fileset.Options{Paths: paths, Extensions: []string{".yaml", ".yml", ".json"}}
}

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

func decode(c fileset.Content) Set {
	s := Set{broken: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(c.Failed)) {
		s.Problems = append(s.Problems, Problem{File: name, Detail: c.Failed[name]})
	}
	first := map[string]Entry{}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		if len(bytes.TrimSpace(c.Files[name])) == 0 {
			// Rather a full disk, or an editor between truncating and writing, than a person who wants everything gone.
			s.Problems = append(s.Problems, Problem{File: name, Detail: "is empty; to configure nothing, remove the file or leave a comment in it"})
			continue
		}
		s.Files++
		d := Decode(name, c.Files[name])
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
