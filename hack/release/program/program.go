// Package program reads what the Go toolchain noted in a built binary: that is where image, bill of materials and notices get their
// versions from, so they cannot say anything else than the binary does.
package program

import (
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Module is a Go module that is linked into a program.
type Module struct {
	Path    string
	Version string
}

// Program is a built binary.
type Program struct {
	// File is where it lies.
	File string
	// OS and Arch are what it was built for, in Go's words.
	OS, Arch string
	// Module is the path of its main module.
	Module string
	// Version is the tag or pseudo-version of the commit, with "+dirty" when files were changed; "(devel)" when it is not known.
	Version string
	// Revision is the commit; empty when it is not known.
	Revision string
	// Time is that of the commit; the start of 1970 when it is not known.
	Time time.Time
	// Go is the version of the toolchain, such as "go1.26.8".
	Go string
	// Modules are linked into it, sorted by path, without the main module and the standard library.
	Modules []Module
}

// Read reads a binary. Not every build is stamped with its commit: the toolchain leaves it out in a git worktree and outside a checkout.
func Read(file string) (Program, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return Program{}, fmt.Errorf("read the build information of %s: %w", file, err)
	}
	p, err := fromInfo(info)
	if err != nil {
		return Program{}, fmt.Errorf("build information of %s: %w", file, err)
	}
	p.File = file
	return p, nil
}

func fromInfo(info *debug.BuildInfo) (Program, error) {
	p := Program{Module: info.Main.Path, Version: info.Main.Version, Go: info.GoVersion, Time: time.Unix(0, 0).UTC()}
	if p.Version == "" {
		p.Version = "(devel)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			p.OS = s.Value
		case "GOARCH":
			p.Arch = s.Value
		case "vcs.revision":
			p.Revision = s.Value
		case "vcs.time":
			t, err := time.Parse(time.RFC3339, s.Value)
			if err != nil {
				return Program{}, fmt.Errorf("time of the commit: %w", err)
			}
			p.Time = t.UTC()
		}
	}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		p.Modules = append(p.Modules, Module{Path: dep.Path, Version: dep.Version})
	}
	slices.SortFunc(p.Modules, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	return p, nil
}

// Tag is the version as an image tag, which may hold neither parentheses nor a plus sign.
func (p Program) Tag() string {
	return strings.NewReplacer("(", "", ")", "", "+", "-").Replace(p.Version)
}
