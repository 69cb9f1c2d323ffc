package image

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/registry-bridge/registry-bridge/hack/release/program"
)

// CARoots is where Go, OpenSSL and most others look for the roots of trust. Mount another file over it to trust others.
const CARoots = "/etc/ssl/certs/ca-certificates.crt"

// file is a file of the image; its folders come by themselves.
type file struct {
	name string // absolute
	mode int64
	data []byte
}

// root is the whole file system of the image, in the order in which it is written.
func root(p program.Program, licenses map[string][]byte) ([]file, error) {
	binary, err := os.ReadFile(p.File)
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	files := []file{
		{name: "/etc/group", mode: 0o644, data: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{name: "/etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/:/none\n")},
		{name: CARoots, mode: 0o644, data: roots()},
	}
	for _, name := range slices.Sorted(maps.Keys(licenses)) {
		files = append(files, file{name: "/licenses/" + name, mode: 0o644, data: licenses[name]})
	}
	return append(files, file{name: Entrypoint, mode: 0o755, data: binary}), nil
}

// roots are Mozilla's roots for TLS servers, in PEM, as the Go project keeps them. Those that Mozilla trusts only for certificates
// issued before some day are left out, because a PEM file cannot say so.
func roots() []byte {
	var b bytes.Buffer
	for r := range bundle.Roots() {
		if r.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate}))
		}
	}
	return b.Bytes()
}

// openTar writes files as a tar archive in which nothing depends on this machine or this moment.
func openTar(files []file, modified time.Time) (io.ReadCloser, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, f := range files {
		for _, dir := range folders(f.name) {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: modified, Format: tar.FormatUSTAR}); err != nil {
				return nil, fmt.Errorf("write folder %s: %w", dir, err)
			}
		}
		if err := writeFile(w, f, modified); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close the archive: %w", err)
	}
	return io.NopCloser(&b), nil
}

func writeFile(w *tar.Writer, f file, modified time.Time) error {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.name, "/"), Mode: f.mode,
		Size: int64(len(f.data)), ModTime: modified, Format: tar.FormatUSTAR,
	}
	if err := w.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	if _, err := w.Write(f.data); err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	return nil
}

// folders of a file, outermost first: "etc", "etc/ssl" for "/etc/ssl/x".
func folders(name string) []string {
	var dirs []string
	for dir := path.Dir(strings.TrimPrefix(name, "/")); dir != "."; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}
