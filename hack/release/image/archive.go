package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteArchive writes an image as a tar archive that both `ctr images import` and `docker load` read, under the given name. It is an
// OCI layout, so that containerd sees the digest that the registry has, with Docker's manifest.json beside it:
//
//	oci-layout, index.json    containerd, and Docker from 25 on
//	manifest.json             Docker
//	blobs/sha256/…            configuration, layer and manifest
func WriteArchive(w io.Writer, img v1.Image, tag name.Tag) error {
	files, err := archiveFiles(img, tag)
	if err != nil {
		return fmt.Errorf("archive of %s: %w", tag, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("archive of %s: %w", tag, err)
	}
	archive, err := openTar(files, config.Created.In(time.UTC))
	if err != nil {
		return fmt.Errorf("archive of %s: %w", tag, err)
	}
	defer archive.Close()
	if _, err := io.Copy(w, archive); err != nil {
		return fmt.Errorf("archive of %s: %w", tag, err)
	}
	return nil
}

func archiveFiles(img v1.Image, tag name.Tag) ([]file, error) {
	index, err := archiveIndex(img, tag)
	if err != nil {
		return nil, err
	}
	blobs, docker, err := archiveBlobs(img)
	if err != nil {
		return nil, err
	}
	docker.RepoTags = []string{tag.Name()}
	manifest, err := json.Marshal(tarball.Manifest{docker})
	if err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	return append([]file{
		{name: "/oci-layout", mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "/index.json", mode: 0o644, data: index},
		{name: "/manifest.json", mode: 0o644, data: manifest},
	}, blobs...), nil
}

// archiveIndex names the image twice: containerd reads the full name, others only the tag.
func archiveIndex(img v1.Image, tag name.Tag) ([]byte, error) {
	desc, err := partial.Descriptor(img)
	if err != nil {
		return nil, fmt.Errorf("descriptor: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	desc.Platform = config.Platform()
	desc.Annotations = map[string]string{
		"io.containerd.image.name":          tag.Name(),
		"org.opencontainers.image.ref.name": tag.TagStr(),
	}
	return json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{*desc}})
}

// archiveBlobs are the parts of the image by digest, and what Docker wants to know of them.
func archiveBlobs(img v1.Image) ([]file, tarball.Descriptor, error) {
	var docker tarball.Descriptor
	var blobs []file
	add := func(data []byte) string {
		digest, _, _ := v1.SHA256(bytes.NewReader(data)) // Reading bytes cannot fail.
		f := file{name: "/blobs/sha256/" + digest.Hex, mode: 0o644, data: data}
		blobs = append(blobs, f)
		return f.name[1:]
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return nil, docker, fmt.Errorf("manifest: %w", err)
	}
	add(manifest)
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, docker, fmt.Errorf("configuration: %w", err)
	}
	docker.Config = add(config)
	layers, err := img.Layers()
	if err != nil {
		return nil, docker, fmt.Errorf("layers: %w", err)
	}
	for _, layer := range layers {
		r, err := layer.Compressed()
		if err != nil {
			return nil, docker, fmt.Errorf("layer: %w", err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, docker, fmt.Errorf("layer: %w", err)
		}
		docker.Layers = append(docker.Layers, add(data))
	}
	return blobs, docker, nil
}
