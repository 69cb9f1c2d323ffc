package nacostest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	grpcapi "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// keepAlive is how often a client says that it is there, againAfter how long it waits before it connects again.
	keepAlive  = 3 * time.Second
	againAfter = 100 * time.Millisecond
)

// Client registers instances as applications do: by a connection, with which they go, and again by the next one.
type Client struct {
	addr   string
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	published map[Key][]Instance
	rpc       grpcapi.RequestClient
}

// Dial returns a client of the server whose gRPC port is at addr, which is or will be there.
func Dial(ctx context.Context, addr string) *Client {
	ctx, cancel := context.WithCancel(ctx)
	c := &Client{addr: addr, cancel: cancel, published: map[Key][]Instance{}}
	c.wg.Go(func() {
		for ctx.Err() == nil {
			_ = c.connection(ctx) // The next one may do better.
			wait(ctx, againAfter)
		}
	})
	return c
}

// Close ends the client; its instances go.
func (c *Client) Close() {
	c.cancel()
	c.wg.Wait()
}

// Register replaces what the client has registered of a service, and returns once a server has taken that.
func (c *Client) Register(ctx context.Context, key Key, list ...Instance) error {
	c.mu.Lock()
	before := c.published[key]
	c.published[key] = list
	c.mu.Unlock()
	for {
		c.mu.Lock()
		rpc := c.rpc
		c.mu.Unlock()
		err := errors.New("not connected")
		if rpc != nil {
			err = publish(ctx, rpc, key, change{before, list})
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		wait(ctx, againAfter)
	}
}

// change is what a client registered of a service, and what it does now.
type change struct{ before, now []Instance }

// publish tells a server what a connection registers of a service. The last instance has to be named to be taken away.
func publish(ctx context.Context, rpc grpcapi.RequestClient, key Key, c change) error {
	body := map[string]any{"namespace": key.Namespace, "serviceName": key.Name, "groupName": key.Group, "module": "naming"}
	kind := "BatchInstanceRequest"
	switch {
	case len(c.now) > 0:
		body["type"], body["instances"] = "batchRegisterInstance", c.now
	case len(c.before) > 0:
		kind, body["type"], body["instance"] = "InstanceRequest", "deregisterInstance", c.before[0]
	default:
		return nil
	}
	return ask(ctx, rpc, kind, body)
}

func ask(ctx context.Context, rpc grpcapi.RequestClient, kind string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p, err := rpc.Request(ctx, payload(kind, body))
	if err != nil {
		return err
	}
	var answer struct {
		ResultCode int    `json:"resultCode"`
		Message    string `json:"message"`
	}
	if err := json.Unmarshal(p.GetBody().GetValue(), &answer); err != nil {
		return err
	}
	if answer.ResultCode != 200 {
		return fmt.Errorf("%s: code %d: %s", kind, answer.ResultCode, answer.Message)
	}
	return nil
}

// connection is the life of one connection.
func (c *Client) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+c.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	rpc := grpcapi.NewRequestClient(conn)
	if err := ask(ctx, rpc, "ServerCheckRequest", map[string]any{}); err != nil {
		return err
	}
	stream, err := grpcapi.NewBiRequestStreamClient(conn).RequestBiStream(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(payload("ConnectionSetupRequest", map[string]any{
		"clientVersion": "Nacos-Go-Client:v2.3.5", "labels": map[string]string{"source": "sdk", "module": "naming"}, "abilityTable": map[string]bool{},
	})); err != nil {
		return err
	}
	ended := make(chan struct{})
	c.wg.Go(func() {
		defer close(ended)
		answerRequests(stream)
	})
	for ask(ctx, rpc, "HealthCheckRequest", map[string]any{}) != nil { // Until the server has registered the connection.
		select {
		case <-ended:
			return errStopped
		default:
		}
		wait(ctx, againAfter/5)
	}
	c.mu.Lock()
	c.rpc = rpc
	all := maps.Clone(c.published)
	c.mu.Unlock()
	for key, list := range all {
		if err := publish(ctx, rpc, key, change{now: list}); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		select {
		case <-ended:
			return errStopped
		case <-time.After(keepAlive):
			if err := ask(ctx, rpc, "HealthCheckRequest", map[string]any{}); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// answerRequests answers all that the server asks.
func answerRequests(stream grpcapi.BiRequestStream_RequestBiStreamClient) {
	for {
		p, err := stream.Recv()
		if err != nil {
			return
		}
		var head struct {
			RequestID string `json:"requestId"`
		}
		if err := json.Unmarshal(p.GetBody().GetValue(), &head); err != nil || p.GetMetadata().GetType() != "ClientDetectionRequest" {
			continue
		}
		if err := stream.Send(payload("ClientDetectionResponse", success(map[string]any{"requestId": head.RequestID}))); err != nil {
			return
		}
	}
}

// wait waits, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
