// Package cli is the command line: it reads flags and files, wires everything together, and turns what happened into text and an exit
// code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	ExitOK = 0
	// ExitError: the command could not do what it was asked to, or what it checked is wrong.
	ExitError = 1
	// ExitDifferences: plan found something to write.
	ExitDifferences = 2
	// ExitNotFound: explain knows nothing of what it was asked for.
	ExitNotFound = 2
)

// errDifferences is what plan returns when there is something to write; everything has been said then.
var errDifferences = errors.New("there are differences")

// errReported is the error of a command that has said everything about it already.
var errReported = errors.New("reported")

// Streams are where commands write.
type Streams struct {
	// Out is for what was asked for, Err for errors and logs.
	Out, Err io.Writer
	// In is where answers are read from; nil for nowhere.
	In io.Reader
	// Colour says that Out is a terminal that wants colours, Interactive that In is one, so that somebody can be asked.
	Colour, Interactive bool
	// Program is the path by which this program was called. As kubectl-registry_bridge it is a plugin of kubectl, and calls itself that.
	Program string
}

// Main runs the command line args (without the program's name) and returns the exit code. The end of ctx asks the command to stop.
func Main(ctx context.Context, args []string, streams Streams) int {
	root := NewCommand(streams) //nolint:contextcheck // The commands get ctx from ExecuteContext.
	root.SetArgs(args)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetIn(streams.In)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, errDifferences):
		return ExitDifferences
	case errors.Is(err, errNotFound):
		return ExitNotFound
	case !errors.Is(err, errReported):
		fmt.Fprintf(streams.Err, "Error: %v\n", err)
	}
	return ExitError
}

// NewCommand returns the root command; of streams it needs what they say of terminals and of the program's name. The reference pages are
// generated from it.
func NewCommand(streams Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "registry-bridge",
		Short: "Bridges service registries into Istio",
		Long: lines(
			"registry-bridge watches service registries (Dubbo in ZooKeeper in this version) and keeps Istio ServiceEntries equal to",
			"what is registered. It only reads registries, and it never removes an endpoint because a registry failed to answer.",
			"",
			"Exit codes: 0 success, 1 error, 2 differences (plan), or nothing is known (explain)."),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		newRunCommand(), newPlanCommand(streams.Colour), newExplainCommand(), newValidateCommand(), newLeaveCommand(), newVersionCommand(),
		newFreezeCommand(), newUnfreezeCommand(), newPauseCommand(), newResumeCommand(), newReleaseCommand(), newPurgeCommand(streams.Interactive),
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" --help")
	})
	if strings.TrimSuffix(filepath.Base(streams.Program), ".exe") == plugin {
		asPlugin(root)
	}
	return root
}

// plugin is the name under which kubectl finds this program as its command "registry-bridge": it turns each dash of a command into an
// underscore in the name of the file.
const plugin = "kubectl-registry_bridge"

// asPlugin makes the commands call themselves what a user of kubectl types.
func asPlugin(root *cobra.Command) {
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl " + root.Name()}
	for _, cmd := range root.Commands() {
		cmd.Example = strings.ReplaceAll(cmd.Example, "  "+root.Name()+" ", "  kubectl "+root.Name()+" ")
	}
}

// needs checks that there are arguments, and says what is missing in words.
func needs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs %s; see %q", cmd.CommandPath(), what, cmd.CommandPath()+" --help")
		}
		return nil
	}
}

func lines(l ...string) string { return strings.Join(l, "\n") }
