package kube

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
)

// BenchmarkWorkloads keeps 500 hosts with 40 WorkloadEntries each, and reports what one of them costs in memory; a step is one instance that
// changes, until Live shows it.
func BenchmarkWorkloads(b *testing.B) {
	const hosts, each = 500, 40
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := newMirror()
	stored := func(host, address, version int) *item {
		o := outputtest.Workloads(fmt.Sprintf("service-%d.acme", host), fmt.Sprintf("10.%d.%d.%d", host/250, host%250, address))
		fields, err := manifest.Map(pieces.Split(o)[1])
		if err != nil {
			b.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: fields}
		u.SetUID("8a9f0ba2-6f5e-4a44-8a3f-1c4c2f2f3d00")
		u.SetResourceVersion(strconv.Itoa(version))
		return read(u, outputtest.Instance)
	}
	for host := range hosts {
		for address := range each {
			m.saw(stored(host, address, 100+host*each+address))
		}
	}
	if n := len(m.list()); n != hosts {
		b.Fatalf("%d objects", n)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	version := 1_000_000
	for b.Loop() {
		version++
		i := stored(version%hosts, version%each, version)
		i.object.WorkloadEntry.Endpoint.Weight = uint32(version)
		m.saw(i)
		m.list()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(hosts*each), "B/instance")
}
