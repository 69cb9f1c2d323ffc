package sources_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
)

// The measurements behind docs/design/0002-zookeeper-client.md. Each iteration needs a server of its own and takes up to a minute:
//
//	go test -run '^$' -bench ZooKeeper -benchtime 1x ./sources
const (
	benchProviders  = 2000
	benchInterfaces = 30000
	benchInterface  = "com.acme.Bench"
	// restartEvery is the time between two restarts of the rolling one, downtime how long a provider is away.
	restartEvery = 10 * time.Millisecond
	downtime     = 5 * time.Millisecond
	// gather is how long the client with one-shot watches lets changes gather before it reads again.
	gather = 300 * time.Millisecond
)

// providerNode is a node name of the usual length, about 600 bytes.
func providerNode(iface string, i, generation int) string {
	return url.QueryEscape(fmt.Sprintf("dubbo://10.%d.%d.%d:20880/%s?anyhost=true&application=bench-provider&deprecated=false&dubbo=2.0.2"+
		"&dynamic=true&generic=false&interface=%s&methods=create,cancel,find,list,update,archive,restore,export&pid=%d"+
		"&prefer.serialization=hessian2,fastjson2&release=3.3.6&revision=1.0.0&service-name-mapping=true&side=provider&timestamp=%d",
		i>>16, i>>8&255, i&255, iface, iface, generation+1, 1700000000000+generation))
}

// counted counts the bytes that a client reads.
type counted struct{ bytes atomic.Int64 }

type countedConn struct {
	net.Conn
	to *counted
}

// Read implements net.Conn.
func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.to.bytes.Add(int64(n))
	return n, err
}

func (c *counted) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return countedConn{conn, c}, err
}

func (c *counted) dialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	return countedConn{conn, c}, err
}

// latest is a sink that keeps what it was told last.
type latest struct {
	mu       sync.Mutex
	services map[model.Ref]*model.Service
	synced   bool
	changed  chan struct{}
}

func newLatest() *latest {
	return &latest{services: map[model.Ref]*model.Service{}, changed: make(chan struct{}, 1)}
}

func (l *latest) note(do func()) {
	l.mu.Lock()
	do()
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Upsert implements source.Sink.
func (l *latest) Upsert(svc *model.Service) { l.note(func() { l.services[svc.Ref] = svc }) }

// Delete implements source.Sink.
func (l *latest) Delete(ref model.Ref) {
	l.note(func() {
		for known := range l.services {
			if known == ref || ref.Name == "" && known.Unit == ref.Unit {
				delete(l.services, known)
			}
		}
	})
}

// Skip implements source.Sink.
func (l *latest) Skip(model.Ref, error) {}

// Synced implements source.Sink.
func (l *latest) Synced() { l.note(func() { l.synced = true }) }

// await waits until ok is true.
func (l *latest) await(b *testing.B, what string, ok func() bool) {
	b.Helper()
	limit := time.After(2 * time.Minute)
	for {
		l.mu.Lock()
		done := ok()
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-l.changed:
		case <-limit:
			b.Fatalf("no %s", what)
		}
	}
}

// watch runs our source until the end of the benchmark.
func watch(b *testing.B, addr string, bytes *counted) *latest {
	b.Helper()
	sink := newLatest()
	ctx, cancel := context.WithCancel(b.Context())
	src := zookeeper.New(zookeeper.Config{SourceID: "bench.00000000", Servers: []string{addr}, DialContext: bytes.dial})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := src.Run(ctx, sink); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return sink
}

// connectCounted connects the general client.
func connectCounted(b *testing.B, addr string, bytes *counted) *zk.Conn {
	b.Helper()
	return lab.ConnectZooKeeper(b, lab.ZooKeeperClient{Servers: []string{addr}, Dial: bytes.dialTimeout, SessionTimeout: 10 * time.Second})
}

// fill creates nodes in batches.
func fill(b *testing.B, conn *zk.Conn, paths []string) {
	b.Helper()
	for batch := range slices.Chunk(paths, 400) {
		ops := make([]any, 0, len(batch))
		for _, p := range batch {
			ops = append(ops, &zk.CreateRequest{Path: p, Acl: zk.WorldACL(zk.PermAll)})
		}
		if _, err := conn.Multi(ops...); err != nil {
			b.Fatal(err)
		}
	}
}

// rollingRestart replaces every provider, one after the other.
func rollingRestart(b *testing.B, conn *zk.Conn) {
	b.Helper()
	dir := "/dubbo/" + benchInterface + "/providers/"
	ticker := time.NewTicker(restartEvery)
	defer ticker.Stop()
	away := time.NewTimer(0)
	<-away.C
	for i := range benchProviders {
		<-ticker.C
		if err := conn.Delete(dir+providerNode(benchInterface, i, 0), -1); err != nil {
			b.Fatal(err)
		}
		away.Reset(downtime)
		<-away.C
		if _, err := conn.Create(dir+providerNode(benchInterface, i, 1), nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := conn.Create(dir+providerNode(benchInterface, benchProviders, 0), nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		b.Fatal(err)
	}
}

// oneInterface starts a server with one interface of many providers.
func oneInterface(b *testing.B) (*lab.ZooKeeper, *zk.Conn) {
	b.Helper()
	server := lab.StartZooKeeper(b, lab.ZooKeeperOptions{Heap: "1g"})
	conn := lab.ConnectZooKeeper(b, lab.ZooKeeperClient{Servers: []string{server.Addr}})
	dir := "/dubbo/" + benchInterface + "/providers"
	paths := []string{"/dubbo", "/dubbo/" + benchInterface, dir}
	for i := range benchProviders {
		paths = append(paths, dir+"/"+providerNode(benchInterface, i, 0))
	}
	fill(b, conn, paths)
	return server, conn
}

// BenchmarkZooKeeperRollingRestart counts what a client reads while 2,000 providers of one interface restart one by one.
func BenchmarkZooKeeperRollingRestart(b *testing.B) {
	b.Run("client=own", func(b *testing.B) {
		for b.Loop() {
			server, conn := oneInterface(b)
			var bytes counted
			sink := watch(b, server.Addr, &bytes)
			ref := model.Ref{Source: "bench.00000000", Unit: benchInterface, Name: benchInterface}
			has := func(n int) func() bool {
				return func() bool { return sink.synced && sink.services[ref] != nil && len(sink.services[ref].Instances) == n }
			}
			sink.await(b, "listing", has(benchProviders))
			before := bytes.bytes.Load()
			rollingRestart(b, conn)
			sink.await(b, "last provider", has(benchProviders+1))
			b.ReportMetric(float64(bytes.bytes.Load()-before)/1e6, "MB-read")
		}
	})
	b.Run("client=go-zookeeper", func(b *testing.B) {
		for b.Loop() {
			server, conn := oneInterface(b)
			var bytes counted
			reader := connectCounted(b, server.Addr, &bytes)
			list := func() (int, <-chan zk.Event) {
				names, _, events, err := reader.ChildrenW("/dubbo/" + benchInterface + "/providers")
				if err != nil {
					b.Error(err)
				}
				return len(names), events
			}
			_, events := list()
			before := bytes.bytes.Load()
			var wg sync.WaitGroup
			wg.Go(func() {
				for n := 0; n != benchProviders+1 && !b.Failed(); {
					<-events
					<-time.After(gather)
					n, events = list()
				}
			})
			rollingRestart(b, conn)
			wg.Wait()
			b.ReportMetric(float64(bytes.bytes.Load()-before)/1e6, "MB-read")
		}
	})
}

// manyInterfaces starts a server with many interfaces of one provider.
func manyInterfaces(b *testing.B) *lab.ZooKeeper {
	b.Helper()
	server := lab.StartZooKeeper(b, lab.ZooKeeperOptions{Heap: "1g"})
	conn := lab.ConnectZooKeeper(b, lab.ZooKeeperClient{Servers: []string{server.Addr}})
	paths := []string{"/dubbo"}
	for i := range benchInterfaces {
		iface := fmt.Sprintf("com.acme.bench.Service%05d", i)
		dir := "/dubbo/" + iface
		paths = append(paths, dir, dir+"/configurators", dir+"/providers", dir+"/providers/"+providerNode(iface, i, 0))
	}
	fill(b, conn, paths)
	return server
}

// BenchmarkZooKeeperList measures how long it takes to list 30,000 interfaces and to watch them.
func BenchmarkZooKeeperList(b *testing.B) {
	server := manyInterfaces(b)
	b.Run("client=own", func(b *testing.B) {
		for b.Loop() {
			var bytes counted
			sink := watch(b, server.Addr, &bytes)
			sink.await(b, "listing", func() bool { return sink.synced && len(sink.services) == benchInterfaces })
			b.ReportMetric(float64(bytes.bytes.Load())/1e6, "MB-read")
		}
	})
	b.Run("client=go-zookeeper", func(b *testing.B) {
		for b.Loop() {
			var bytes counted
			conn := connectCounted(b, server.Addr, &bytes)
			names, _, _, err := conn.ChildrenW("/dubbo")
			if err != nil || len(names) != benchInterfaces {
				b.Fatalf("%d interfaces: %v", len(names), err)
			}
			work := make(chan string)
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for name := range work {
						for _, category := range []string{"providers", "configurators"} {
							if _, _, _, err := conn.ChildrenW("/dubbo/" + name + "/" + category); err != nil {
								b.Error(err)
							}
						}
					}
				})
			}
			for _, name := range names {
				work <- name
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(bytes.bytes.Load())/1e6, "MB-read")
		}
	})
}

// BenchmarkZooKeeperWiped measures the time from when a server that lost its data serves again until the state is right. (The general
// client never gets there: it offers its last transaction id for ever and is refused.)
func BenchmarkZooKeeperWiped(b *testing.B) {
	for b.Loop() {
		server, _ := oneInterface(b)
		sink := watch(b, server.Addr, &counted{})
		sink.await(b, "listing", func() bool { return sink.synced && len(sink.services) == 1 })
		server.Wipe(b)
		begin := time.Now()
		sink.await(b, "empty registry", func() bool { return len(sink.services) == 0 })
		b.ReportMetric(time.Since(begin).Seconds(), "s-after-start")
	}
}
