package cli

import (
	"context"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/file"
	"github.com/registry-bridge/registry-bridge/internal/status"
)

// files give a bridge the Registries of configuration files.
type files struct {
	watcher *file.Watcher
	bridge  *bridge

	mu     sync.Mutex
	set    file.Set
	loaded time.Time
}

func newFiles(paths []string, b *bridge) *files {
	return &files{watcher: file.NewWatcher(file.WatcherOptions{Paths: paths, Logger: b.log}), bridge: b}
}

// run applies what changes until ctx ends, and stops the sources then.
func (f *files) run(ctx context.Context) {
	f.watcher.Run(ctx, func(set file.Set) { f.apply(ctx, set) })
	f.bridge.controller.Stop()
}

// apply makes a set of files the configuration. What is wrong in them leaves the Registries that it is about as they were.
func (f *files) apply(ctx context.Context, set file.Set) {
	f.mu.Lock()
	set = set.Keeping(f.set)
	f.set, f.loaded = set, time.Now()
	f.mu.Unlock()
	registries := make([]v1alpha1.Registry, len(set.Registries))
	for i, e := range set.Registries {
		registries[i] = e.Registry
	}
	f.bridge.controller.Apply(ctx, registries)
	for _, p := range set.Problems {
		f.bridge.log.Error("the configuration has a problem; what it is about stays as it was", "problem", p.String())
	}
	f.bridge.log.Info("configuration loaded", "registries", len(registries), "files", set.Files, "problems", len(set.Problems))
}

// configuration says how the configuration is doing.
func (f *files) configuration() status.Configuration {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := status.Configuration{Loaded: f.loaded}
	for _, p := range f.set.Problems {
		c.Problems = append(c.Problems, p.String())
	}
	return c
}
