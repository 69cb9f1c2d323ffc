package sources_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/document/documenttest"
	"github.com/registry-bridge/registry-bridge/internal/translate/translatetest"
)

const (
	// documentsLimit is how long what must come may take: after a failure the bridge waits up to 15 s before it asks again.
	documentsLimit = 40 * time.Second
	// documentPort is the port of every instance.
	documentPort = 8080
)

// documents is a registry of one's own, a bridge over it, and the oracle that watches.
type documents struct {
	documenttest.Registry
	t *testing.T
	// suffix is that of the hosts.
	suffix string
	// publish makes the registry's state visible.
	publish  func(t *testing.T)
	bridge   *bridge.Bridge
	journal  oracle.Journal
	recorder *oracle.Recorder
	want     oracle.Endpoints
}

// start registers 30 instances of ten services, starts the built program over the source, and waits until all is published.
func (d *documents) start(source string) {
	d.t.Helper()
	d.bridge = bridge.New(d.t, bridge.Options{Program: program, Source: source})
	recorder, err := oracle.Record(d.bridge.Out)
	if err != nil {
		d.t.Fatal(err)
	}
	d.recorder = recorder
	d.t.Cleanup(d.judge)
	d.want = oracle.Endpoints{}
	for s := range 10 {
		for i := range 3 {
			d.register("app-"+strconv.Itoa(s), fmt.Sprintf("10.1.%d.%d", s, i+1))
		}
	}
	d.publish(d.t)
	d.bridge.Start(d.t)
	d.settle("everything is published")
}

// judge asks the oracle.
func (d *documents) judge() {
	until := time.Now()
	if err := d.recorder.Close(); err != nil {
		d.t.Error(err)
	}
	versions, missed := d.recorder.Versions()
	findings := oracle.Judge(oracle.Case{
		Versions: versions, Journal: &d.journal, Until: until, Missed: missed, Valid: translatetest.CheckManifest,
	})
	for _, f := range findings {
		d.t.Error(f)
	}
	d.t.Logf("the oracle has judged %d versions and has %d findings", len(versions), len(findings))
}

func (d *documents) endpoint(service, address string) (oracle.Endpoint, model.Instance) {
	return oracle.Endpoint{Host: service + "." + d.suffix, Address: address, Port: documentPort},
		model.Instance{Address: address, Ports: []model.Port{{Number: documentPort, Protocol: "http"}}, Weight: 1}
}

// register and deregister change the registry; publish makes that visible.
func (d *documents) register(service, address string) {
	d.t.Helper()
	e, inst := d.endpoint(service, address)
	err := d.journal.Register(e, func() error { d.Put(service, inst); return nil })
	if err != nil {
		d.t.Fatal(err)
	}
	d.want[e] = 0
}

func (d *documents) deregister(service, address string) {
	d.t.Helper()
	e, inst := d.endpoint(service, address)
	err := d.journal.Deregister(e, 0, func() error { d.Remove(service, inst); return nil })
	if err != nil {
		d.t.Fatal(err)
	}
	delete(d.want, e)
}

// settle waits until exactly what is registered is published.
func (d *documents) settle(what string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), documentsLimit)
	defer cancel()
	if err := d.recorder.Await(ctx, func(published oracle.Endpoints) bool { return maps.Equal(published, d.want) }); err != nil {
		published, _ := d.recorder.Published()
		d.t.Fatalf("not %s: %v; %v", what, err, oracle.Diff(published, d.want, time.Now()))
	}
	d.journal.Agreed()
}

// fault is a way in which the registry goes wrong: from begin to end, noticed when the metric says so.
type fault struct {
	name       string
	noticed    func(bridge.Metrics) bool
	begin, end func()
}

// during lets the registry go wrong, waits until the bridge has noticed, moves an instance of the n-th service meanwhile, and repairs it.
func (d *documents) during(n int, f fault) {
	d.t.Helper()
	from := time.Now()
	f.begin()
	d.bridge.Await(d.t, documentsLimit, "the bridge notices: "+f.name, f.noticed)
	d.journal.Idle(from, time.Now())
	service, old := "app-"+strconv.Itoa(n), fmt.Sprintf("10.1.%d.1", n)
	d.register(service, fmt.Sprintf("10.1.%d.9", n))
	d.deregister(service, old)
	f.end()
	d.settle("recovered from: " + f.name)
}

// down is what the metrics say of a source that fails, unclear what they say of one with a unit that makes no sense.
func down(m bridge.Metrics) bool    { return m.Sum("source_up") == 0 }
func unclear(m bridge.Metrics) bool { return m.Sum("source_failing_units") > 0 }

// put writes a file beside its place, and renames it.
func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestHTTPSource: the built program over a server of its own, which goes wrong in every way.
func TestHTTPSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := filepath.Join(t.TempDir(), "documentserver")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", server, "./documentserver")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lab.FreePort(t)))
	d := &documents{t: t, suffix: "http"}
	d.publish = func(t *testing.T) {
		t.Helper()
		put(t, filepath.Join(dir, "document.json"), d.Document(document.Native))
	}
	process := lab.StartProcess(t, "documentserver", server, address, dir)
	d.start(fmt.Sprintf("{http: {url: %q, pollInterval: 1s}}", "http://"+address+"/services"))

	d.register("app-0", "10.1.0.8")
	d.deregister("app-1", "10.1.1.1")
	d.publish(t)
	d.settle("a change")
	path := filepath.Join(dir, "fault")
	for n, name := range []string{"500", "HTML", "empty body", "truncated", "truncated with its own length"} {
		d.during(n+2, fault{name, down, func() { put(t, path, []byte(name)) }, func() {
			d.publish(t)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}})
	}
	d.during(7, fault{"killed", down, process.Kill, func() {
		d.publish(t)
		lab.StartProcess(t, "documentserver", server, address, dir)
	}})
}

// TestFileSource: the built program over a folder whose links are swapped as those of a mounted ConfigMap, with bad edits among them.
func TestFileSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := 0
	// mount swaps in a version of the folder with two files.
	mount := func(t *testing.T, one, other []byte) {
		t.Helper()
		version++
		name := fmt.Sprintf("..%d", version)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, data := range map[string][]byte{"one.json": one, "other.json": other} {
			if err := os.WriteFile(filepath.Join(dir, name, file), data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)); err != nil && version == 1 {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	d := &documents{t: t, suffix: "file"}
	split := func() (one, other []byte) {
		names := d.Names()
		return d.Document(document.Native, names[:5]...), d.Document(document.Native, names[5:]...)
	}
	d.publish = func(t *testing.T) {
		t.Helper()
		one, other := split()
		mount(t, one, other)
	}
	d.start(fmt.Sprintf("{file: {path: %q}}", dir))

	d.register("app-0", "10.1.0.8")
	d.deregister("app-1", "10.1.1.1")
	d.publish(t)
	d.settle("a change")
	one, other := split()
	for n, bad := range [][]byte{nil, one[:len(one)/2], []byte("<html></html>")} {
		d.during(2+n, fault{fmt.Sprintf("bad edit %d", n), unclear, func() { mount(t, bad, other) }, func() { d.publish(t) }})
	}
	// The files change places: every service moves to the other one.
	d.register("app-9", "10.1.9.8")
	one, other = split()
	mount(t, other, one)
	d.settle("moved to the other file")
}
