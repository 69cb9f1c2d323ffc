package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

// LeaveOut says what to do on a machine whose network the suites may not change.
const LeaveOut = "`make e2e CLUSTER=off` leaves out the suites that need it"

// CheckRoot finds out whether this user may change what belongs to the machine, such as its network. What names what needs it.
func CheckRoot(what string) error {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return fmt.Errorf("%s needs Linux and root, and this is user %d on %s; %s", what, os.Geteuid(), runtime.GOOS, LeaveOut)
	}
	return nil
}

// NetworkPrograms are the paths of the programs that make networks.
type NetworkPrograms struct{ IP, NFT string }

// PrepareNetwork finds the programs that make networks. On a Debian machine and as root it installs what is missing, and writes to
// progress that it does.
func PrepareNetwork(ctx context.Context, progress io.Writer) (*NetworkPrograms, error) {
	programs := &NetworkPrograms{}
	return programs, requirePrograms(ctx, progress, "what makes networks", []packagedProgram{
		{&programs.NFT, "nft", "nftables"},
		{&programs.IP, "ip", "iproute2"},
	})
}

// packagedProgram is a program that the distribution has.
type packagedProgram struct {
	// path gets its path.
	path *string
	// name is what it is called by, or a path where it is not among the commands, packaged the package that has it.
	name, packaged string
}

// requirePrograms finds programs of the distribution. On a Debian machine and as root it installs what is missing. What names them for a
// person.
func requirePrograms(ctx context.Context, progress io.Writer, what string, programs []packagedProgram) error {
	var packages []string
	for _, program := range programs {
		if _, err := exec.LookPath(program.name); err != nil {
			packages = append(packages, program.packaged)
		}
	}
	if len(packages) > 0 {
		if err := install(ctx, progress, what, packages...); err != nil {
			return err
		}
	}
	for _, program := range programs {
		path, err := exec.LookPath(program.name)
		if err != nil {
			return fmt.Errorf("find what was installed: %w", err)
		}
		*program.path = path
	}
	return nil
}
