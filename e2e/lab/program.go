package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// buildLimit bounds one build, downloads included.
const buildLimit = 45 * time.Minute

// goProgram is a server that is built from a pinned module. The module's files have no go.mod's name, because a folder with a go.mod is
// left out of the module around it.
type goProgram struct {
	// folder is where it is in the cache, name that of the program, pkg the package that is built.
	folder, name, pkg string
	mod, sum          []byte
	// source is the file main.go beside the module, when pkg says "main.go"; otherwise there is none.
	source []byte
	// variables are those that the linker sets, such as the version: "package.name=value".
	variables []string
	// static builds without cgo. It is for what runs inside containers, where there is no C library.
	static bool
	// minutes is about how long the build takes on two idle cores.
	minutes int
}

// prepare builds the program into the cache folder, unless it is there, and returns its path. It writes its progress to progress.
// Several processes may prepare at once: one works, the others wait.
func (p goProgram) prepare(ctx context.Context, progress io.Writer) (path string, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s\n%s%s", runtime.Version(), p.pkg, p.mod, p.sum)
	for _, variable := range p.variables {
		fmt.Fprintln(sum, variable)
	}
	sum.Write(p.source)
	path = filepath.Join(cache, p.folder, hex.EncodeToString(sum.Sum(nil))[:12], p.name)
	if isFile(path) {
		return path, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, p.folder+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(path) {
		return path, nil // Another process built it while this one waited.
	}
	if err := p.build(ctx, path, progress); err != nil {
		return "", fmt.Errorf("build %s: %w", p.name, err)
	}
	return path, nil
}

// build builds beside path and renames it at the end, so that it is complete or not there.
func (p goProgram) build(ctx context.Context, path string, progress io.Writer) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for name, text := range map[string][]byte{"go.mod": p.mod, "go.sum": p.sum, "main.go": p.source} {
		if text == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	start := time.Now()
	fmt.Fprintf(progress, "lab: building %s (once; downloads Go modules, and takes about %d minutes on two idle cores)\n", p.name, p.minutes)
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(time.Minute)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(progress, "lab: still building %s, %v so far\n", p.name, time.Since(start).Round(time.Second))
			}
		}
	}()
	flags := []string{"-s", "-w"}
	for _, variable := range p.variables {
		flags = append(flags, "-X", variable)
	}
	build := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-ldflags", strings.Join(flags, " "), "-o", path+".new", p.pkg)
	build.Dir = dir
	build.Env = append(build.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if p.static {
		build.Env = append(build.Env, "CGO_ENABLED=0")
	}
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", p.pkg, err, output)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	fmt.Fprintf(progress, "lab: built %s in %v\n", p.name, time.Since(start).Round(time.Second))
	return nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
