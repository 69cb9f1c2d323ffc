package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// zooKeeperStartLimit is how long a server, or an ensemble, may take until it serves. It takes a second on an idle machine.
const zooKeeperStartLimit = 60 * time.Second

// ZooKeeperOptions configures a ZooKeeper server. The zero value is a plain one.
type ZooKeeperOptions struct {
	// TLS adds a port that speaks TLS and demands a client certificate (ZooKeeper.TLS).
	TLS bool
	// Heap is the server's largest heap in Java's words, by default 192m; much data needs more.
	Heap string
	// Settings go into the server's configuration and win over the defaults of the lab: tickTime 500, sessions between 1 s
	// and 10 s, all four-letter words.
	Settings map[string]string
}

// ZooKeeper is a running server of ZooKeeper 3.9. It keeps its address through Stop, Start and Wipe.
type ZooKeeper struct {
	// Addr is host:port of the plain port.
	Addr string
	// TLS is set when it was asked for.
	TLS *ZooKeeperTLS

	classpath string
	dir       string
	heap      string
	settings  map[string]string
	process   *Process
}

// ZooKeeperTLS is the TLS side of a server.
type ZooKeeperTLS struct {
	// Addr is host:port of the TLS port. The server's certificate is for 127.0.0.1 and localhost.
	Addr string
	Certificates
}

// StartZooKeeper starts a server and waits until it serves.
func StartZooKeeper(t testing.TB, options ZooKeeperOptions) *ZooKeeper {
	t.Helper()
	z := newZooKeeper(t, options)
	z.Start(t)
	return z
}

// StartEnsemble starts an ensemble and waits until all of its servers serve.
func StartEnsemble(t testing.TB, size int, options ZooKeeperOptions) []*ZooKeeper {
	t.Helper()
	settings := maps.Clone(options.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	for i := range size {
		settings[fmt.Sprintf("server.%d", i+1)] = fmt.Sprintf("127.0.0.1:%d:%d", FreePort(t), FreePort(t))
	}
	options.Settings = settings
	servers := make([]*ZooKeeper, size)
	for i := range servers {
		servers[i] = newZooKeeper(t, options)
		if err := os.WriteFile(filepath.Join(servers[i].dir, "myid"), []byte(strconv.Itoa(i+1)), 0o600); err != nil {
			t.Fatal(err)
		}
		servers[i].launch(t)
	}
	for _, z := range servers {
		z.awaitServing(t)
	}
	return servers
}

func newZooKeeper(t testing.TB, options ZooKeeperOptions) *ZooKeeper {
	t.Helper()
	port := FreePort(t)
	z := &ZooKeeper{
		Addr:      net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		classpath: Classpath(t, ProjectZooKeeper()),
		dir:       t.TempDir(),
		heap:      cmp.Or(options.Heap, "192m"),
	}
	z.settings = map[string]string{
		"tickTime":               "500",
		"initLimit":              "20",
		"syncLimit":              "10",
		"minSessionTimeout":      "1000",
		"maxClientCnxns":         "0",
		"clientPort":             strconv.Itoa(port),
		"clientPortAddress":      "127.0.0.1",
		"dataDir":                z.dir,
		"admin.enableServer":     "false",
		"4lw.commands.whitelist": "*",
	}
	if options.TLS {
		z.addTLS(t)
	}
	maps.Copy(z.settings, options.Settings)
	return z
}

func (z *ZooKeeper) addTLS(t testing.TB) {
	t.Helper()
	port := FreePort(t)
	z.TLS = &ZooKeeperTLS{
		Addr:         net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Certificates: NewCertificates(t),
	}
	maps.Copy(z.settings, map[string]string{
		"serverCnxnFactory":       "org.apache.zookeeper.server.NettyServerCnxnFactory",
		"secureClientPort":        strconv.Itoa(port),
		"secureClientPortAddress": "127.0.0.1",
		"ssl.clientAuth":          "need",
		"ssl.keyStore.type":       "PEM",
		"ssl.keyStore.location":   z.TLS.ServerKeyAndCert,
		"ssl.trustStore.type":     "PEM",
		"ssl.trustStore.location": z.TLS.CA,
	})
}

// Start starts the server again after Stop or Kill, with the data that it had, and waits until it serves.
func (z *ZooKeeper) Start(t testing.TB) {
	t.Helper()
	z.launch(t)
	z.awaitServing(t)
}

// Stop ends the server in order; sessions live on in its data and expire after the next start.
func (z *ZooKeeper) Stop(t testing.TB) {
	t.Helper()
	z.process.Stop(t)
}

// Kill ends the server as a crash would.
func (z *ZooKeeper) Kill() { z.process.Kill() }

// Restart stops the server and starts it with the data that it had.
func (z *ZooKeeper) Restart(t testing.TB) {
	t.Helper()
	z.Stop(t)
	z.Start(t)
}

// Wipe stops the server and starts it without any data, as after the loss of its disk: it has no nodes, no sessions, and a
// transaction id that is older than what its clients have seen.
func (z *ZooKeeper) Wipe(t testing.TB) {
	t.Helper()
	z.Stop(t)
	if err := os.RemoveAll(filepath.Join(z.dir, "version-2")); err != nil {
		t.Fatal(err)
	}
	z.Start(t)
}

// Process returns the running server process, for signals such as SIGSTOP.
func (z *ZooKeeper) Process() *Process { return z.process }

func (z *ZooKeeper) launch(t testing.TB) {
	t.Helper()
	var config strings.Builder
	for _, key := range slices.Sorted(maps.Keys(z.settings)) {
		fmt.Fprintf(&config, "%s=%s\n", key, z.settings[key])
	}
	name := filepath.Join(z.dir, "zoo.cfg")
	if err := os.WriteFile(name, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	z.process = StartProcess(t, "zookeeper "+z.Addr, "java", "-Xmx"+z.heap, "-cp", z.classpath,
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", name)
}

func (z *ZooKeeper) awaitServing(t testing.TB) {
	t.Helper()
	Await(t, zooKeeperStartLimit, "zookeeper "+z.Addr+" serves", func(ctx context.Context) error {
		z.process.failIfExited(t)
		// A server that is asked while it starts may leave the question open for ever.
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		answer, err := z.Ask(ctx, "srvr")
		if err != nil {
			return err
		}
		if !strings.Contains(answer, "Mode: ") {
			return errors.New(strings.TrimSpace(answer))
		}
		return nil
	})
}

// Ask sends a four-letter word, such as srvr, mntr, wchs or cons, and returns the answer.
func (z *ZooKeeper) Ask(ctx context.Context, word string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", z.Addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
