package lab

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// ZooKeeperClient configures a client that is not ours: what it does and sees is what applications do and see.
type ZooKeeperClient struct {
	Servers []string
	// SessionTimeout is 5 s when it is 0.
	SessionTimeout time.Duration
	// Digest is "user:password", empty for none.
	Digest string
	// Dial replaces the plain dialer, for instance by TLS.
	Dial zk.Dialer
}

// ConnectZooKeeper connects a go-zookeeper client and waits until it has a session; it is closed at the end of the test.
func ConnectZooKeeper(t testing.TB, options ZooKeeperClient) *zk.Conn {
	t.Helper()
	timeout := options.SessionTimeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	dial := options.Dial
	if dial == nil {
		dial = net.DialTimeout
	}
	conn, _, err := zk.Connect(options.Servers, timeout, zk.WithDialer(dial), zk.WithLogger(discard{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	Await(t, 30*time.Second, "a ZooKeeper client has a session", func(context.Context) error {
		if state := conn.State(); state != zk.StateHasSession {
			return fmt.Errorf("its state is %v", state)
		}
		return nil
	})
	if options.Digest != "" {
		if err := conn.AddAuth("digest", []byte(options.Digest)); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// discard drops the client's log, which outlives the test and so cannot be the test's.
type discard struct{}

// Printf implements zk.Logger.
func (discard) Printf(string, ...any) {}
