package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// DubboConsumer is a running consumer that makes calls when it is told, as many series at a time as it is told. It keeps its references,
// and so its connections, from one series to the next.
type DubboConsumer struct {
	*Process

	commands io.Writer

	mu     sync.Mutex
	read   int // how much of its output has been understood
	series map[string]*DubboSeries
}

// DubboSeries are calls of one kind.
type DubboSeries struct {
	consumer *DubboConsumer
	id       string

	// These belong to the consumer's mutex.
	calls []DubboCall
	done  bool
}

// DubboCall is one call and how it ended.
type DubboCall struct {
	At   time.Time
	Took time.Duration
	// By is the name of the provider that answered, where the method tells it, and Err why there is no answer.
	By, Err string
	// Tagged says whether it carried the tag of the series.
	Tagged bool
}

// StartDubboConsumer starts a consumer that makes no calls yet. The settings of its options hold for all series that do not say otherwise.
func StartDubboConsumer(t testing.TB, options DubboOptions) *DubboConsumer {
	t.Helper()
	command := options.java(t, "demo.Consumer", "-Dlab.console=true")
	process, commands := StartConsole(t, "dubbo consumer", command[0], command[1:]...)
	process.AwaitOutput(t, dubboStartLimit, "CONSUMER READY")
	return &DubboConsumer{Process: process, commands: commands, series: map[string]*DubboSeries{}}
}

// Start starts a series of calls. Its settings are those of Calls.java and Consumer.java; a "count" of 0 is a series without end.
func (c *DubboConsumer) Start(t testing.TB, settings map[string]string) *DubboSeries {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &DubboSeries{consumer: c, id: strconv.Itoa(len(c.series) + 1)}
	c.series[s.id] = s
	if _, err := fmt.Fprintln(c.commands, "start "+s.id+words(settings)); err != nil {
		t.Fatalf("tell the consumer: %v", err)
	}
	return s
}

// Call makes a series of calls and returns how they ended.
func (c *DubboConsumer) Call(t testing.TB, settings map[string]string) []DubboCall {
	t.Helper()
	return c.Start(t, settings).Wait(t)
}

// Wait waits until a series that has an end is at its end, and returns its calls.
func (s *DubboSeries) Wait(t testing.TB) []DubboCall {
	t.Helper()
	Await(t, dubboCallLimit, "the calls are made", func(context.Context) error {
		s.consumer.failIfExited(t)
		if calls, done := s.now(t); !done {
			return fmt.Errorf("%d so far", len(calls))
		}
		return nil
	})
	calls, _ := s.now(t)
	return calls
}

// Stop ends a series and returns its calls.
func (s *DubboSeries) Stop(t testing.TB) []DubboCall {
	t.Helper()
	if _, err := fmt.Fprintln(s.consumer.commands, "stop "+s.id); err != nil {
		t.Fatalf("tell the consumer: %v", err)
	}
	return s.Wait(t)
}

// Calls returns the calls that have ended so far.
func (s *DubboSeries) Calls(t testing.TB) []DubboCall {
	t.Helper()
	calls, _ := s.now(t)
	return calls
}

func (s *DubboSeries) now(t testing.TB) (calls []DubboCall, done bool) {
	t.Helper()
	c := s.consumer
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.OutputFrom(c.read)
	text = text[:strings.LastIndexByte(text, '\n')+1]
	c.read += len(text)
	for line := range strings.Lines(text) {
		if err := c.understand(strings.TrimSpace(line)); err != nil {
			t.Fatalf("the consumer writes %q: %v", line, err)
		}
	}
	return slices.Clone(s.calls), s.done
}

// understand takes in a line of the consumer: what Calls.java writes, or a message of Dubbo.
func (c *DubboConsumer) understand(line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	if kind != "CALL" && kind != "DONE" {
		return nil
	}
	id, rest, _ := strings.Cut(rest, " ")
	s := c.series[id]
	if s == nil {
		return errors.New("no such series")
	}
	if kind == "DONE" {
		s.done = true
		return nil
	}
	rest, tagged := strings.CutPrefix(rest, "tagged ")
	fields := strings.SplitN(rest, " ", 4)
	if len(fields) != 4 {
		return errors.New("not START MICROSECONDS by|err TEXT")
	}
	at, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return err
	}
	took, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return err
	}
	call := DubboCall{At: time.UnixMilli(at), Took: time.Duration(took) * time.Microsecond, Tagged: tagged}
	if fields[2] == "by" {
		call.By = fields[3]
	} else {
		call.Err = fields[3]
	}
	s.calls = append(s.calls, call)
	return nil
}

// words renders settings as words of a command, each with a blank before it.
func words(settings map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		b.WriteString(" " + key + "=" + settings[key])
	}
	return b.String()
}
