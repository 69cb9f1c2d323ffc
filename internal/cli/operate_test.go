package cli_test

import (
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/cli"
)

// TestPlugin: as a plugin of kubectl, usage lines and examples are what its users type.
func TestPlugin(t *testing.T) {
	for _, program := range []string{"/usr/local/bin/kubectl-registry_bridge", `kubectl-registry_bridge.exe`} {
		for _, args := range [][]string{{"freeze", "--help"}, {"purge", "--help"}, {"pause"}, {"pause", "--nonsense"}} {
			var out strings.Builder
			cli.Main(t.Context(), args, cli.Streams{Out: &out, Err: &out, Program: program})
			if text := out.String(); !strings.Contains(text, "kubectl registry-bridge "+args[0]) || strings.Contains(text, "  registry-bridge ") {
				t.Errorf("%s %v: got\n%s", program, args, text)
			}
		}
	}
	if got := run(t, "freeze", "--help"); strings.Contains(got.out, "kubectl registry-bridge") {
		t.Errorf("got\n%s", got.out)
	}
}

// TestArguments: what can be known to be wrong is said before anything is asked.
func TestArguments(t *testing.T) {
	kubeconfig := writeFile(t, "kubeconfig", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, namespace: dubbo}}]
current-context: c
`)
	for command, want := range map[string]string{
		"pause":                    "registry-bridge pause needs at least one Registry",
		"pause a/b/c":              `"a/b/c" is not the name of a Registry; write NAME or NAMESPACE/NAME`,
		"release":                  "registry-bridge release needs a Registry",
		"purge":                    "names of Registries, --orphans or --all, and one of them only",
		"purge shop --all":         "names of Registries, --orphans or --all, and one of them only",
		"purge --orphans --all -y": "names of Registries, --orphans or --all, and one of them only",
		"freeze --namespace mesh":  "connection refused",
	} {
		args := append(strings.Fields(command), "--kubeconfig", kubeconfig)
		if got := run(t, args...); got.code != cli.ExitError || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %+v, want %q", command, got, want)
		}
	}
}
