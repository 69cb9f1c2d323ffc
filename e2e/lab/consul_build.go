package lab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// The module that pins Consul. To move to another version, change it in a copy, add a Go file that imports github.com/hashicorp/consul,
// and run go mod tidy with GONOSUMDB=github.com/hashicorp/consul/*: the checksum database does not have all of its modules. The files
// have no go.mod's name, because a folder with a go.mod is left out of the module around it.
var (
	//go:embed consul/consul.mod
	consulMod []byte
	//go:embed consul/consul.sum
	consulSum []byte
)

// consulBuildLimit bounds the build, downloads included. It takes 5 minutes on two idle cores.
const consulBuildLimit = 45 * time.Minute

const consulPackage = "github.com/hashicorp/consul"

// PrepareConsul builds the Consul agent into the cache folder, unless it is there, and returns the program. It writes its progress to
// progress. Several processes may prepare at once: one works, the others wait.
func PrepareConsul(ctx context.Context, progress io.Writer) (program string, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s\n%s%s", runtime.Version(), consulPackage, consulMod, consulSum)
	program = filepath.Join(cache, "consul", hex.EncodeToString(sum.Sum(nil))[:12], "consul")
	unlock, err := lockFile(ctx, filepath.Join(cache, "consul.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(program); !errors.Is(err, fs.ErrNotExist) {
		return program, err
	}
	if err := buildConsul(ctx, program, progress); err != nil {
		return "", fmt.Errorf("build consul: %w", err)
	}
	return program, nil
}

// buildConsul builds beside the program and renames it at the end, so that it is complete or not there.
func buildConsul(ctx context.Context, program string, progress io.Writer) error {
	dir := filepath.Dir(program)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for name, text := range map[string][]byte{"go.mod": consulMod, "go.sum": consulSum} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, consulBuildLimit)
	defer cancel()
	start := time.Now()
	fmt.Fprintln(progress, "lab: building consul (once; downloads Go modules, and takes about 5 minutes on two idle cores)")
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
				fmt.Fprintf(progress, "lab: still building consul, %v so far\n", time.Since(start).Round(time.Second))
			}
		}
	}()
	build := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-ldflags", "-s -w", "-o", program+".new", consulPackage)
	build.Dir = dir
	build.Env = append(build.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", consulPackage, err, output)
	}
	if err := os.Rename(program+".new", program); err != nil {
		return err
	}
	fmt.Fprintf(progress, "lab: built consul in %v\n", time.Since(start).Round(time.Second))
	return nil
}
