package lab_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

func TestZooKeeperKeepsANode(t *testing.T) {
	t.Parallel()
	server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}})

	if _, err := client.Create("/registered", []byte("by a client"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	server.Restart(t)
	awaitData(t, client, "/registered", "by a client")

	server.Kill()
	server.Start(t)
	awaitData(t, client, "/registered", "by a client")
}

func TestZooKeeperWiped(t *testing.T) {
	t.Parallel()
	server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}})
	if _, err := client.Create("/registered", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	client.Close()

	server.Wipe(t)
	client = lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}})
	exists, _, err := client.Exists("/registered")
	if err != nil || exists {
		t.Errorf("Exists after a wipe = %v, %v; want false", exists, err)
	}
}

func TestZooKeeperDigestACL(t *testing.T) {
	t.Parallel()
	server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	owner := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}, Digest: "bridge:secret"})
	stranger := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server.Addr}})

	if _, err := owner.Create("/hidden", []byte("x"), 0, zk.DigestACL(zk.PermAll, "bridge", "secret")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := owner.Get("/hidden"); err != nil {
		t.Errorf("Get as the owner: %v", err)
	}
	if _, _, err := stranger.Get("/hidden"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("Get as a stranger: %v, want %v", err, zk.ErrNoAuth)
	}
}

func TestZooKeeperTLS(t *testing.T) {
	t.Parallel()
	server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{TLS: true})
	cert, err := tls.LoadX509KeyPair(server.TLS.ClientCert, server.TLS.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(server.TLS.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ServerName: "localhost"}
	client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{
		Servers: []string{server.TLS.Addr},
		Dial: func(network, address string, timeout time.Duration) (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, config)
		},
	})
	if _, err := client.Create("/registered", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Error(err)
	}
}

func TestZooKeeperEnsembleOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	servers := lab.StartEnsemble(t, 3, lab.ZooKeeperOptions{})
	var all []string
	for _, server := range servers {
		all = append(all, server.Addr)
	}
	client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: all})
	if _, err := client.Create("/registered", []byte("x"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	for _, server := range servers {
		if answer, err := server.Ask(t.Context(), "srvr"); err == nil && isLeader(answer) {
			server.Kill()
			break
		}
	}
	awaitData(t, client, "/registered", "x")
}

func awaitData(t *testing.T, client *zk.Conn, path, want string) {
	t.Helper()
	lab.Await(t, 30*time.Second, path+" is readable", func(context.Context) error {
		data, _, err := client.Get(path)
		if err == nil && string(data) != want {
			return fmt.Errorf("data %q, want %q", data, want)
		}
		return err
	})
}
