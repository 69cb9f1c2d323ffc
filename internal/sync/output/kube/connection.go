package kube

import (
	"net"
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

const (
	// quietLimit is how long a connection may say nothing before it is asked whether it is still there, and pingLimit how long the answer
	// may take. All requests share one HTTP/2 connection, so one that died without a word (a load balancer that forgot it) would let every
	// write run into its timeout until that is noticed: 45 s with the values of client-go, during which no removal gets through.
	quietLimit = 5 * time.Second
	pingLimit  = 5 * time.Second
	dialLimit  = 5 * time.Second
)

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
