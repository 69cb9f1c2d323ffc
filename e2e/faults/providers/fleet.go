package providers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// sessionTimeout is asked for; the server bounds it.
const sessionTimeout = 10 * time.Second

// batch is how many nodes are made in one transaction when many are made.
const batch = 200

// Options configures a Fleet.
type Options struct {
	// Server is host:port; it is never a proxy, because what is registered has to be certain.
	Server string
	// Root is the root of the layout, "/dubbo" when empty. It must be a single path element.
	Root string
	// Journal takes what is done.
	Journal *oracle.Journal
	// Ephemeral registers as providers do: their nodes end with their session. Without it the nodes stay when the server forgets
	// sessions, which tells what the bridge loses from what the registry loses.
	Ephemeral bool
}

// Fleet is a set of providers in one registry. It may be used by several goroutines.
type Fleet struct {
	options Options
	root    string

	mu   sync.Mutex
	conn *zk.Conn
	// nodes is the path of each provider that is registered, and start the number of the last life.
	nodes map[Provider]string
	start int64
}

// Connect connects to the registry. Close ends the connection, and with it the life of ephemeral providers.
func Connect(ctx context.Context, options Options) (*Fleet, error) {
	f := &Fleet{options: options, root: options.Root, nodes: map[Provider]string{}, start: time.Now().UnixMilli()}
	if f.root == "" {
		f.root = "/dubbo"
	}
	if err := f.connect(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// connect opens a session of its own. The caller holds mu, or nobody else knows the fleet yet.
func (f *Fleet) connect(ctx context.Context) error {
	conn, events, err := zk.Connect([]string{f.options.Server}, sessionTimeout, zk.WithLogger(quiet{}), zk.WithMaxConnBufferSize(8<<20))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", f.options.Server, err)
	}
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				f.conn = conn
				return nil
			}
		case <-ctx.Done():
			conn.Close()
			return fmt.Errorf("connect to %s: %w", f.options.Server, context.Cause(ctx))
		}
	}
}

// quiet drops the client's log: what matters comes back as errors.
type quiet struct{}

// Printf implements zk.Logger.
func (quiet) Printf(string, ...any) {}

// Conn returns the present connection, for what a Fleet has no method for.
func (f *Fleet) Conn() *zk.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conn
}

// Register registers one provider.
func (f *Fleet) Register(p Provider) error {
	conn, path := f.prepare(p)
	err := f.options.Journal.Register(p.Endpoint(), func() error { return f.create(conn, path) })
	if err != nil {
		return fmt.Errorf("register %s: %w", p.Endpoint(), err)
	}
	f.keep(p, path)
	return nil
}

// prepare chooses the node of a new life.
func (f *Fleet) prepare(p Provider) (*zk.Conn, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.start++
	return f.conn, f.root + "/" + url.QueryEscape(p.Interface) + "/providers/" + p.node(f.start)
}

func (f *Fleet) keep(p Provider, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes[p] = path
}

// create makes a node, and its parents where they are missing.
func (f *Fleet) create(conn *zk.Conn, path string) error {
	_, err := conn.Create(path, nil, f.flags(), zk.WorldACL(zk.PermAll))
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	if err := makeParents(conn, path); err != nil {
		return err
	}
	_, err = conn.Create(path, nil, f.flags(), zk.WorldACL(zk.PermAll))
	return err
}

func (f *Fleet) flags() int32 {
	if f.options.Ephemeral {
		return zk.FlagEphemeral
	}
	return 0
}

func makeParents(conn *zk.Conn, path string) error {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if _, err := conn.Create(path[:i], nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return fmt.Errorf("create %s: %w", path[:i], err)
		}
	}
	return nil
}

// RegisterAll registers many providers, a transaction for each few hundred of them.
func (f *Fleet) RegisterAll(all []Provider) error {
	for _, p := range all {
		if err := f.options.Journal.Register(p.Endpoint(), func() error { return nil }); err != nil {
			return err
		}
		_, path := f.prepare(p)
		f.keep(p, path)
	}
	return f.createAll(all)
}

// Restore registers again whatever the registry no longer has, as providers do that find their session gone. It opens a session of its
// own first. It is not entered into the journal: nobody had deregistered.
func (f *Fleet) Restore(ctx context.Context) error {
	f.mu.Lock()
	f.conn.Close()
	err := f.connect(ctx)
	all := make([]Provider, 0, len(f.nodes))
	for p := range f.nodes {
		all = append(all, p)
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.createAll(all)
}

// createAll makes the nodes of the providers as far as they are missing or belong to a former session, whose end would take them.
func (f *Fleet) createAll(all []Provider) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := map[string]bool{}
	for chunk := range slices.Chunk(all, batch) {
		var requests []any
		for _, p := range chunk {
			more, err := f.creation(fresh, f.nodes[p])
			if err != nil {
				return err
			}
			requests = append(requests, more...)
		}
		if len(requests) == 0 {
			continue
		}
		if _, err := f.conn.Multi(requests...); err != nil {
			return fmt.Errorf("create %d providers: %w", len(chunk), err)
		}
	}
	return nil
}

// creation returns the requests that bring a node into being. What it has to ask for a parent it asks once and keeps in fresh: below a
// parent that it has just made nothing else can be.
func (f *Fleet) creation(fresh map[string]bool, path string) ([]any, error) {
	parent := path[:strings.LastIndexByte(path, '/')]
	if _, known := fresh[parent]; !known {
		exists, _, err := f.conn.Exists(parent)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", parent, err)
		}
		if !exists {
			if err := makeParents(f.conn, path); err != nil {
				return nil, err
			}
		}
		fresh[parent] = !exists
	}
	create := &zk.CreateRequest{Path: path, Acl: zk.WorldACL(zk.PermAll), Flags: f.flags()}
	if fresh[parent] {
		return []any{create}, nil
	}
	exists, stat, err := f.conn.Exists(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for %s: %w", path, err)
	case !exists:
		return []any{create}, nil
	case f.options.Ephemeral && stat.EphemeralOwner != f.conn.SessionID():
		return []any{&zk.DeleteRequest{Path: path, Version: -1}, create}, nil
	}
	return nil, nil
}

// Deregister removes one provider. Its removal has to show in the output within the given time; see oracle.Journal.
func (f *Fleet) Deregister(p Provider, within time.Duration) error {
	f.mu.Lock()
	conn, path := f.conn, f.nodes[p]
	delete(f.nodes, p)
	f.mu.Unlock()
	err := f.options.Journal.Deregister(p.Endpoint(), within, func() error { return conn.Delete(path, -1) })
	if err != nil {
		return fmt.Errorf("deregister %s: %w", p.Endpoint(), err)
	}
	return nil
}

// Lose says that a provider, which the registry has lost already, is not going to come back.
func (f *Fleet) Lose(p Provider) {
	f.mu.Lock()
	delete(f.nodes, p)
	f.mu.Unlock()
	_ = f.options.Journal.Deregister(p.Endpoint(), 0, func() error { return nil }) // the call cannot fail
}

// Restart replaces the node of a provider by that of its next life, at the same address, at once: one update for the bridge. The
// journal has no entry, because the provider is never meant to be gone.
func (f *Fleet) Restart(p Provider) error {
	f.mu.Lock()
	conn, old := f.conn, f.nodes[p]
	f.mu.Unlock()
	_, path := f.prepare(p)
	if err := f.create(conn, path); err != nil {
		return fmt.Errorf("restart %s: %w", p.Endpoint(), err)
	}
	f.keep(p, path)
	if err := conn.Delete(old, -1); err != nil {
		return fmt.Errorf("restart %s: %w", p.Endpoint(), err)
	}
	return nil
}

// Registered asks the registry what has to be published now.
func (f *Fleet) Registered() (oracle.Endpoints, error) { return oracle.Registered(f.Conn(), f.root) }

// Close ends the session.
func (f *Fleet) Close() { f.Conn().Close() }
