package program

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFromInfo(t *testing.T) {
	stamped := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "example.com/p", Version: "v1.2.3+dirty"},
		Deps: []*debug.Module{
			{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1"}},
			{Path: "example.com/a", Version: "v2.0.0"},
		},
		Settings: []debug.BuildSetting{
			{Key: "GOOS", Value: "linux"},
			{Key: "GOARCH", Value: "arm64"},
			{Key: "vcs.revision", Value: "0123"},
			{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
		},
	}
	got, err := fromInfo(stamped)
	if err != nil {
		t.Fatal(err)
	}
	want := Program{
		OS: "linux", Arch: "arm64", Module: "example.com/p", Version: "v1.2.3+dirty", Revision: "0123",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Go: "go1.26.8",
		Modules: []Module{{Path: "example.com/a", Version: "v2.0.0"}, {Path: "example.com/fork", Version: "v1.0.1"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if tag := got.Tag(); tag != "v1.2.3-dirty" {
		t.Errorf("tag %q", tag)
	}

	plain, err := fromInfo(&debug.BuildInfo{})
	if err != nil || plain.Version != "(devel)" || plain.Tag() != "devel" || plain.Revision != "" || plain.Time.Unix() != 0 {
		t.Errorf("not stamped: %+v, %v", plain, err)
	}
	stamped.Settings = []debug.BuildSetting{{Key: "vcs.time", Value: "yesterday"}}
	if _, err := fromInfo(stamped); err == nil {
		t.Error("a time that is none was accepted")
	}
}

// TestRead reads this test itself.
func TestRead(t *testing.T) {
	p, err := Read(os.Args[0])
	if err != nil || p.OS != runtime.GOOS || p.Arch != runtime.GOARCH || p.File != os.Args[0] {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := Read("program.go"); err == nil {
		t.Error("a file that is no program was read")
	}
}
