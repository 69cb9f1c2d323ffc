package kube

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

const (
	// quietLimit is how long a connection may say nothing before it is asked whether it is still there, and pingLimit how long the answer
	// may take. All writes share one HTTP/2 connection, so one that died without a word (a load balancer that forgot it) would let every
	// write run into its timeout until that is noticed: 45 s with the values of client-go, during which no removal gets through.
	quietLimit = 5 * time.Second
	pingLimit  = 5 * time.Second
	dialLimit  = 5 * time.Second
)

// errLease is why a connection is not written to.
var errLease = errors.New("the lease has run out, another replica may be the leader")

// Fenced returns a copy of a config whose connections are written to only before until, which is asked each time; the zero time means never.
// Looking at the clock before a request is not enough: a process that is stopped between that look and the system call would send the
// request when it goes on, seconds or minutes later. What is left is the time between two instructions.
func Fenced(config *rest.Config, until func() time.Time) *rest.Config {
	config = rest.CopyConfig(config)
	dial := config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialLimit}).DialContext
	}
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return fence{Conn: conn, until: until}, nil
	}
	return config
}

// fence is a connection that is written to only while this process may write.
type fence struct {
	net.Conn
	until func() time.Time
}

// Write implements net.Conn.
func (f fence) Write(b []byte) (int, error) {
	if !time.Now().Before(f.until()) {
		return 0, errLease
	}
	return f.Conn.Write(b)
}

// noticeDeadConnections makes connections of a config ask soon whether they are still there. The dialer of its own keeps client-go from
// sharing them with somebody else's.
func noticeDeadConnections(config *rest.Config) {
	if config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: dialLimit}).DialContext
	}
	config.Wrap(func(outer http.RoundTripper) http.RoundTripper {
		inner := outer
		for {
			switch t := inner.(type) {
			case *http.Transport:
				t.HTTP2 = &http.HTTP2Config{SendPingTimeout: quietLimit, PingTimeout: pingLimit}
				return outer
			case utilnet.RoundTripperWrapper:
				inner = t.WrappedRoundTripper()
			default:
				return outer
			}
		}
	})
}
