package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// forwarding is what kubectl port-forward says when it is ready.
var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+) ->`)

// PortForward runs kubectl port-forward until the end of the test and returns the address on this machine. The target is what kubectl
// takes: pod/name, deployment/name or service/name.
func (c *Cluster) PortForward(t testing.TB, namespace, target, port string) (address string) {
	t.Helper()
	process := lab.StartProcess(t, "port-forward", c.programs.Kubectl, "--kubeconfig="+c.Kubeconfig, "--namespace="+namespace,
		"port-forward", target, ":"+port)
	lab.Await(t, startLimit, "the port of "+target+" is forwarded", func(context.Context) error {
		if match := forwarding.FindStringSubmatch(process.Output()); match != nil {
			address = match[1]
			return nil
		}
		if err := process.Err(); err != nil {
			t.Fatal(err)
		}
		return fmt.Errorf("kubectl says %q", process.Output())
	})
	return address
}

// Expose makes a server that listens on 127.0.0.1, as all servers of the lab do, reachable from pods until the end of the test, and
// returns the address for them. Connections are as the server leaves them: it may stop, and come back.
func (c *Cluster) Expose(t testing.TB, address string) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", net.JoinHostPort(NodeIP, "0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				serving.Go(func() { forward(ctx, client, address) })
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

// forward connects a client with a server, until one of them closes or the context ends.
func forward(ctx context.Context, client net.Conn, address string) {
	defer client.Close()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	server, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return // The client sees a closed connection, as from a server that has just gone.
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	var copying sync.WaitGroup
	for _, direction := range []struct{ to, from net.Conn }{{client, server}, {server, client}} {
		copying.Go(func() {
			_, _ = io.Copy(direction.to, direction.from) // How a connection ends is for the other side to see.
			client.Close()
			server.Close()
		})
	}
	copying.Wait()
}
