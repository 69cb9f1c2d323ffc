package sources_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/nacostest"
)

// BenchmarkNacosToFile is the built program before a real server: 5,000 services from nothing, and then single changes of known ones. See
// docs/performance.md.
func BenchmarkNacosToFile(b *testing.B) {
	const services, changes = 5000, 30
	server := lab.StartNacos(b, lab.Nacos2)
	client := nacostest.Dial(context.WithoutCancel(b.Context()), server.GRPCAddr)
	b.Cleanup(client.Close)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range services {
		group.Go(func() error { return client.Register(b.Context(), nacosKey(i), nacosAt(1)) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		folder := b.TempDir()
		config := filepath.Join(folder, "registry.yaml")
		text := fmt.Sprintf("apiVersion: registry-bridge.io/v1alpha1\nkind: Registry\nmetadata: {name: n, namespace: mesh}\nspec: {source: {nacos: {servers: [%q]}}}\n", server.Addr)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		out := filepath.Join(folder, "out")
		begin := time.Now()
		lab.StartProcess(b, "bridge", nacosBridge(b), "run", "--config", config, "--output-dir", out, "--listen", "127.0.0.1:0")
		lab.Await(b, 2*time.Minute, "all files", func(context.Context) error {
			entries, err := os.ReadDir(out)
			if err != nil || len(entries) < services {
				return errors.Join(err, fmt.Errorf("%d files", len(entries)))
			}
			return nil
		})
		b.ReportMetric(time.Since(begin).Seconds(), "sync-s")
		var took []time.Duration
		for n := range changes {
			took = append(took, nacosChange(b, client, out, n))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[changes/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(took[changes*99/100].Milliseconds()), "p99-ms")
		b.ReportMetric(float64(took[changes-1].Milliseconds()), "max-ms")
	}
}

// nacosBridge is the built program.
func nacosBridge(b *testing.B) string {
	b.Helper()
	path, err := filepath.Abs("../../bin/registry-bridge")
	if err != nil {
		b.Fatal(err)
	}
	return path
}

func nacosKey(i int) nacostest.Key {
	return nacostest.Key{Namespace: "public", Group: "DEFAULT_GROUP", Name: fmt.Sprintf("bench-%d", i)}
}

func nacosAt(last int) nacostest.Instance { return nacostest.At(fmt.Sprintf("10.1.0.%d", last), 80) }

// nacosChange adds an instance to a service and says how long it took until the file had it.
func nacosChange(b *testing.B, client *nacostest.Client, out string, n int) time.Duration {
	b.Helper()
	key := nacosKey(n)
	begin := time.Now()
	if err := client.Register(b.Context(), key, nacosAt(1), nacosAt(2)); err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(out, "serviceentry_mesh_"+key.Name+".nacos.yaml")
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "10.1.0.2") {
			return time.Since(begin)
		}
		<-time.After(2 * time.Millisecond)
	}
	b.Fatalf("%s did not change", file)
	return 0
}
