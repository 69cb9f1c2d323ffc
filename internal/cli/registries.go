package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/installation"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

func newPauseCommand() *cobra.Command {
	var f registryFlags
	cmd := &cobra.Command{
		Use:   "pause [NAMESPACE/]REGISTRY...",
		Short: "Stop the writes of single Registries",
		Long: lines(
			"Sets spec.mode of Registries to Paused: what they have published stays as it is, and nothing is written for them, until resume.",
			"The mode before is kept in the annotation "+installation.AnnotationResume+" when it was Observe.",
			"",
			"Registries that a GitOps tool applies are set back by it: change the mode there, or use freeze, which is no part of any manifest."),
		Example: lines("  registry-bridge pause dubbo/shop"),
		Args:    needs("at least one Registry"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.each(cmd, args, func(r installation.Registry) (string, error) {
				mode, err := r.Pause(cmd.Context())
				if mode == v1alpha1.ModePaused {
					return "is paused already", err
				}
				return fmt.Sprintf("is paused; it was %s", mode), err
			})
		},
	}
	f.register(cmd)
	return cmd
}

func newResumeCommand() *cobra.Command {
	var f registryFlags
	cmd := &cobra.Command{
		Use:   "resume [NAMESPACE/]REGISTRY...",
		Short: "Let single Registries write again",
		Long: lines(
			"Ends what pause began: spec.mode becomes Active, or Observe when it was that before pause. What has changed meanwhile is written",
			"then; guards judge removals as always."),
		Example: lines("  registry-bridge resume dubbo/shop"),
		Args:    needs("at least one Registry"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.each(cmd, args, func(r installation.Registry) (string, error) {
				mode, err := r.Resume(cmd.Context())
				return fmt.Sprintf("is %s", mode), err
			})
		},
	}
	f.register(cmd)
	return cmd
}

// each does something with each Registry, and says what came of it. One that fails does not keep the others from it.
func (f *registryFlags) each(cmd *cobra.Command, args []string, do func(installation.Registry) (string, error)) error {
	c, names, err := f.open(args...)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		text, err := do(installation.Registry{Client: c, Name: name})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Registry %s %s\n", name, text)
	}
	return errors.Join(errs...)
}

type releaseFlags struct {
	registryFlags
	all, force, wait bool
	timeout          time.Duration
}

func newReleaseCommand() *cobra.Command {
	var f releaseFlags
	cmd := &cobra.Command{
		Use:   "release [NAMESPACE/]REGISTRY [HOLD...]",
		Short: "End holds: let removals through that a guard keeps back",
		Long: lines(
			"Says that removals which a guard keeps back are meant: the ids are added to the annotation "+v1alpha1.AnnotationRelease+" of the",
			"Registry, and the bridge removes what they kept. Without an id, it lists what is held, and changes nothing.",
			"",
			"An id stands for one incident: the next one has another. Holds of EmptyService, EmptySource, MassRemoval, Vanished and",
			"ConfirmRemoval can be released. The others end by themselves, or by what they wait for.",
			"",
			"Ids that stand for nothing any more are taken out of the annotation 10 minutes after it was last changed by this command. A bridge",
			"with files reads the same annotation: add it to the file's metadata."),
		Example: lines(
			"  registry-bridge release dubbo/shop",
			"  registry-bridge release dubbo/shop h-3f2a91c0"),
		Args: needs("a Registry"),
		RunE: func(cmd *cobra.Command, args []string) error { return release(cmd, &f, args[0], args[1:]) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "release every hold that can be released now")
	cmd.Flags().BoolVar(&f.force, "force", false, "release ids that the status does not name, for instance because it names 20 at most")
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until the holds have ended")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 2*confirmTimeout, "how long to wait")
	return cmd
}

func release(cmd *cobra.Command, f *releaseFlags, registry string, ids []string) error {
	c, names, err := f.open(registry)
	if err != nil {
		return err
	}
	target, ctx := installation.Registry{Client: c, Name: names[0]}, cmd.Context()
	r, err := target.Read(ctx)
	if err != nil {
		return err
	}
	if f.all {
		for i := range r.Status.Holds {
			if h := &r.Status.Holds[i]; reason.Releasable(reason.Reason(h.Guard)) {
				ids = append(ids, h.ID)
			}
		}
	}
	if len(ids) == 0 {
		writeHolds(cmd.OutOrStdout(), target.Name, r)
		return nil
	}
	if err := installation.CheckRelease(r, ids); err != nil && (!f.force || errors.Is(err, installation.ErrFixed)) {
		return fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" "+registry)
	}
	if err := checkIDs(r, ids); err != nil {
		return err
	}
	if _, err := target.Release(ctx, ids, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Registry %s: released %s\n", target.Name, strings.Join(ids, ", "))
	if !f.wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := target.AwaitReleased(ctx, ids); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "nothing is held by that any more")
	return nil
}

// checkIDs reports ids that the Registry would be refused with.
func checkIDs(r *v1alpha1.Registry, ids []string) error {
	next := r.DeepCopy()
	next.APIVersion, next.Kind = v1alpha1.APIVersion, v1alpha1.KindRegistry
	next.Annotations = map[string]string{v1alpha1.AnnotationRelease: strings.Join(ids, ",")}
	v1alpha1.Default(next)
	for _, mistake := range v1alpha1.Validate(next) {
		if strings.Contains(mistake.Field, v1alpha1.AnnotationRelease) {
			return fmt.Errorf("%q is no id of a hold: %s", mistake.BadValue, mistake.Detail)
		}
	}
	return nil
}

// writeHolds lists what is held of a Registry.
func writeHolds(w io.Writer, name types.NamespacedName, r *v1alpha1.Registry) {
	if len(r.Status.Holds) == 0 {
		fmt.Fprintf(w, "Registry %s: nothing is held\n", name)
		return
	}
	for i := range r.Status.Holds {
		h := &r.Status.Holds[i]
		text := fmt.Sprintf("%s  %s  %s", h.ID, h.Guard, plural(int(h.Endpoints), "endpoint"))
		if h.Objects > 0 {
			text += ", " + plural(int(h.Objects), "object")
		}
		if h.Source != "" {
			text += "  source " + h.Source
		}
		if h.Until != nil {
			text += "  until " + h.Until.UTC().Format(time.RFC3339)
		}
		if !reason.Releasable(reason.Reason(h.Guard)) {
			text += "  (cannot be released)"
		}
		fmt.Fprintln(w, text)
	}
	if more := int(r.Status.HoldCount) - len(r.Status.Holds); more > 0 {
		fmt.Fprintf(w, "and %d more, which only /debug/state of the leader names\n", more)
	}
}
