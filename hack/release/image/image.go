// Package image builds the container image without Docker: an empty root with the program, the roots of trust and the licences.
// The same binaries give the same bytes.
package image

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/registry-bridge/registry-bridge/hack/release/program"
)

const (
	// Entrypoint is the program inside the image.
	Entrypoint = "/registry-bridge"
	// User is numeric, so that Kubernetes can see that it is not root (runAsNonRoot).
	User = "65532:65532"

	labelRevision = "org.opencontainers.image.revision"
	labelVersion  = "org.opencontainers.image.version"

	source = "https://github.com/registry-bridge/registry-bridge"
)

// New builds the image of one binary. Licenses are files for /licenses, by name.
func New(p program.Program, licenses map[string][]byte) (v1.Image, error) {
	if p.OS != "linux" {
		return nil, fmt.Errorf("%s was built for %s/%s; an image needs linux", p.File, p.OS, p.Arch)
	}
	files, err := root(p, licenses)
	if err != nil {
		return nil, err
	}
	layer, err := newLayer(files, p.Time)
	if err != nil {
		return nil, fmt.Errorf("layer of %s: %w", p.File, err)
	}
	created := v1.Time{Time: p.Time}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS:           p.OS,
		Architecture: p.Arch,
		Created:      created,
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: []string{Entrypoint},
			User:       User,
			Env:        []string{"PATH=/"},
			WorkingDir: "/",
			Labels:     labels(p),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("configuration of the image: %w", err)
	}
	img, err = mutate.Append(img, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: created, CreatedBy: "hack/release", Comment: "the program, CA roots and licences on an empty root"},
	})
	if err != nil {
		return nil, fmt.Errorf("append the layer: %w", err)
	}
	return annotate(img, p)
}

// annotate repeats the labels on the manifest, which is where registries look for them.
func annotate(img v1.Image, p program.Program) (v1.Image, error) {
	annotated, ok := mutate.Annotations(img, labels(p)).(v1.Image)
	if !ok {
		return nil, errors.New("annotate the image: it is no image any more")
	}
	return annotated, nil
}

// NewIndex makes one index of the images of several platforms. All of them must be built from one commit.
func NewIndex(programs []program.Program, images []v1.Image) (v1.ImageIndex, error) {
	index := v1.ImageIndex(empty.Index)
	for i, p := range programs {
		if !maps.Equal(labels(p), labels(programs[0])) {
			return nil, fmt.Errorf("%s and %s were not built from the same commit", programs[0].File, p.File)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        images[i],
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.OS, Architecture: p.Arch}},
		})
	}
	annotated, ok := mutate.Annotations(index, labels(programs[0])).(v1.ImageIndex)
	if !ok {
		return nil, errors.New("annotate the index: it is no index any more")
	}
	return annotated, nil
}

// labels are those of https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md.
func labels(p program.Program) map[string]string {
	l := map[string]string{
		"org.opencontainers.image.title":         "registry-bridge",
		"org.opencontainers.image.description":   "Keeps Istio ServiceEntries equal to what service registries hold",
		"org.opencontainers.image.url":           source,
		"org.opencontainers.image.source":        source,
		"org.opencontainers.image.documentation": source + "/blob/main/docs/README.md",
		"org.opencontainers.image.licenses":      "Apache-2.0",
		labelVersion:                             p.Version,
		"org.opencontainers.image.created":       p.Time.Format(time.RFC3339),
	}
	if p.Revision != "" {
		l[labelRevision] = p.Revision
	}
	return l
}

func newLayer(files []file, modified time.Time) (v1.Layer, error) {
	return tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return openTar(files, modified) },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching)
}
