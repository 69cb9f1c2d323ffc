package zookeeper

import (
	"log/slog"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/client"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// nowhere is a Sink that keeps nothing.
type nowhere struct{ source.Sink }

// TestLastAnswerCounts: a server before 3.6 answers a request for a recursive watch with an error and hangs up. When both are seen at
// once the answer must still be heard, or the connection seems lost for no reason before anything was read, which ends the run.
func TestLastAnswerCounts(t *testing.T) {
	t.Parallel()
	server := zktest.New(zktest.Options{Version: zktest.Before36})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	for range 30 { // Which of the two is seen first was up to chance.
		cfg := Config{Root: DefaultRoot, Logger: slog.New(slog.DiscardHandler)}
		state := newState(cfg, nowhere{}, nil)
		box := newInbox()
		conn, err := client.Connect(t.Context(), client.Options{Servers: []string{server.Addr()}, SessionTimeout: 2 * time.Second}, 0, func(client.Event) {})
		if err != nil {
			t.Fatal(err)
		}
		w := newWatcher(state, line{conn: conn, inbox: box}, false)
		w.ctx = t.Context()
		w.start()
		<-conn.Done()
		if err := w.serve(t.Context(), w); err == nil {
			t.Fatal("a closed connection was no failure")
		}
		if !w.plain {
			t.Fatal("the answer that came before the connection ended was lost")
		}
		conn.Close()
	}
}
