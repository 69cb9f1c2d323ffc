// Command release makes what a release consists of from built binaries.
//
//	release notices -out FILE                                    licences of all that is linked in; fails on one that is not allowed
//	release image -out DIR -name IMAGE [-tag TAG] BINARY…        OCI layout and archives
//	release sbom -out FILE BINARY                                bill of materials (CycloneDX)
//	release push -layout DIR                                     upload the layout under its name
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/registry-bridge/registry-bridge/hack/release/image"
	"github.com/registry-bridge/registry-bridge/hack/release/licenses"
	"github.com/registry-bridge/registry-bridge/hack/release/program"
	"github.com/registry-bridge/registry-bridge/hack/release/sbom"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: release notices|image|sbom|push [flags]")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	root := flags.String("root", "../..", "root of the repository")
	switch args[0] {
	case "notices":
		return notices(ctx, flags, root, args[1:])
	case "image":
		return images(flags, root, args[1:])
	case "sbom":
		return bom(ctx, flags, root, args[1:])
	case "push":
		return push(ctx, flags, args[1:])
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// targets are what ends in the image and in the archives of a release.
func targets(root string) []licenses.Target {
	return []licenses.Target{
		{
			Dir: root, Package: "./cmd/registry-bridge",
			Platforms: []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"},
		},
		{
			Dir: filepath.Join(root, "hack", "release"), Package: "golang.org/x/crypto/x509roots/fallback/bundle",
			Platforms: []string{"linux/amd64"},
		},
	}
}

func notices(ctx context.Context, flags *flag.FlagSet, root *string, args []string) error {
	out := flags.String("out", "THIRD_PARTY_NOTICES", "file to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	modules, err := licenses.Collect(ctx, targets(*root)...)
	if err != nil {
		return err
	}
	return create(*out, func(f *os.File) error { return licenses.WriteNotices(f, modules) })
}

func images(flags *flag.FlagSet, root *string, args []string) error {
	out := flags.String("out", "image", "new folder for the layout (oci) and the archives")
	repository := flags.String("name", "", "name of the image, without a tag")
	tag := flags.String("tag", "", "tag of the image; by default the version of the binaries")
	third := flags.String("notices", "THIRD_PARTY_NOTICES", "notices, as the command of that name writes them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	texts := map[string][]byte{}
	for _, file := range []string{filepath.Join(*root, "LICENSE"), *third} {
		data, err := os.ReadFile(file) //nolint:gosec // Reading what its flags name is what this tool is for.
		if err != nil {
			return err
		}
		texts[filepath.Base(file)] = data
	}
	var programs []program.Program
	var built []v1.Image
	for _, file := range flags.Args() {
		p, err := program.Read(file)
		if err != nil {
			return err
		}
		img, err := image.New(p, texts)
		if err != nil {
			return err
		}
		programs, built = append(programs, p), append(built, img)
	}
	if len(programs) == 0 {
		return errors.New("image: name the binaries, one for each platform")
	}
	if *tag == "" {
		*tag = programs[0].Tag()
	}
	ref, err := name.NewTag(*repository + ":" + *tag)
	if err != nil {
		return err
	}
	return writeImages(*out, ref, programs, built)
}

func writeImages(out string, ref name.Tag, programs []program.Program, built []v1.Image) error {
	index, err := image.NewIndex(programs, built)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil { //nolint:gosec // Nothing in it is secret.
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil { //nolint:gosec // Nothing in it is secret.
		return err
	}
	if err := image.WriteLayout(filepath.Join(out, "oci"), index, ref); err != nil {
		return err
	}
	for i, p := range programs {
		file := filepath.Join(out, fmt.Sprintf("registry-bridge-%s-%s.tar", p.OS, p.Arch))
		if err := create(file, func(f *os.File) error { return image.WriteArchive(f, built[i], ref) }); err != nil {
			return err
		}
	}
	fmt.Println(ref.Digest(digest.String()), "as", ref, "in", out)
	return nil
}

func bom(ctx context.Context, flags *flag.FlagSet, root *string, args []string) error {
	out := flags.String("out", "bom.cdx.json", "file to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("sbom: name one binary")
	}
	p, err := program.Read(flags.Arg(0))
	if err != nil {
		return err
	}
	modules, err := licenses.Collect(ctx, targets(*root)...)
	if err != nil {
		return err
	}
	return create(*out, func(f *os.File) error { return sbom.Write(f, p, modules) })
}

func push(ctx context.Context, flags *flag.FlagSet, args []string) error {
	layout := flags.String("layout", "image/oci", "the layout")
	if err := flags.Parse(args); err != nil {
		return err
	}
	digest, err := image.Push(ctx, *layout)
	if err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}

// create writes a file that is complete when there is no error.
func create(file string, write func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // Nothing in it is secret.
		return err
	}
	f, err := os.Create(file) //nolint:gosec // Writing what its flags name is what this tool is for.
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
