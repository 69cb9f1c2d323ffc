package image

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/registry-bridge/registry-bridge/hack/release/program"
)

// testProgram is a program as far as an image cares: some bytes and what is known of them.
func testProgram(t *testing.T, arch string) program.Program {
	t.Helper()
	file := filepath.Join(t.TempDir(), "registry-bridge")
	if err := os.WriteFile(file, []byte("the program for "+arch), 0o700); err != nil {
		t.Fatal(err)
	}
	return program.Program{
		File: file, OS: "linux", Arch: arch, Version: "v1.2.3", Revision: "0123456789abcdef", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func testLicenses() map[string][]byte {
	return map[string][]byte{"LICENSE": []byte("ours\n"), "THIRD_PARTY_NOTICES": []byte("theirs\n")}
}

func testIndex(t *testing.T) (v1.ImageIndex, []v1.Image) {
	t.Helper()
	programs := []program.Program{testProgram(t, "amd64"), testProgram(t, "arm64")}
	var images []v1.Image
	for _, p := range programs {
		img, err := New(p, testLicenses())
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, img)
	}
	index, err := NewIndex(programs, images)
	if err != nil {
		t.Fatal(err)
	}
	return index, images
}

func testTag(t *testing.T) name.Tag {
	t.Helper()
	tag, err := name.NewTag("registry.example/registry-bridge:v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// TestImage: what is in it, and nothing else.
func TestImage(t *testing.T) {
	_, images := testIndex(t)
	got := map[string]string{}
	for r := tar.NewReader(mutate.Extract(images[1])); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s belongs to %d:%d; the program must not be able to change it", h.Name, h.Uid, h.Gid)
		}
		if !h.ModTime.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
			t.Errorf("%s is of %s, want the time of the commit", h.Name, h.ModTime)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 100 {
			data = []byte("long")
		}
		got[h.FileInfo().Mode().String()+" "+h.Name] = string(data)
	}
	want := map[string]string{
		"-rwxr-xr-x registry-bridge":                   "the program for arm64",
		"drwxr-xr-x etc":                               "",
		"-rw-r--r-- etc/group":                         "root:x:0:\nnonroot:x:65532:\n",
		"-rw-r--r-- etc/passwd":                        "root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/:/none\n",
		"drwxr-xr-x etc/ssl":                           "",
		"drwxr-xr-x etc/ssl/certs":                     "",
		"-rw-r--r-- etc/ssl/certs/ca-certificates.crt": "long",
		"drwxr-xr-x licenses":                          "",
		"-rw-r--r-- licenses/LICENSE":                  "ours\n",
		"-rw-r--r-- licenses/THIRD_PARTY_NOTICES":      "theirs\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	config, err := images[1].ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/registry-bridge"}) {
		t.Errorf("configuration: %+v", config)
	}
	if got := config.Config.Labels["org.opencontainers.image.revision"]; got != "0123456789abcdef" {
		t.Errorf("label revision: %q", got)
	}
}

// TestReproducible: the same binaries give the same digest.
func TestReproducible(t *testing.T) {
	first, _ := testIndex(t)
	second, _ := testIndex(t)
	a, err := first.Digest()
	if err != nil {
		t.Fatal(err)
	}
	b, err := second.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Errorf("digests differ: %s and %s", a, b)
	}
}

func TestRefused(t *testing.T) {
	darwin := testProgram(t, "arm64")
	darwin.OS = "darwin"
	if _, err := New(darwin, nil); err == nil {
		t.Error("an image of a program for darwin was built")
	}
	one, other := testProgram(t, "amd64"), testProgram(t, "arm64")
	other.Revision = "another"
	if _, err := NewIndex([]program.Program{one, other}, make([]v1.Image, 2)); err == nil {
		t.Error("an index of two commits was built")
	}
}

// TestRoots: all parse, the well-known ones are there, and those with a constraint that PEM cannot express are not.
func TestRoots(t *testing.T) {
	names := map[string]bool{}
	for rest := roots(); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("not PEM")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names[cert.Subject.CommonName] = true
	}
	if len(names) < 100 || !names["ISRG Root X1"] || !names["DigiCert Global Root G2"] || names["Izenpe.com"] {
		t.Errorf("got %d roots: %v", len(names), names)
	}
}

// TestArchive: containerd finds the very image, by digest and name, and Docker finds configuration and layer.
func TestArchive(t *testing.T) {
	_, images := testIndex(t)
	want, err := images[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := WriteArchive(&archive, images[0], testTag(t)); err != nil {
		t.Fatal(err)
	}

	tag := testTag(t)
	docker, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(docker); err != nil {
		t.Errorf("as Docker reads it: %v", err)
	}

	dir := t.TempDir()
	untar(t, dir, &archive)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	entry := manifest.Manifests[0]
	if len(manifest.Manifests) != 1 || entry.Digest != want || entry.Annotations["io.containerd.image.name"] != tag.Name() || entry.Platform.String() != "linux/amd64" {
		t.Errorf("index.json: %+v", manifest)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("as containerd reads it: %v", err)
	}
}

// untar writes an archive into a folder, with the modes that are in it, and returns the names of all that is not a folder.
func untar(t *testing.T, dir string, archive io.Reader) (names []string) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		} else if err != nil {
			t.Fatal(err)
		}
		if h.FileInfo().IsDir() {
			if err := root.MkdirAll(filepath.Clean(h.Name), h.FileInfo().Mode().Perm()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.WriteFile(h.Name, data, h.FileInfo().Mode().Perm()); err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}
