package nacos_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"

	"github.com/registry-bridge/registry-bridge/internal/source/nacos"
	"github.com/registry-bridge/registry-bridge/internal/source/nacos/nacostest"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// watcher is something that follows services: the library's client, or the source.
type watcher interface {
	// follow begins to follow a service.
	follow(t *testing.T, service string)
	// places are where the instances of a service are, as its user would be told now.
	places(service string) []string
	// stop ends it.
	stop()
}

// maker makes a watcher of some servers, which may keep what it likes in a folder.
type maker func(t *testing.T, folder string, servers ...*nacostest.Server) watcher

// library is the client of the library.
type library struct{ client naming_client.INamingClient }

func newLibrary(t *testing.T, folder string, servers ...*nacostest.Server) watcher {
	t.Helper()
	var configs []constant.ServerConfig
	for _, s := range servers {
		host, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, *constant.NewServerConfig(host, number))
	}
	client, err := clients.NewNamingClient(vo.NacosClientParam{
		ClientConfig:  constant.NewClientConfig(constant.WithTimeoutMs(5000), constant.WithCacheDir(folder), constant.WithLogDir(folder)),
		ServerConfigs: configs,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &library{client: client}
	t.Cleanup(l.stop)
	return l
}

// follow implements watcher.
func (l *library) follow(t *testing.T, service string) {
	t.Helper()
	err := l.client.Subscribe(&vo.SubscribeParam{ServiceName: service, SubscribeCallback: func([]model.Instance, error) {}})
	if err != nil {
		t.Logf("subscribe to %s: %v", service, err) // It says so of a service without instances.
	}
}

// places implements watcher.
func (l *library) places(service string) []string {
	svc, err := l.client.GetService(vo.GetServiceParam{ServiceName: service})
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, inst := range svc.Hosts {
		out = append(out, net.JoinHostPort(inst.Ip, strconv.FormatUint(inst.Port, 10)))
	}
	slices.Sort(out)
	return out
}

// stop implements watcher.
func (l *library) stop() { l.client.CloseClient() }

// bridge is the source.
type bridge struct {
	recorder *sourcetest.Recorder
	stop_    func()
}

func newSource(t *testing.T, _ string, servers ...*nacostest.Server) watcher {
	t.Helper()
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	src := nacos.New(nacos.Config{SourceID: sourcetest.ID, Servers: addrs, ListEvery: 200 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	b := &bridge{recorder: sourcetest.NewRecorder(t, sourcetest.ID)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			sink, end := b.recorder.Begin()
			if err := src.Run(ctx, sink); err != nil {
				t.Logf("run: %v", err)
			}
			end()
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	b.stop_ = func() {
		cancel()
		<-done
	}
	t.Cleanup(b.stop)
	return b
}

// follow implements watcher: a source follows all services.
func (b *bridge) follow(t *testing.T, service string) {
	t.Helper()
	b.recorder.Wait(t, service, patience, func(s sourcetest.State) bool { return s.Service(service) != nil })
}

// places implements watcher.
func (b *bridge) places(service string) []string { return b.recorder.State().Addresses(service) }

// stop implements watcher.
func (b *bridge) stop() { b.stop_() }

// patience is how long what must come may take, and what must not is waited for.
const patience = 3 * time.Second

// become waits until a service is where it should be.
func become(t *testing.T, w watcher, service string, want ...string) error {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := w.places(service)
		if slices.Equal(got, want) {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("%s is said to be at %v, and is at %v", service, got, want)
		}
	}
}
