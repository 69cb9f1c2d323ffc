package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// run runs a command line in this process.
func run(t *testing.T, args ...string) result {
	t.Helper()
	var out, err strings.Builder
	code := cli.Main(t.Context(), args, cli.Streams{Out: &out, Err: &err})
	return result{code: code, out: out.String(), err: err.String()}
}

// writeFile writes a file into a fresh folder and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestValidate(t *testing.T) {
	bad := writeFile(t, "bad.yaml", `apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: a, namespace: ns}
spec: {source: {zookeeper: {servers: ["zk"]}}, mode: Off}
`)
	examples, err := filepath.Glob("../../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"good", []string{"../../examples"}, cli.ExitOK, fmt.Sprintf("valid: %d Registries in %d files\n", len(examples), len(examples)), ""},
		{"bad", []string{bad, "../../examples"}, cli.ExitError, "", lines(
			bad+`:4: spec.mode: "Off": needs to be one of Active, Observe, Paused`,
			bad+`:4: spec.source.zookeeper.servers[0]: "zk": needs host:port, e.g. zk:2181`,
			"2 problems found.", "")},
		{"missing", []string{"nowhere.yaml"}, cli.ExitError, "", "nowhere.yaml: does not exist\n1 problem found.\n"},
		{
			"no argument", nil, cli.ExitError, "",
			`Error: registry-bridge validate needs at least one file or folder; see "registry-bridge validate --help"` + "\n",
		},
		{
			"bad flag",
			[]string{"--strict"},
			cli.ExitError, "",
			`Error: unknown flag: --strict; see "registry-bridge validate --help"` + "\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, append([]string{"validate"}, tt.args...)...)
			if want := (result{tt.code, tt.out, tt.err}); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func lines(l ...string) string { return strings.Join(l, "\n") }

func TestVersion(t *testing.T) {
	if got := run(t, "version"); got.code != cli.ExitOK || !strings.HasPrefix(got.out, "registry-bridge ") || got.err != "" {
		t.Errorf("got %+v", got)
	}
	var v cli.Version
	if err := json.Unmarshal([]byte(run(t, "version", "-o", "json").out), &v); err != nil || v.Go == "" {
		t.Errorf("got %+v, %v", v, err)
	}
	if got := run(t, "version", "-o", "xml"); got.code != cli.ExitError || !strings.Contains(got.err, `use one of ["text" "json"]`) {
		t.Errorf("got %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := run(t, "completion", shell); got.code != cli.ExitOK || len(got.out) < 1000 {
			t.Errorf("%s: exit code %d and %d bytes", shell, got.code, len(got.out))
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	got := run(t, "valdate")
	if got.code != cli.ExitError || !strings.Contains(got.err, "Did you mean this?\n\tvalidate") {
		t.Errorf("got %+v", got)
	}
}
