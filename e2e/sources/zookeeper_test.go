// Package sources_test runs the conformance suite of sources, and what a fake cannot show, against real registries.
package sources_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/fixture"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// program is the path of the bridge's binary.
var program string

func TestMain(m *testing.M) {
	flag.StringVar(&program, "program", "", "`binary` to run instead of one that is built from the present sources")
	flag.Parse()
	os.Exit(bridge.Suite{Program: &program, After: func() error { return goleak.Find() }}.Run(m))
}

func TestZooKeeperConformance(t *testing.T) {
	t.Parallel()
	conformance(t, lab.ZooKeeperOptions{}, zookeeper.DubboInterface)
}

func TestZooKeeperConformanceTLS(t *testing.T) {
	t.Parallel()
	conformance(t, lab.ZooKeeperOptions{TLS: true}, zookeeper.DubboInterface)
}

func TestZooKeeperConformanceDubboApplication(t *testing.T) {
	t.Parallel()
	conformance(t, lab.ZooKeeperOptions{}, zookeeper.DubboApplication)
}

func TestZooKeeperConformanceSpringCloud(t *testing.T) {
	t.Parallel()
	conformance(t, lab.ZooKeeperOptions{}, zookeeper.SpringCloud)
}

// conformance runs the suite. Tests that leave the server alone share one, each with a root of its own.
func conformance(t *testing.T, options lab.ZooKeeperOptions, layout zookeeper.Layout) {
	t.Helper()
	shared := lab.StartZooKeeper(t, options)
	var roots atomic.Int32
	sourcetest.Suite{
		Setup: func(t *testing.T, alone bool) *sourcetest.Fixture {
			t.Helper()
			server := shared
			if alone {
				server = lab.StartZooKeeper(t, options)
			}
			return fixtureOf(t, server, layout, "/root"+strconv.Itoa(int(roots.Add(1))))
		},
		OptOut:   fixture.OptOut(layout),
		Patience: 20 * time.Second,
		Parallel: true,
	}.Run(t)
}

func clientTLS(files lab.Certificates) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(files.ClientCert, files.ClientKey)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// fixtureOf wires a real server up for the suite.
func fixtureOf(t *testing.T, server *lab.ZooKeeper, layout zookeeper.Layout, root string) *sourcetest.Fixture {
	t.Helper()
	tree := &tree{}
	tree.connect(t, server)
	options := fixture.Options{
		Addr:   server.Addr,
		Layout: layout,
		Root:   root,
		Restart: func(t *testing.T) {
			t.Helper()
			server.Restart(t)
			tree.connect(t, server)
		},
		Wipe: func(t *testing.T) {
			t.Helper()
			server.Wipe(t)
			tree.connect(t, server)
		},
	}
	if server.TLS != nil {
		options.Addr = server.TLS.Addr
		options.Configure = func(cfg *zookeeper.Config) {
			cfg.TLS = func(context.Context) (*tls.Config, error) { return clientTLS(server.TLS.Certificates) }
		}
	}
	return fixture.New(t, tree, options)
}

// tree changes a real server through a client that is not ours.
type tree struct{ conn *zk.Conn }

func (r *tree) connect(t *testing.T, server *lab.ZooKeeper) {
	t.Helper()
	if r.conn != nil {
		r.conn.Close()
	}
	r.conn = lab.ConnectZooKeeper(t, lab.ZooKeeperClient{
		Servers: []string{server.Addr}, Digest: fixture.User + ":" + fixture.Password,
	})
}

// Create implements fixture.Tree.
func (r *tree) Create(path string, data []byte) error {
	_, err := r.conn.Create(path, data, 0, zk.WorldACL(zk.PermAll))
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	err = r.Create(path[:strings.LastIndexByte(path, '/')], nil)
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	return r.Create(path, data)
}

// Delete implements fixture.Tree.
func (r *tree) Delete(path string) error {
	children, _, err := r.conn.Children(path)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := r.Delete(path + "/" + child); err != nil {
			return err
		}
	}
	return r.conn.Delete(path, -1)
}

// SetACL implements fixture.Tree.
func (r *tree) SetACL(path string, acl ...wire.ACL) error {
	list := make([]zk.ACL, 0, len(acl))
	for _, a := range acl {
		list = append(list, zk.ACL{Perms: a.Perms, Scheme: a.Scheme, ID: a.ID})
	}
	_, err := r.conn.SetACL(path, list, -1)
	return err
}
