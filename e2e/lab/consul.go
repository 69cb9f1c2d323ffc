package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// consulStartLimit is how long a cluster may take until it serves. It takes a few seconds on an idle machine.
const consulStartLimit = 60 * time.Second

// ConsulManagementToken may do everything in a cluster that has ACLs.
const ConsulManagementToken = "5e15a7b2-7a0e-4a0c-9b0e-3f5c52d1c0de" //nolint:gosec // Of servers that live for one test.

// ConsulOptions configures a Consul cluster. The zero value is one server without ACLs.
type ConsulOptions struct {
	// Servers is how many servers there are, 1 when 0.
	Servers int
	// ACL turns ACLs on, with default deny; ConsulManagementToken then may do everything.
	ACL bool
	// Certificates let every server serve HTTPS too, MutualTLS lets them ask for a certificate of the client.
	Certificates *Certificates
	MutualTLS    bool
	// Settings go into the configuration of every server and win over those of the lab.
	Settings map[string]any
}

// Consul is a running cluster of Consul 1.22 servers.
type Consul struct {
	// Servers are all servers, those that were stopped included.
	Servers []*ConsulServer
	token   string
}

// ConsulServer is one server of a cluster. It keeps its address through everything.
type ConsulServer struct {
	// Addr is host:port of the HTTP API, Secure that of the same over HTTPS.
	Addr, Secure string
	// Client asks this server, with ConsulManagementToken where there are ACLs. Its connections are not kept.
	Client *api.Client

	name, program, dir string
	serf               string
	settings           map[string]any
	ports              map[string]int
	process            *Process
	// owner is the test that started the cluster: the server outlives a subtest that starts it again.
	owner testing.TB
}

// StartConsul starts a cluster and waits until each of its servers serves and knows a leader.
func StartConsul(t testing.TB, options ConsulOptions) *Consul {
	t.Helper()
	program, err := PrepareConsul(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	c := &Consul{}
	if options.ACL {
		c.token = ConsulManagementToken
	}
	for i := range max(options.Servers, 1) {
		c.Servers = append(c.Servers, newConsulServer(t, "server-"+strconv.Itoa(i+1), program, c.token))
	}
	var join []string
	for _, s := range c.Servers {
		join = append(join, s.serf)
	}
	for _, s := range c.Servers {
		s.settings["bootstrap_expect"], s.settings["retry_join"] = len(c.Servers), join
		if options.ACL {
			s.settings["acl"] = map[string]any{
				"enabled": true, "default_policy": "deny",
				"tokens": map[string]any{"initial_management": c.token, "agent": c.token},
			}
		}
		if options.Certificates != nil {
			s.serveHTTPS(t, options.Certificates, options.MutualTLS)
		}
		maps.Copy(s.settings, options.Settings)
	}
	c.Start(t)
	return c
}

func newConsulServer(t testing.TB, name, program, token string) *ConsulServer {
	t.Helper()
	httpPort, serfPort, raftPort := FreePort(t), FreePort(t), FreePort(t)
	s := &ConsulServer{
		Addr: loopback(httpPort), serf: loopback(serfPort), name: name, program: program, dir: t.TempDir(), owner: t,
	}
	s.ports = map[string]int{
		"http": httpPort, "serf_lan": serfPort, "server": raftPort, "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1,
	}
	s.settings = map[string]any{
		"server": true, "node_name": name, "data_dir": filepath.Join(s.dir, "data"),
		"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "advertise_addr": "127.0.0.1",
		"ports":                s.ports,
		"performance":          map[string]any{"raft_multiplier": 1},
		"retry_interval":       "1s",
		"disable_update_check": true,
		"log_level":            "warn",
	}
	// Not the library's own client, which would take its settings from the environment.
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	client, err := api.NewClient(&api.Config{Address: "http://" + s.Addr, Token: token, HttpClient: plain})
	if err != nil {
		t.Fatal(err)
	}
	s.Client = client
	return s
}

func (s *ConsulServer) serveHTTPS(t testing.TB, certificates *Certificates, mutual bool) {
	t.Helper()
	port := FreePort(t)
	s.Secure = loopback(port)
	s.ports["https"] = port
	s.settings["tls"] = map[string]any{"https": map[string]any{
		"cert_file": certificates.ServerKeyAndCert, "key_file": certificates.ServerKeyAndCert, "ca_file": certificates.CA,
		"verify_incoming": mutual,
	}}
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Start starts all servers, with the data that they had, and waits until they serve.
func (c *Consul) Start(t testing.TB) {
	t.Helper()
	for _, s := range c.Servers {
		s.Launch(t)
	}
	c.AwaitReady(t)
}

// Stop ends all servers in order.
func (c *Consul) Stop(t testing.TB) {
	t.Helper()
	for _, s := range c.Servers {
		s.process.Signal(syscall.SIGTERM)
	}
	for _, s := range c.Servers {
		s.process.Stop(t)
	}
}

// Restart stops the whole cluster and starts it with the data that it had.
func (c *Consul) Restart(t testing.TB) {
	t.Helper()
	c.Stop(t)
	c.Start(t)
}

// Wipe stops the whole cluster and starts it without any data: indexes begin anew, and there are no tokens but the management token.
func (c *Consul) Wipe(t testing.TB) {
	t.Helper()
	c.Stop(t)
	for _, s := range c.Servers {
		if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	c.Start(t)
}

// Kill ends the server as a crash would (SIGKILL).
func (s *ConsulServer) Kill() { s.process.Kill() }

// Stop ends the server in order. It remains a member of the cluster.
func (s *ConsulServer) Stop(t testing.TB) {
	t.Helper()
	s.process.Stop(t)
}

// Start starts the server again after Stop or Kill, with the data that it had, and waits until it serves.
func (s *ConsulServer) Start(t testing.TB) {
	t.Helper()
	s.Launch(t)
	s.awaitReady(t)
}

// Launch is Start without waiting, for servers that cannot serve before others are back, too.
func (s *ConsulServer) Launch(t testing.TB) {
	t.Helper()
	config, err := json.MarshalIndent(s.settings, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.dir, "consul.json")
	if err := os.WriteFile(name, config, 0o600); err != nil {
		t.Fatal(err)
	}
	s.process = StartProcess(s.owner, "consul "+s.name, s.program, "agent", "-config-file", name)
}

// AwaitReady waits until all servers serve, know a leader, and are in the catalogue.
func (c *Consul) AwaitReady(t testing.TB) {
	t.Helper()
	for _, s := range c.Servers {
		s.awaitReady(t)
	}
	Await(t, consulStartLimit, "all servers are in the catalogue", func(ctx context.Context) error {
		nodes, _, err := c.Servers[0].Client.Catalog().Service("consul", "", consulQuery(ctx, false))
		if err == nil && len(nodes) != len(c.Servers) {
			err = fmt.Errorf("%d of %d", len(nodes), len(c.Servers))
		}
		return err
	})
	c.AwaitReplication(t)
}

// awaitReady waits until the server answers by itself, which it does once it knows a leader and the token.
func (s *ConsulServer) awaitReady(t testing.TB) {
	t.Helper()
	Await(t, consulStartLimit, "consul "+s.name+" serves", func(ctx context.Context) error {
		s.process.failIfExited(t)
		services, meta, err := s.Client.Catalog().Services(consulQuery(ctx, true))
		switch {
		case err != nil:
			return err
		case !meta.KnownLeader || meta.ResultsFilteredByACLs || services["consul"] == nil:
			return fmt.Errorf("no leader, or not all of the data: %+v", meta)
		}
		_, err = s.index(ctx)
		return err
	})
}

func consulQuery(ctx context.Context, stale bool) *api.QueryOptions {
	return (&api.QueryOptions{AllowStale: stale, RequireConsistent: !stale}).WithContext(ctx)
}

// Leader returns the server that leads, and the others that run. It waits until one leads that runs.
func (c *Consul) Leader(t testing.TB) (leader *ConsulServer, followers []*ConsulServer) {
	t.Helper()
	Await(t, consulStartLimit, "consul has a leader", func(ctx context.Context) error {
		leader, followers = nil, nil
		for _, s := range c.Servers {
			state, err := s.raft(ctx)
			switch {
			case err != nil: // It does not run.
			case state["state"] == "Leader" && leader == nil:
				leader = s
			default:
				followers = append(followers, s)
			}
		}
		if leader == nil {
			return fmt.Errorf("%d servers run and none leads", len(followers))
		}
		return nil
	})
	return leader, followers
}

// AwaitReplication waits until all servers that run have what the leader has now.
func (c *Consul) AwaitReplication(t testing.TB) {
	t.Helper()
	leader, followers := c.Leader(t)
	want, err := leader.index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range followers {
		Await(t, consulStartLimit, "consul "+s.name+" has what the leader has", func(ctx context.Context) error {
			got, err := s.index(ctx)
			if err == nil && got < want {
				err = fmt.Errorf("index %d of %d", got, want)
			}
			return err
		})
	}
}

// raft returns what the server says of its part in the cluster.
func (s *ConsulServer) raft(ctx context.Context) (map[string]any, error) {
	var self struct{ Stats map[string]map[string]any }
	if _, err := s.Client.Raw().Query("/v1/agent/self", &self, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
		return nil, err
	}
	return self.Stats["raft"], nil
}

// index returns the index of the last change that the server has taken in.
func (s *ConsulServer) index(ctx context.Context) (uint64, error) {
	state, err := s.raft(ctx)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fmt.Sprint(state["applied_index"]), 10, 64)
}

// Snapshot returns all data of the cluster.
func (c *Consul) Snapshot(t testing.TB) []byte {
	t.Helper()
	leader, _ := c.Leader(t)
	snapshot, _, err := leader.Client.Snapshot().Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(snapshot); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Restore replaces all data of the cluster, its indexes included.
func (c *Consul) Restore(t testing.TB, snapshot []byte) {
	t.Helper()
	leader, _ := c.Leader(t)
	if err := leader.Client.Snapshot().Restore(nil, bytes.NewReader(snapshot)); err != nil {
		t.Fatal(err)
	}
	c.AwaitReplication(t)
}

// SetToken makes a token of that secret, a UUID, that may do what the rules say, or changes what it may do.
func (c *Consul) SetToken(t testing.TB, secret, rules string) {
	t.Helper()
	leader, _ := c.Leader(t)
	acl := leader.Client.ACL()
	name := "lab-" + secret
	policy, _, err := acl.PolicyReadByName(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if policy != nil {
		policy.Rules = rules
		if _, _, err := acl.PolicyUpdate(policy, nil); err != nil {
			t.Fatal(err)
		}
	} else {
		if _, _, err := acl.PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := acl.TokenCreate(&api.ACLToken{SecretID: secret, Policies: []*api.ACLLink{{Name: name}}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	c.AwaitReplication(t)
}

// EmptyCatalog takes all nodes out of the catalogue but the servers themselves.
func (c *Consul) EmptyCatalog(t testing.TB) {
	t.Helper()
	leader, _ := c.Leader(t)
	nodes, _, err := leader.Client.Catalog().Nodes(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if slices.ContainsFunc(c.Servers, func(s *ConsulServer) bool { return s.name == n.Node }) {
			continue
		}
		if _, err := leader.Client.Catalog().Deregister(&api.CatalogDeregistration{Node: n.Node}, nil); err != nil {
			t.Fatal(err)
		}
	}
	c.AwaitReplication(t)
}
