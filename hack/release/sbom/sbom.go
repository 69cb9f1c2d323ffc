// Package sbom writes the bill of materials of a binary.
package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/registry-bridge/registry-bridge/hack/release/licenses"
	"github.com/registry-bridge/registry-bridge/hack/release/program"
)

// Write lists every module that is linked into the binary, and the standard library, as CycloneDX 1.6 in JSON. The licences come from
// modules. The same binary gives the same bytes: the serial number is made of its digest, and the time is that of its commit.
func Write(w io.Writer, p program.Program, modules []licenses.Module) error {
	data, err := os.ReadFile(p.File)
	if err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	digest := sha256.Sum256(data)
	known := map[string][]string{}
	for _, m := range modules {
		known[m.Path] = m.Licenses
	}
	main := component(program.Module{Path: p.Module, Version: p.Version}, []string{"Apache-2.0"})
	main.Type = cdx.ComponentTypeApplication
	main.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(digest[:])}}
	main.Properties = &[]cdx.Property{
		{Name: "registry-bridge:platform", Value: p.OS + "/" + p.Arch},
		{Name: "registry-bridge:commit", Value: p.Revision},
	}
	std := program.Module{Path: licenses.Std, Version: strings.TrimPrefix(p.Go, "go")}
	var components []cdx.Component
	var refs []string
	for _, m := range append([]program.Module{std}, p.Modules...) {
		ids := known[m.Path]
		if len(ids) == 0 {
			return fmt.Errorf("%s is linked into %s, and its licence is not known", m.Path, p.File)
		}
		c := component(m, ids)
		components, refs = append(components, c), append(refs, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(digest)
	bom.Metadata = &cdx.Metadata{Timestamp: p.Time.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	if err := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write the bill of materials: %w", err)
	}
	return nil
}

// component of a module. The reference is its package URL, see https://github.com/package-url/purl-spec.
func component(m program.Module, ids []string) cdx.Component {
	purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	found := make(cdx.Licenses, 0, len(ids))
	for _, id := range ids {
		found = append(found, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl, Licenses: &found,
	}
}

// serial is a UUID of version 8 (RFC 9562: made by a method of one's own) from a digest.
func serial(digest [sha256.Size]byte) string {
	id := digest[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
