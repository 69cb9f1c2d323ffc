package nacos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	grpcapi "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/common/remote/rpc/rpc_request"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// dialTime is how long a connection may take, answerTime an answer, registerTime what the server does between a connection and its first
	// answer on it.
	dialTime     = 5 * time.Second
	answerTime   = 10 * time.Second
	registerTime = 5 * time.Second
	// registerPoll is how often it is asked whether the server has registered the connection.
	registerPoll = 20 * time.Millisecond
	// maxAnswer is the largest answer that is accepted, in bytes: about 100,000 instances of one service.
	maxAnswer = 64 << 20
	// window is how much may be under way before this end has read it.
	window = 1 << 20
	// application is what the console of Nacos shows for a subscriber.
	application = "registry-bridge"
)

// errLost: the stream of the server's requests has ended, and with it the subscriptions.
var errLost = fmt.Errorf("%w: the connection was lost", source.ErrUnavailable)

// conn is one connection to one server.
type conn struct {
	cfg    *Config
	server string
	login  *login
	grpc   *grpc.ClientConn
	client grpcapi.RequestClient
	stream grpcapi.BiRequestStream_RequestBiStreamClient
	// local is the address of this end, once there is one.
	local atomic.Pointer[string]
	// pushes are the requests of the server, all of which were answered. It is closed when the connection is lost.
	pushes chan *grpcapi.Payload
	// heard is when the server was last heard of, in nanoseconds since the epoch.
	heard  atomic.Int64
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// connect makes a connection and registers it with the server.
func connect(ctx context.Context, cfg *Config, server string, l *login) (*conn, error) {
	c := &conn{cfg: cfg, server: server, login: l, pushes: make(chan *grpcapi.Payload)}
	target, err := grpcTarget(server, cfg.GRPCPortOffset)
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if cfg.TLS != nil {
		config, err := cfg.TLS(ctx)
		if err != nil {
			return nil, fmt.Errorf("read TLS configuration: %w", err)
		}
		transport = credentials.NewTLS(config.Clone())
	}
	c.grpc, err = grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(transport), grpc.WithContextDialer(c.dial), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
	c.client = grpcapi.NewRequestClient(c.grpc)
	streaming, cancel := context.WithCancel(ctx)
	c.cancel = cancel
	if err := c.register(streaming); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// grpcTarget is where a server speaks gRPC.
func grpcTarget(server string, offset int) (string, error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return "", fmt.Errorf("%w: server %q is no host:port", source.ErrUnavailable, server)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", fmt.Errorf("%w: server %q has no port", source.ErrUnavailable, server)
	}
	return net.JoinHostPort(host, strconv.Itoa(number+offset)), nil
}

func (c *conn) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	raw, err := c.cfg.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if host, _, err := net.SplitHostPort(raw.LocalAddr().String()); err == nil {
		c.local.Store(&host)
	}
	return raw, nil
}

// register says who is connecting, and waits until the server takes requests of this connection.
func (c *conn) register(ctx context.Context) error {
	var check serverCheck
	if err := c.ask(ctx, rpc_request.NewServerCheckRequest(), &check); err != nil {
		return fmt.Errorf("check server: %w", err)
	}
	var err error
	if c.stream, err = grpcapi.NewBiRequestStreamClient(c.grpc).RequestBiStream(ctx); err != nil {
		return fmt.Errorf("open stream: %w", c.classed(err))
	}
	setup := setupRequest{ConnectionSetupRequest: rpc_request.NewConnectionSetupRequest(), AbilityTable: map[string]bool{}}
	setup.ClientVersion = constant.CLIENT_VERSION
	setup.Tenant = c.cfg.Namespace
	setup.Labels = map[string]string{constant.LABEL_SOURCE: constant.LABEL_SOURCE_SDK, constant.LABEL_MODULE: constant.LABEL_MODULE_NAMING}
	payload := payloadOf(setup)
	if local := c.local.Load(); local != nil {
		payload.Metadata.ClientIp = *local
	}
	if err := c.stream.Send(payload); err != nil {
		return fmt.Errorf("set up: %w", c.classed(err))
	}
	c.wg.Go(func() { c.receive(ctx) })
	// There is no answer to a setup that all versions send; but a connection that is not registered yet is refused.
	deadline, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	for {
		err := c.check(deadline)
		if refusal, ok := errors.AsType[*refusalError](err); !ok || refusal.code != codeUnregistered {
			return err
		}
		timer := time.NewTimer(registerPoll)
		select {
		case <-timer.C:
		case <-deadline.Done():
			timer.Stop()
			return fmt.Errorf("set up: %w", err)
		}
	}
}

// receive answers the requests of the server and hands them over. It alone sends once the connection is set up.
func (c *conn) receive(ctx context.Context) {
	defer close(c.pushes)
	for {
		p, err := c.stream.Recv()
		if err != nil {
			return
		}
		c.heard.Store(time.Now().UnixNano())
		if answer := ackOf(p); answer != nil {
			if err := c.stream.Send(answer); err != nil {
				return
			}
		}
		select {
		case c.pushes <- p:
		case <-ctx.Done():
			return
		}
	}
}

// close ends the connection and all that belongs to it.
func (c *conn) close() {
	c.cancel()
	_ = c.grpc.Close()
	c.wg.Wait()
}

// check asks whether the server still knows the connection.
func (c *conn) check(ctx context.Context) error {
	var head replyHead
	err := c.ask(ctx, rpc_request.NewHealthCheckRequest(), &head)
	if refusal, ok := errors.AsType[*refusalError](err); ok && refusal.code != codeUnregistered {
		return nil // It is there, and has other worries.
	}
	return err
}

// list asks which services the group has.
func (c *conn) list(ctx context.Context, page int) (serviceList, error) {
	var list serviceList
	r := rpc_request.NewServiceListRequest(c.cfg.Namespace, "", c.cfg.Group, page, pageSize, "")
	err := c.authorized(ctx, resource{group: c.cfg.Group}, r, &list)
	return list, err
}

// subscribe asks for the pushes of a service, and what it has now; or for that only.
func (c *conn) subscribe(ctx context.Context, service string) (serviceAnswer, error) {
	var answer serviceAnswer
	r := rpc_request.NewSubscribeServiceRequest(c.cfg.Namespace, service, c.cfg.Group, "", true)
	r.Headers["app"] = application
	err := c.authorized(ctx, resource{c.cfg.Group, service}, r, &answer)
	return answer, err
}

// unsubscribe ends the pushes of a service.
func (c *conn) unsubscribe(ctx context.Context, service string) error {
	var answer replyHead
	r := rpc_request.NewSubscribeServiceRequest(c.cfg.Namespace, service, c.cfg.Group, "", false)
	return c.authorized(ctx, resource{c.cfg.Group, service}, r, &answer)
}

// query asks what a service has now.
func (c *conn) query(ctx context.Context, service string) (serviceAnswer, error) {
	var answer serviceAnswer
	r := rpc_request.NewServiceQueryRequest(c.cfg.Namespace, service, c.cfg.Group, "", false, 0)
	err := c.authorized(ctx, resource{c.cfg.Group, service}, r, &answer)
	return answer, err
}

// authorized asks with the credentials that there are, and with new ones when those are no longer good.
func (c *conn) authorized(ctx context.Context, what resource, r rpc_request.IRequest, into any) error {
	for first := true; ; first = false {
		proof, err := c.login.headers(ctx, c.server, what)
		if err != nil {
			return err
		}
		r.PutAllHeaders(proof.headers)
		err = c.ask(ctx, r, into)
		if refusal, ok := errors.AsType[*refusalError](err); !first || !ok || refusal.code != codeNoRight || !c.login.forget(proof.token) {
			return err
		}
	}
}

// ask sends a request and reads its answer.
func (c *conn) ask(ctx context.Context, r rpc_request.IRequest, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	p, err := c.client.Request(ctx, payloadOf(r))
	if err != nil {
		return c.classed(err)
	}
	c.heard.Store(time.Now().UnixNano())
	return decode(p, into)
}

// classed gives an error of gRPC its class, and says what to look at.
func (c *conn) classed(err error) error {
	s := status.Convert(err)
	text := shortText(s.Message())
	switch {
	case strings.Contains(text, "failed to verify certificate"): // Errors of the connection are texts only, in gRPC.
		return fmt.Errorf("%w: %s; source.nacos.tls.caRef names the authority to trust", source.ErrUnavailable, text)
	case strings.Contains(text, "remote error: tls:"):
		return fmt.Errorf("%w: %s; see source.nacos.tls.clientSecretRef", source.ErrUnauthorized, text)
	case s.Code() == codes.ResourceExhausted:
		return fmt.Errorf("%w: %s", source.ErrMalformed, text)
	case s.Code() == codes.Unauthenticated, s.Code() == codes.PermissionDenied:
		return fmt.Errorf("%w: %s", source.ErrUnauthorized, text)
	case s.Code() == codes.Unimplemented:
		return fmt.Errorf("%w: %s; is this the gRPC port of Nacos? see source.nacos.grpcPortOffset", source.ErrMalformed, text)
	}
	return fmt.Errorf("%w: %s: %s", source.ErrUnavailable, c.server, text)
}

// lost reports whether an error says that the connection is of no use any more.
func lost(err error) bool {
	if refusal, ok := errors.AsType[*refusalError](err); ok {
		return refusal.code == codeUnregistered
	}
	return errors.Is(err, errLost)
}
