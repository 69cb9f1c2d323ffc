package lab

import (
	"context"
	_ "embed"
	"io"
)

// The module that pins istiod. Istio publishes no releases of its main module to the Go module proxy, only commits: this is one of the
// branch release-1.31, with the released API. To move to another version, change it in a copy, add a Go file that imports
// istio.io/istio/pilot/cmd/pilot-discovery, and run go mod tidy. The files have no go.mod's name, because a folder with a go.mod is
// left out of the module around it.
var (
	//go:embed istiod/istiod.mod
	istiodMod []byte
	//go:embed istiod/istiod.sum
	istiodSum []byte
)

// PrepareIstiod builds istiod into the cache folder, unless it is there, and returns the program. It writes its progress to progress.
// Several processes may prepare at once: one works, the others wait.
func PrepareIstiod(ctx context.Context, progress io.Writer) (program string, err error) {
	return goProgram{
		folder: "istiod", name: "pilot-discovery", pkg: "istio.io/istio/pilot/cmd/pilot-discovery", mod: istiodMod, sum: istiodSum, minutes: 8,
	}.prepare(ctx, progress)
}
