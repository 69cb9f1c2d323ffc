package eurekatest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ErrUnknown says that the server does not have the instance.
var ErrUnknown = errors.New("the server does not have the instance")

// Client registers instances as applications do, at a fake or at a real server.
type Client struct {
	// Base is what stands before /apps.
	Base string
	// User and Password are sent when there is a user.
	User, Password string
	// HTTP makes the requests; http.DefaultClient when nil.
	HTTP *http.Client
}

// Register registers an instance, in place of the one with the same id.
func (c *Client) Register(ctx context.Context, i Instance) error {
	body, err := json.Marshal(map[string]Instance{"instance": i})
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, "/apps/"+url.PathEscape(i.App), body)
}

// Deregister takes an instance away.
func (c *Client) Deregister(ctx context.Context, app, id string) error {
	return c.do(ctx, http.MethodDelete, path(app, id), nil)
}

// Renew renews the lease of an instance. ErrUnknown asks to register it again.
func (c *Client) Renew(ctx context.Context, app, id string) error {
	return c.do(ctx, http.MethodPut, path(app, id), nil)
}

// Override lets the server say another status than the instance does.
func (c *Client) Override(ctx context.Context, app, id, status string) error {
	return c.do(ctx, http.MethodPut, path(app, id)+"/status?value="+url.QueryEscape(status), nil)
}

// Instances returns what is registered.
func (c *Client) Instances(ctx context.Context) ([]Instance, error) {
	resp, err := c.send(ctx, http.MethodGet, "/apps", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Applications struct {
			Application []struct{ Instance []Instance }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	var out []Instance
	for _, app := range answer.Applications.Application {
		out = append(out, app.Instance...)
	}
	return out, nil
}

// path is where an instance is: servers look it up by the name in capitals.
func path(app, id string) string {
	return "/apps/" + url.PathEscape(strings.ToUpper(app)) + "/" + url.PathEscape(id)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body) // So that the connection is used again.
	return resp.Body.Close()
}

// send returns an answer of success.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.User != "" {
		req.SetBasicAuth(c.User, c.Password)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s %s: %w", method, path, ErrUnknown)
	}
	return nil, fmt.Errorf("%s %s: %s", method, path, resp.Status)
}
