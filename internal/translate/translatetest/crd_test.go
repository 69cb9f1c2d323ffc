package translatetest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "take the CustomResourceDefinition from the module that go.mod names")

// TestCRDIsThatOfTheModule keeps the embedded copy equal to what the version of istio.io/api in go.mod ships.
func TestCRDIsThatOfTheModule(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	all, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "kubernetes", "customresourcedefinitions.gen.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for document := range bytes.SplitSeq(all, []byte("\n---\n")) {
		if bytes.Contains(document, []byte("\n  name: serviceentries.networking.istio.io\n")) {
			want = append(bytes.TrimSpace(document), '\n')
		}
	}
	if len(want) == 0 {
		t.Fatal("the module has no ServiceEntry")
	}
	if *update {
		if err := os.WriteFile("serviceentry.crd.yaml", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(crdText, want) {
		t.Error("serviceentry.crd.yaml differs from the module; run the test with -update")
	}
}

func TestBrokenCRD(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"not YAML", "a: ["},
		{"unknown field", "{speck: {}}"},
		{"nothing stored", "{spec: {versions: [{name: v1, storage: false}]}}"},
		{"not structural", `{spec: {versions: [{name: v1, storage: true, schema: {openAPIV3Schema: {type: object, $ref: "#/a"}}}]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := newCRD([]byte(c.text)); err == nil {
				t.Error("accepted")
			}
		})
	}
}
