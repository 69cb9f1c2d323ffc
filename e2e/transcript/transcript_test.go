package transcript_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

var update = flag.Bool("update", false, "write the golden transcripts from the real server")

// fake is the server inside the process, with the timing of the lab's real one.
type fake struct{ server *zktest.Server }

func startFake(t *testing.T) fake {
	t.Helper()
	f := fake{zktest.New(zktest.Options{Tick: 500 * time.Millisecond})}
	f.start(t)
	t.Cleanup(f.server.Stop)
	return f
}

func (f fake) addr() string    { return f.server.Addr() }
func (f fake) stop(*testing.T) { f.server.Stop() }

func (f fake) start(t *testing.T) {
	t.Helper()
	if err := f.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// actual is the real server.
type actual struct{ server *lab.ZooKeeper }

func startActual(t *testing.T) actual {
	t.Helper()
	return actual{lab.StartZooKeeper(t, lab.ZooKeeperOptions{})}
}

func (a actual) addr() string { return a.server.Addr }

func (a actual) stop(t *testing.T) {
	t.Helper()
	a.server.Stop(t)
}

func (a actual) start(t *testing.T) {
	t.Helper()
	a.server.Start(t)
}

// compare compares a transcript with what the library saw of the real server.
func compare(t *testing.T, library, got string) {
	t.Helper()
	name := filepath.Join("testdata", library+".golden")
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the transcript differs from %s (-golden +now):\n%s", name, diff)
	}
}

func TestGoZookeeper(t *testing.T) {
	t.Parallel()
	testLibrary(t, "go-zookeeper", func(t *testing.T) client {
		t.Helper()
		return newGoClient(t)
	})
}

func TestCurator(t *testing.T) {
	t.Parallel()
	testLibrary(t, "curator", func(t *testing.T) client {
		t.Helper()
		return newCurator(t)
	})
}

// testLibrary runs the script against both servers.
func testLibrary(t *testing.T, library string, connect func(*testing.T) client) {
	t.Helper()
	t.Run("real", func(t *testing.T) {
		got := run(t, library, connect(t), startActual(t))
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", library+".golden"), []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		compare(t, library, got)
	})
	t.Run("fake", func(t *testing.T) {
		compare(t, library, run(t, library, connect(t), startFake(t)))
	})
}
