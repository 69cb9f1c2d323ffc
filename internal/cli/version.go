package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is what is known of how the program was built.
type Version struct {
	// Version is the module's version, "(devel)" for a build from a checkout without a tag.
	Version string `json:"version"`
	// Commit is the revision it was built from, with "-dirty" when files were changed; empty when unknown.
	Commit string `json:"commit,omitempty"`
	// Date is the time of the commit.
	Date string `json:"date,omitempty"`
	Go   string `json:"go"`
	OS   string `json:"os"`
	Arch string `json:"arch"`
}

// ReadVersion takes the version from what the Go toolchain noted in the binary.
func ReadVersion() Version {
	v := Version{Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && v.Commit != "" {
		v.Commit += "-dirty"
	}
	return v
}

// String renders one line.
func (v Version) String() string {
	commit := ""
	if v.Commit != "" {
		commit = "commit " + v.Commit + ", "
	}
	return fmt.Sprintf("registry-bridge %s (%s%s, %s/%s)", v.Version, commit, v.Go, v.OS, v.Arch)
}

func newVersionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show which version this is",
		Example: lines("  registry-bridge version", "  registry-bridge version -o json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := ReadVersion()
			switch output {
			case "text":
				fmt.Fprintln(cmd.OutOrStdout(), v)
				return nil
			case "json":
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(v)
			}
			return unknownOutput(output, "text", "json")
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`FORMAT` to write: text or json")
	return cmd
}

func unknownOutput(got string, known ...string) error {
	return fmt.Errorf("unknown output format %q; use one of %q", got, known)
}
