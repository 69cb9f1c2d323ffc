package transcript_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// client is a client library that runs the steps of the script for several sessions, each with a name.
type client interface {
	// do runs one command of a session and returns what the library answered.
	do(session, command string, args []string) []string
}

// server is what the script may stop.
type server interface {
	addr() string
	stop(t *testing.T)
	start(t *testing.T)
}

// run runs the script with a client library against a server and returns the transcript.
func run(t *testing.T, library string, c client, s server) string {
	t.Helper()
	script, err := os.ReadFile("testdata/script.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, client: c, server: s, links: map[string]*link{}, seen: ids{}}
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSpace(line)
		if only, step, ok := strings.Cut(line, "| "); ok {
			if only != library {
				continue
			}
			line = step
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fmt.Fprintf(&r.out, "> %s\n", line)
		for _, answer := range r.step(strings.Fields(line)) {
			fmt.Fprintf(&r.out, "  %s\n", r.seen.normal(answer))
		}
	}
	return r.out.String()
}

// runner is one run of the script.
type runner struct {
	t      *testing.T
	client client
	server server
	links  map[string]*link
	seen   ids
	out    strings.Builder
}

// step does one line: what concerns the server or the network itself, the rest by the client.
func (r *runner) step(words []string) []string {
	session, command, args := words[0], words[1], words[2:]
	switch {
	case session == "server" && command == "stop":
		for _, l := range r.links {
			l.cut()
		}
		r.server.stop(r.t)
		return nil
	case session == "server" && command == "start":
		// A ZooKeeper that is starting may accept a client and never answer its handshake, and go-zookeeper waits for a minute then:
		// the links are opened when the server serves.
		r.server.start(r.t)
		for _, l := range r.links {
			l.heal(r.t)
		}
		return nil
	case command == "cut":
		r.links[session].cut()
		return nil
	case command == "heal":
		r.links[session].heal(r.t)
		return nil
	case command == "connect":
		r.links[session] = newLink(r.t, r.server.addr())
		args = append([]string{r.links[session].addr()}, args...)
	}
	return r.client.do(session, command, args)
}

// ids replaces what differs from run to run. Transactions are counted from the first that was seen: both servers must give the same
// number to every one of them. Sessions are numbered as they appear.
type ids map[string]string

var idPattern = regexp.MustCompile(`\b(czxid|mzxid|pzxid|owner)=(-?\d+)`)

// normal replaces the ids of one line.
func (i ids) normal(line string) string {
	return idPattern.ReplaceAllStringFunc(line, func(match string) string {
		key, value, _ := strings.Cut(match, "=")
		switch {
		case value == "0":
			return match
		case key == "owner":
			if i[value] == "" {
				i["sessions"] += "+"
				i[value] = "session" + strconv.Itoa(len(i["sessions"]))
			}
			return key + "=" + i[value]
		}
		if i["first"] == "" {
			i["first"] = value
		}
		first, _ := strconv.ParseInt(i["first"], 10, 64)
		zxid, _ := strconv.ParseInt(value, 10, 64)
		return key + "=z" + strconv.FormatInt(zxid-first, 10)
	})
}
