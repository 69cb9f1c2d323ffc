package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// WriteLayout writes an OCI layout into a new folder, with the index as its only entry, under the given name.
func WriteLayout(dir string, index v1.ImageIndex, tag name.Tag) error {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	names := map[string]string{"io.containerd.image.name": tag.Name(), "org.opencontainers.image.ref.name": tag.TagStr()}
	if err := path.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	return nil
}

// ReadLayout returns the index that WriteLayout wrote, and its name.
func ReadLayout(dir string) (v1.ImageIndex, name.Tag, error) {
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, name.Tag{}, fmt.Errorf("read the layout: %w", err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		return nil, name.Tag{}, fmt.Errorf("read the layout: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return nil, name.Tag{}, fmt.Errorf("%s has %d entries; it should have one index", dir, len(manifest.Manifests))
	}
	entry := manifest.Manifests[0]
	tag, err := name.NewTag(entry.Annotations["io.containerd.image.name"])
	if err != nil {
		return nil, name.Tag{}, fmt.Errorf("name of the image in %s: %w", dir, err)
	}
	index, err := outer.ImageIndex(entry.Digest)
	if err != nil {
		return nil, name.Tag{}, fmt.Errorf("read the layout: %w", err)
	}
	return index, tag, nil
}

// Push uploads the image of a layout under its name, with the credentials that `docker login` left, and returns its reference by
// digest. Refused are a tag that exists as another image, because whoever uses it would get something else, and an image that others
// could not build from a commit.
func Push(ctx context.Context, dir string) (name.Digest, error) {
	index, tag, err := ReadLayout(dir)
	if err != nil {
		return name.Digest{}, err
	}
	if err := releasable(index); err != nil {
		return name.Digest{}, fmt.Errorf("%s: %w", tag, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return name.Digest{}, fmt.Errorf("digest: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if there, err := remote.Head(tag, options...); err == nil && there.Digest != digest {
		return name.Digest{}, errors.New(tag.Name() + " exists already, as another image: " + there.Digest.String())
	}
	if err := remote.WriteIndex(tag, index, options...); err != nil {
		return name.Digest{}, fmt.Errorf("push %s: %w", tag, err)
	}
	return tag.Digest(digest.String()), nil
}

func releasable(index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	switch {
	case manifest.Annotations[labelRevision] == "":
		return errors.New("its program does not know its commit; build it in a clone, with -buildvcs=true")
	case strings.HasSuffix(manifest.Annotations[labelVersion], "+dirty"):
		return errors.New("it was built from changed files; commit them first")
	}
	return nil
}
