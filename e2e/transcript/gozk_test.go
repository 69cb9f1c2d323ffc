package transcript_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// patience is how long a client may take to connect, or an event to come.
const patience = 20 * time.Second

// goClient runs the script with github.com/go-zookeeper/zk.
type goClient struct {
	t        *testing.T
	sessions map[string]*goSession
}

func newGoClient(t *testing.T) *goClient {
	t.Helper()
	return &goClient{t: t, sessions: map[string]*goSession{}}
}

// goSession is one session and the events that came to it.
type goSession struct {
	conn *zk.Conn
	// first is the id of the session until it expires.
	first int64

	mu     sync.Mutex
	events []string
}

// discard drops the log of the client.
type discard struct{}

// Printf implements zk.Logger.
func (discard) Printf(string, ...any) {}

// do implements client.
func (c *goClient) do(session, command string, args []string) []string {
	s := c.sessions[session]
	if command == "connect" {
		return c.connect(session, args)
	}
	switch command {
	case "lost":
		await(c.t, "the client loses its connection", func() bool { return s.conn.State() != zk.StateHasSession })
		return nil
	case "wait":
		s.wait(c.t)
		return nil
	case "close":
		s.conn.Close()
		return nil
	case "events":
		return s.drain(c.t, args)
	case "missed":
		return slices.Sorted(slices.Values(s.drain(c.t, args)))
	case "renewed":
		await(c.t, "a new session", func() bool { return s.conn.State() == zk.StateHasSession && s.conn.SessionID() != s.first })
		return nil
	case "sync":
		_, err := s.conn.Sync(args[0])
		return answer(err)
	case "create":
		return s.create(args)
	case "multi":
		return s.multi(args)
	case "getacl", "setacl":
		return s.acl(command, args)
	case "delete":
		return answer(s.conn.Delete(args[0], version(args[1])))
	case "set":
		stat, err := s.conn.Set(args[0], data(args[1]), version(args[2]))
		return answer(err, status(stat))
	default:
		return s.read(command, args)
	}
}

func (c *goClient) connect(session string, args []string) []string {
	s := &goSession{}
	timeout := 10 * time.Second
	if len(args) > 2 {
		timeout = time.Duration(version(args[2])) * time.Millisecond
	}
	conn, _, err := zk.Connect(args[:1], timeout, zk.WithLogger(discard{}), zk.WithEventCallback(s.event))
	if err != nil {
		c.t.Fatal(err)
	}
	s.conn = conn
	c.sessions[session] = s
	c.t.Cleanup(conn.Close)
	s.wait(c.t)
	s.first = conn.SessionID()
	if len(args) > 1 && args[1] != "-" {
		return answer(conn.AddAuth("digest", []byte(args[1])))
	}
	return nil
}

// event keeps the events of nodes.
func (s *goSession) event(e zk.Event) {
	if e.Type == zk.EventSession {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, strings.TrimPrefix(e.Type.String(), "Event")+" "+e.Path)
}

// wait waits until the session is connected.
func (s *goSession) wait(t *testing.T) {
	t.Helper()
	await(t, "the client connects", func() bool { return s.conn.State() == zk.StateHasSession })
}

// drain returns the events that came. Those of changes that were answered before come before the answer to sync.
func (s *goSession) drain(t *testing.T, args []string) []string {
	t.Helper()
	if len(args) > 0 {
		want := int(version(args[0]))
		await(t, args[0]+" events", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.events) >= want
		})
	}
	if _, err := s.conn.Sync("/"); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// await polls until the condition holds, and carries on without it after a while: the transcript shows what is missing.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(5*time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer limit.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Errorf("not within %v: %s", patience, what)
			return
		}
	}
}

func (s *goSession) create(args []string) []string {
	path, acl, value := args[0], acls(args[2]), data(args[3])
	var made string
	var err error
	switch mode := args[1]; mode {
	case "container":
		made, err = s.conn.CreateContainer(path, value, zk.FlagContainer, acl)
	case "persistent_with_ttl":
		made, err = s.conn.CreateTTL(path, value, zk.FlagTTL, acl, time.Hour)
	default:
		made, err = s.conn.Create(path, value, flags(mode), acl)
	}
	return answer(err, made)
}

func flags(mode string) int32 {
	return map[string]int32{
		"persistent": zk.FlagPersistent, "ephemeral": zk.FlagEphemeral,
		"persistent_sequential": zk.FlagSequence, "ephemeral_sequential": zk.FlagEphemeralSequential,
	}[mode]
}

func (s *goSession) multi(args []string) []string {
	var ops []any
	for _, op := range operations(args) {
		switch op[0] {
		case "create":
			ops = append(ops, &zk.CreateRequest{Path: op[1], Flags: flags(op[2]), Acl: acls(op[3]), Data: data(op[4])})
		case "set":
			ops = append(ops, &zk.SetDataRequest{Path: op[1], Data: data(op[2]), Version: version(op[3])})
		case "delete":
			ops = append(ops, &zk.DeleteRequest{Path: op[1], Version: version(op[2])})
		case "check":
			ops = append(ops, &zk.CheckVersionRequest{Path: op[1], Version: version(op[2])})
		}
	}
	results, err := s.conn.Multi(ops...)
	out := answer(err)
	for _, r := range results {
		outcome := strings.Join(answer(r.Error, status(r.Stat)), " ")
		out = append(out, strings.TrimSpace("- "+outcome+" "+r.String))
	}
	return out
}

// operations splits the arguments of a multi.
func operations(args []string) [][]string {
	var out [][]string
	for op := range strings.SplitSeq(strings.Join(args, " "), ";") {
		out = append(out, strings.Fields(op))
	}
	return out
}

func (s *goSession) acl(command string, args []string) []string {
	if command == "setacl" {
		stat, err := s.conn.SetACL(args[0], acls(args[1]), version(args[2]))
		return answer(err, status(stat))
	}
	list, stat, err := s.conn.GetACL(args[0])
	out := answer(err, status(stat))
	for _, a := range list {
		out = append(out, fmt.Sprintf("%d %s %s", a.Perms, a.Scheme, a.ID))
	}
	return out
}

func (s *goSession) read(command string, args []string) []string {
	watch, path := len(args) > 1, args[0]
	var stat *zk.Stat
	var err error
	var found string
	switch command + strconv.FormatBool(watch) {
	case "gettrue":
		var value []byte
		value, stat, _, err = s.conn.GetW(path)
		found = strconv.Quote(string(value))
	case "getfalse":
		var value []byte
		value, stat, err = s.conn.Get(path)
		found = strconv.Quote(string(value))
	case "existstrue":
		var exists bool
		exists, stat, _, err = s.conn.ExistsW(path)
		found = strconv.FormatBool(exists)
	case "existsfalse":
		var exists bool
		exists, stat, err = s.conn.Exists(path)
		found = strconv.FormatBool(exists)
	case "childrentrue":
		var names []string
		names, stat, _, err = s.conn.ChildrenW(path)
		found = fmt.Sprint(slices.Sorted(slices.Values(names)))
	case "childrenfalse":
		var names []string
		names, stat, err = s.conn.Children(path)
		found = fmt.Sprint(slices.Sorted(slices.Values(names)))
	default:
		err = errors.New("no such command")
	}
	return answer(err, found, status(stat))
}

// answer is the outcome of an operation.
func answer(err error, parts ...string) []string {
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	return []string{strings.TrimSpace("ok " + strings.Join(parts, " "))}
}

// status is what a Stat says, but for the times.
func status(s *zk.Stat) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("czxid=%d mzxid=%d pzxid=%d version=%d cversion=%d aversion=%d owner=%d length=%d children=%d",
		s.Czxid, s.Mzxid, s.Pzxid, s.Version, s.Cversion, s.Aversion, s.EphemeralOwner, s.DataLength, s.NumChildren)
}

// acls are the lists of permissions that the script names.
func acls(name string) []zk.ACL {
	return map[string][]zk.ACL{
		"open": zk.WorldACL(zk.PermAll),
		"read": zk.WorldACL(zk.PermRead),
		"mine": zk.AuthACL(zk.PermAll),
		"bad":  {{Perms: zk.PermAll, Scheme: "digest", ID: "nohash"}},
	}[name]
}

// data is the data that the script names; a dash is none.
func data(word string) []byte {
	if word == "-" {
		return []byte{}
	}
	return []byte(word)
}

// version is a number of the script.
func version(word string) int32 {
	n, _ := strconv.ParseInt(word, 10, 32)
	return int32(n)
}
