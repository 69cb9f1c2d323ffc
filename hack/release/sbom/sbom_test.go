package sbom

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/hack/release/licenses"
	"github.com/registry-bridge/registry-bridge/hack/release/program"
)

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := program.Program{
		File: file, OS: "linux", Arch: "amd64", Module: "example.com/p", Version: "v1.2.3+dirty", Revision: "0123", Go: "go1.26.8",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Modules: []program.Module{{Path: "example.com/a", Version: "v2.0.0"}},
	}
	known := []licenses.Module{{Path: licenses.Std, Licenses: []string{"BSD-3-Clause"}}, {Path: "example.com/a", Licenses: []string{"Apache-2.0", "MIT"}}}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := Write(w, p, known); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("the same binary gave two different bills")
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&first, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	got := []string{bom.SpecVersion.String(), bom.SerialNumber, bom.Metadata.Timestamp}
	for _, c := range append([]cdx.Component{*bom.Metadata.Component}, *bom.Components...) {
		line := []string{string(c.Type), c.PackageURL}
		for _, l := range *c.Licenses {
			line = append(line, l.License.ID)
		}
		got = append(got, strings.Join(line, " "))
	}
	want := []string{
		"1.6", "urn:uuid:2d711642-b726-8044-8162-7ca9fbac32f5", "2026-01-02T03:04:05Z",
		"application pkg:golang/example.com/p@v1.2.3%2Bdirty Apache-2.0",
		"library pkg:golang/std@1.26.8 BSD-3-Clause",
		"library pkg:golang/example.com/a@v2.0.0 Apache-2.0 MIT",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	if err := Write(&second, p, known[:1]); err == nil || !strings.Contains(err.Error(), "example.com/a") {
		t.Errorf("a module without a known licence: %v", err)
	}
}
