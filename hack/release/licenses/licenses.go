// Package licenses collects the licences of everything that is linked into a program, and refuses what may not be.
package licenses

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// Module is a module that is linked in, and what its authors want to be passed on.
type Module struct {
	Path    string
	Version string
	// Licenses are the SPDX identifiers found in its licence files, sorted.
	Licenses []string
	// Texts are its licence and notice files. Packages may have their own below that of the module.
	Texts []Text
}

// Text is a licence or notice file of a module.
type Text struct {
	// Name is the path below the module, such as "third_party/forked/golang/LICENSE".
	Name string
	Data string
}

// Std is the path under which the standard library is listed.
const Std = "std"

// Target is a package of which everything that it imports, itself included, is linked in.
type Target struct {
	// Dir is a folder of the module in which the package is looked up.
	Dir     string
	Package string
	// Platforms are the platforms it is built for, as "linux/amd64": what is linked in depends on them.
	Platforms []string
}

// Collect returns the modules of all targets, sorted by path, without the main module. The error names every module whose licence is
// missing, unknown or not allowed.
func Collect(ctx context.Context, targets ...Target) ([]Module, error) {
	found := map[string]*collected{}
	for _, target := range targets {
		for _, platform := range target.Platforms {
			packages, err := list(ctx, target, platform)
			if err != nil {
				return nil, err
			}
			for _, pkg := range packages {
				pkg.addTo(found)
			}
		}
	}
	modules := make([]Module, 0, len(found))
	var problems []error
	for _, c := range found {
		m, err := c.read()
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", c.path, c.version, err))
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return modules, errors.Join(problems...)
}

// collected is a module and those of its folders in which licence files may be.
type collected struct {
	path, version, root string
	dirs                map[string]bool
}

// listed is what `go list -json` says of a package.
type listed struct {
	Dir      string
	Root     string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

func list(ctx context.Context, target Target, platform string) ([]listed, error) {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return nil, fmt.Errorf("platform %q: want OS/ARCH", platform)
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Root,Standard,Module", target.Package) //nolint:gosec // The package is a flag of this tool.
	cmd.Dir = target.Dir
	cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps %s: %w\n%s", target.Package, err, &stderr)
	}
	var packages []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("read what go list wrote: %w", err)
		}
		packages = append(packages, p)
	}
}

// addTo notes the folders from that of the package up to the root of its module.
func (l listed) addTo(found map[string]*collected) {
	c := collected{path: Std, root: l.Root}
	switch m := l.Module; {
	case m != nil && m.Main:
		return
	case m != nil && m.Replace != nil:
		c.path, c.version, c.root = m.Replace.Path, m.Replace.Version, m.Replace.Dir
	case m != nil:
		c.path, c.version, c.root = m.Path, m.Version, m.Dir
	case !l.Standard:
		return
	}
	if found[c.path] == nil {
		c.dirs = map[string]bool{c.root: true}
		found[c.path] = &c
	}
	if l.Standard {
		return // The one licence deeper in the standard library is that of BoringCrypto, which is linked in only with cgo.
	}
	for dir := l.Dir; strings.HasPrefix(dir, c.root+string(filepath.Separator)); dir = filepath.Dir(dir) {
		found[c.path].dirs[dir] = true
	}
}

// isLicense and isNotice tell by its name what a file is.
var (
	isLicense = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)([-._].*)?$`)
	isNotice  = regexp.MustCompile(`(?i)^(notice|patents)([-._].*)?$`)
)

func (c *collected) read() (Module, error) {
	m := Module{Path: c.path, Version: c.version}
	ids := map[string]bool{}
	var problems []error
	for dir := range c.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return m, fmt.Errorf("look for licences: %w", err)
		}
		for _, entry := range entries {
			licence := isLicense.MatchString(entry.Name())
			if entry.IsDir() || filepath.Ext(entry.Name()) == ".go" || !licence && !isNotice.MatchString(entry.Name()) {
				continue
			}
			file := filepath.Join(dir, entry.Name())
			data, err := os.ReadFile(file)
			if err != nil {
				return m, fmt.Errorf("read a licence: %w", err)
			}
			name, err := filepath.Rel(c.root, file)
			if err != nil {
				return m, fmt.Errorf("name of a licence: %w", err)
			}
			m.Texts = append(m.Texts, Text{Name: filepath.ToSlash(name), Data: string(data)})
			if licence {
				if err := identify(data, ids); err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", name, err))
				}
			}
		}
	}
	slices.SortFunc(m.Texts, func(a, b Text) int { return strings.Compare(a.Name, b.Name) })
	for id := range ids {
		m.Licenses = append(m.Licenses, id)
	}
	slices.Sort(m.Licenses)
	if len(ids) == 0 && len(problems) == 0 {
		problems = append(problems, errors.New("no licence file"))
	}
	return m, errors.Join(problems...)
}

// recognised is how much of a licence file must be text of known licences, in percent. The site pkg.go.dev asks for as much.
const recognised = 75

// identify adds the licences in a file to ids.
func identify(data []byte, ids map[string]bool) error {
	coverage := licensecheck.Scan(data)
	if coverage.Percent < recognised {
		return fmt.Errorf("only %.0f %% of it is the text of a known licence", coverage.Percent)
	}
	for _, match := range coverage.Match {
		if !allowed(match.ID) {
			return fmt.Errorf("licence %s is not allowed", match.ID)
		}
		ids[match.ID] = true
	}
	return nil
}

// allowed are licences that may be combined with Apache-2.0 in a binary: permissive ones, and MPL-2.0, which asks for no more than that
// the source of its files can be had (the notices say where).
func allowed(id string) bool {
	switch id {
	case "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0":
		return true
	}
	return false
}
