package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/internal/installation"
)

type purgeFlags struct {
	registryFlags
	instance                        string
	namespaces                      []string
	orphans, all, dryRun, yes, hard bool
	// interactive says that somebody can be asked.
	interactive bool
}

func newPurgeCommand(interactive bool) *cobra.Command {
	f := purgeFlags{interactive: interactive}
	cmd := &cobra.Command{
		Use:   "purge ([NAMESPACE/]REGISTRY... | --orphans | --all)",
		Short: "Delete what a bridge has published",
		Long: lines(
			"Deletes ServiceEntries, WorkloadEntries and DestinationRules that a bridge has published: those of some Registries, those whose Registry is gone",
			"(--orphans), or all of them and EnvoyFilters (--all). Traffic to their hosts ends with that. Objects that have lost a label of the bridge are somebody",
			"else's, and are left alone; so is one that changes while the command runs.",
			"",
			"It asks before it deletes anything, and needs --yes where nobody can be asked. It refuses while a Registry exists that would publish",
			"the same again: pause or delete that before.",
			"",
			"It needs no bridge that runs: with the rights to list and delete these objects, and to list Registries, it works after an",
			"uninstallation too.",
			"",
			"Exit codes: 0 nothing is left of what it is about, 1 error."),
		Example: lines(
			"  registry-bridge purge --orphans --dry-run",
			"  registry-bridge purge dubbo/shop",
			"  registry-bridge purge --all --instance mesh.bridge --yes"),
		RunE: func(cmd *cobra.Command, args []string) error { return purge(cmd, &f, args) },
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.instance, "instance", "", "`ID` of the bridge, as in run; may be left out when the objects of one bridge only are there")
	flags.StringSliceVar(&f.namespaces, "watch-namespaces", nil, "`NAMESPACES` that are looked at, separated by commas; by default all")
	flags.BoolVar(&f.orphans, "orphans", false, "what Registries have published that are gone")
	flags.BoolVar(&f.all, "all", false, "everything that the bridge has published")
	flags.BoolVar(&f.dryRun, "dry-run", false, "list what would be deleted, and delete nothing")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&f.hard, "force", false, "delete, too, what a Registry would publish again at once")
	return cmd
}

func purge(cmd *cobra.Command, f *purgeFlags, args []string) error {
	if chosen := count01(len(args) > 0) + count01(f.orphans) + count01(f.all); chosen != 1 {
		return fmt.Errorf("say what to delete: names of Registries, --orphans or --all, and one of them only; see %q", cmd.CommandPath()+" --help")
	}
	c, names, err := f.open(args...)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if err := f.identify(cmd, c); err != nil {
		return err
	}
	published, err := installation.Everything(cmd.Context(), c, f.instance, f.namespaces)
	if err != nil {
		return err
	}
	registries, err := installation.Registries(cmd.Context(), c, f.namespaces)
	if err != nil {
		return err
	}
	selection := installation.Selection{Registries: names, Orphans: f.orphans, All: f.all}
	selected := selection.Select(published, registries)
	if len(selected) == 0 {
		fmt.Fprintf(out, "nothing to delete: %s of instance %q found, none of them selected\n", plural(len(published), "object"), f.instance)
		return nil
	}
	if f.dryRun {
		for i := range selected {
			fmt.Fprintln(out, &selected[i])
		}
	}
	summarise(out, selected)
	if again := installation.Publishing(selected, registries); len(again) > 0 && !f.hard {
		return fmt.Errorf("it would be published again by Registry %s; pause or delete it before (or --force)", strings.Join(again, ", "))
	}
	if f.dryRun {
		return nil
	}
	if err := f.confirm(cmd, len(selected)); err != nil {
		return err
	}
	deleted := 0
	err = installation.Purge(cmd.Context(), c, selected, func(*installation.Published) { deleted++ })
	fmt.Fprintf(out, "%s deleted\n", plural(deleted, "object"))
	return err
}

func count01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// identify finds the instance when the command line does not say which.
func (f *purgeFlags) identify(cmd *cobra.Command, c client.Client) error {
	if f.instance != "" {
		return nil
	}
	ids, err := installation.Instances(cmd.Context(), c, f.namespaces)
	if err != nil {
		return err
	}
	switch len(ids) {
	case 0: // Nothing is published; that is said later.
	case 1:
		f.instance = ids[0]
	default:
		return fmt.Errorf("several bridges have published something; say which with --instance: %s", strings.Join(ids, ", "))
	}
	return nil
}

// summarise counts what would be deleted, by Registry.
func summarise(w io.Writer, selected []installation.Published) {
	counts := map[string]int{}
	for i := range selected {
		name := selected[i].Registry.String()
		if selected[i].Registry.Name == "" {
			name = "none in " + selected[i].Registry.Namespace
		}
		counts[name]++
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "Registry %s: %s\n", name, plural(counts[name], "object"))
	}
}

var (
	errNotConfirmed = errors.New("nothing was deleted: it was not confirmed")
	errCannotAsk    = errors.New("nothing was deleted: there is nobody to ask; --yes deletes without asking, --dry-run shows what")
)

// confirm asks a person.
func (f *purgeFlags) confirm(cmd *cobra.Command, n int) error {
	if f.yes {
		return nil
	}
	if !f.interactive {
		return errCannotAsk
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Traffic to these hosts ends. Delete %s? Type yes: ", plural(n, "object"))
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errNotConfirmed
	}
	return nil
}
