package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/httpconn"
)

const (
	// answerTime is how long an answer may take beyond the wait of its query.
	answerTime = 15 * time.Second
	// maxLastContact is how long ago the server that answered may have heard of its leader. Followers of a healthy cluster are below a
	// second. It is Consul's own limit for what counts as a lost leader, several times over.
	maxLastContact = 10 * time.Second
	// noNode is a node that there is not. A query that asks for the order of distance from a node is answered by a server and not from the
	// copy that the agent keeps by a stream of events (use_streaming_backend, the default): answers from that copy do not say what ACLs
	// have hidden, nor whether there is a leader, and do not end when a snapshot is restored. There is no distance from a node that there
	// is not, so nothing is sorted.
	noNode = "registry-bridge.none"
	// maxErrorText is how much of a refusal is repeated in an error.
	maxErrorText = 200
)

// client asks one agent, through Consul's own client library.
type client struct {
	cfg       Config
	raw       *api.Raw
	transport *transport
}

func newClient(cfg Config) (*client, error) {
	t := newTransport(cfg)
	address, err := url.Parse(cfg.Address)
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("%w: the address is no URL", source.ErrUnavailable)
	}
	c, err := api.NewClient(&api.Config{
		Address: strings.TrimSuffix(cfg.Address, "/"), Scheme: address.Scheme, HttpClient: httpconn.Client(t),
		Token: placeholder, Namespace: placeholder, Partition: placeholder,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
	return &client{cfg: cfg, raw: c.Raw(), transport: t}, nil
}

// close closes the connections.
func (c *client) close() { c.transport.HTTP.CloseIdleConnections() }

// question is one query.
type question struct {
	path string
	// index is the index above which something is news; 0 asks for an answer at once.
	index uint64
	wait  time.Duration
	// leader asks the leader instead of any server.
	leader bool
	filter string
}

// answer is the answer to a question that can be believed.
type answer struct {
	body  []byte
	index uint64
	// unchanged says that the index is still that of the question, abandoned that it came back so before the wait was over: Consul ends
	// all blocking queries with what they had when a snapshot replaces its data, and the index may be one that the data never reaches.
	unchanged, abandoned bool
}

// statusError is an answer with another status than 200.
type statusError struct {
	code int
	text string
}

// Error implements error.
func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

// get asks and returns what is believed: a complete JSON answer with status 200 and an index, from a server that has a leader and heard
// of it lately, of which ACLs have filtered out nothing. Everything else is an error that wraps one of the classes of package source.
func (c *client) get(ctx context.Context, q question) (answer, error) {
	limit := answerTime
	if q.index != 0 {
		// Consul adds up to a sixteenth, so that waits do not end all at once.
		limit += q.wait + q.wait/16
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	token := ""
	if c.cfg.Token != nil {
		var err error
		if token, err = c.cfg.Token(ctx); err != nil {
			return answer{}, fmt.Errorf("%w: read token: %w", source.ErrUnauthorized, err)
		}
	}
	opts := &api.QueryOptions{
		Datacenter: c.cfg.Datacenter, Namespace: c.cfg.Namespace, Partition: c.cfg.Partition, Filter: q.filter,
		AllowStale: !q.leader, WaitIndex: q.index, Token: token, Near: noNode,
	}
	if q.index != 0 {
		opts.WaitTime = q.wait
	}
	var body json.RawMessage
	asked := time.Now()
	meta, err := c.raw.Query(q.path, &body, opts.WithContext(ctx))
	if err != nil {
		return answer{}, c.classed(err, token)
	}
	if err := believable(meta); err != nil {
		return answer{}, err
	}
	// An index of 0 would ask for an answer at once, again and again.
	a := answer{body: body, index: max(meta.LastIndex, 1)}
	a.unchanged = q.index != 0 && a.index == q.index
	a.abandoned = a.unchanged && time.Since(asked) < q.wait
	return a, nil
}

// believable says what is wrong with an answer by its headers.
func believable(meta *api.QueryMeta) error {
	switch {
	case meta.ResultsFilteredByACLs:
		return fmt.Errorf("%w: ACLs hide a part of the answer; the token needs service:read and node:read on everything that is read", source.ErrUnauthorized)
	case !meta.KnownLeader:
		return fmt.Errorf("%w: the server that answered knows no leader", source.ErrUnavailable)
	case meta.LastContact > maxLastContact:
		return fmt.Errorf("%w: the server that answered has not heard of its leader for %s", source.ErrUnavailable, meta.LastContact)
	}
	return nil
}

// classed gives an error of the client library its class, and takes out what must not be told or tells nothing.
func (c *client) classed(err error, token string) error {
	if status, ok := errors.AsType[api.StatusError](err); ok {
		refusal := &statusError{code: status.Code, text: errorText(status.Body, token)}
		return fmt.Errorf("%w: %w", httpconn.StatusClass(status.Code), refusal)
	}
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	return c.transport.Classed(err)
}

// errorText makes one short line of a refusal. A proxy may repeat what it was sent, so the token is taken out.
func errorText(text, token string) string {
	if token != "" {
		text = strings.ReplaceAll(text, token, "…")
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > maxErrorText {
		text = string(runes[:maxErrorText]) + "…"
	}
	return text
}

// refusal says whether the registry asked for less, or answered nothing.
func refusal(err error) bool {
	if status := (*statusError)(nil); errors.As(err, &status) {
		return status.code == http.StatusTooManyRequests
	}
	return errors.Is(err, source.ErrUnavailable)
}
