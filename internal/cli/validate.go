package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/registry-bridge/registry-bridge/internal/controller/file"
)

func newValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE|DIR...",
		Short: "Check Registry files",
		Long: lines(
			"Checks Registry files, and reports everything that is wrong with them together: with the line, the path of the field, and",
			"what to write instead. Nothing is connected to. Of a folder, the files *.yaml, *.yml and *.json are read.",
			"",
			"Exit codes: 0 everything is valid, 1 something is not."),
		Example: lines(
			"  registry-bridge validate examples/zookeeper-dubbo.yaml",
			"  registry-bridge validate /etc/registry-bridge"),
		Args: needs("at least one file or folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := file.Load(args)
			if len(set.Problems) > 0 {
				printProblems(cmd.ErrOrStderr(), set.Problems)
				return errReported
			}
			fmt.Fprintf(cmd.OutOrStdout(), "valid: %s in %s\n", count(len(set.Registries), "Registry", "Registries"), count(set.Files, "file", "files"))
			return nil
		},
	}
}

func printProblems(w io.Writer, problems []file.Problem) {
	for _, p := range problems {
		fmt.Fprintln(w, p)
	}
	fmt.Fprintf(w, "%s found.\n", count(len(problems), "problem", "problems"))
}

// count renders "1 file" or "3 files".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
