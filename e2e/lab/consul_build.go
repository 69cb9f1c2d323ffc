package lab

import (
	"context"
	_ "embed"
	"io"
)

// The module that pins Consul. To move to another version, change it in a copy, add a Go file that imports github.com/hashicorp/consul,
// and run go mod tidy with GONOSUMDB=github.com/hashicorp/consul/*: the checksum database does not have all of its modules. The files
// have no go.mod's name, because a folder with a go.mod is left out of the module around it.
var (
	//go:embed consul/consul.mod
	consulMod []byte
	//go:embed consul/consul.sum
	consulSum []byte
)

// PrepareConsul builds the Consul agent into the cache folder, unless it is there, and returns the program. It writes its progress to
// progress. Several processes may prepare at once: one works, the others wait.
func PrepareConsul(ctx context.Context, progress io.Writer) (program string, err error) {
	return goProgram{
		folder: "consul", name: "consul", pkg: "github.com/hashicorp/consul", mod: consulMod, sum: consulSum, minutes: 5,
	}.prepare(ctx, progress)
}
