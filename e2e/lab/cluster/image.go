package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageUser is who runs in images that WriteImage makes, unless the pod says otherwise.
const imageUser = "65532:65532"

// Import gives the images of an archive (of an OCI layout, or of `docker save`) to the node, under the names that are in it. Nothing is
// ever pulled: pods that use an image have imagePullPolicy Never or IfNotPresent. Its layers are put together when a pod first needs it.
func (c *Cluster) Import(t testing.TB, archive string) {
	t.Helper()
	if err := c.importImages(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) importImages(ctx context.Context, archive string) error {
	return c.ctr(ctx, "images", "import", "--local", "--no-unpack", archive)
}

// importOwnImages makes and imports the images that a node needs itself.
func (c *Cluster) importOwnImages(t testing.TB) {
	t.Helper()
	for image, program := range map[string]string{pauseImage: c.programs.Pause, dnsImage: c.programs.CoreDNS} {
		archive := c.host.file(filepath.Base(program) + ".tar")
		if err := WriteImage(archive, image, program); err != nil {
			t.Fatal(err)
		}
		c.Import(t, archive)
	}
}

// WriteImage writes an archive with an image that holds nothing but a static program, which is its entry point, and a folder /tmp.
func WriteImage(archive, image, program string) error {
	reference, err := name.NewTag(image)
	if err != nil {
		return err
	}
	files, err := layer(program)
	if err != nil {
		return err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil })
	if err != nil {
		return err
	}
	built, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{path.Join("/", filepath.Base(program))}, User: imageUser, WorkingDir: "/"}
	if built, err = mutate.ConfigFile(built, config); err != nil {
		return err
	}
	if err := tarball.WriteToFile(archive, reference, built); err != nil {
		return fmt.Errorf("write image %s: %w", image, err)
	}
	return nil
}

// layer returns the tar of the image's only layer.
func layer(program string) ([]byte, error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, entry := range []struct {
		header tar.Header
		data   []byte
	}{
		{header: tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}},
		{header: tar.Header{Name: filepath.Base(program), Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))}, data: text},
	} {
		if err := w.WriteHeader(&entry.header); err != nil {
			return nil, err
		}
		if _, err := w.Write(entry.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
