package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-bridge/registry-bridge/internal/explain"
	"github.com/registry-bridge/registry-bridge/internal/installation"
)

// errNotFound is what explain returns when nothing is known of what was asked; everything has been said then.
var errNotFound = errors.New("nothing is known of it")

type explainFlags struct {
	bridgeFlags
	namespace, name string
	address, format string
	timeout         time.Duration
}

func newExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain HOST|SERVICE|IP[:PORT]",
		Short: "Say where something comes from, or why it is not there",
		Long: lines(
			"Says what became of a host, of a service by its name in the registry, or of an address: which record of which registry it comes",
			"from, which rule set which field, where it stands in the output, why it was dropped, until when it is held, and why a VirtualService",
			"may have no effect on it.",
			"",
			"It asks the leader of an installation, through a port-forward of its own; that needs the rights to get Leases and pods, and to create",
			"pods/portforward, in the namespace of the installation. With --address it asks a bridge that can be reached, for instance one without",
			"a cluster; with --config it reads the registries itself, as plan does.",
			"",
			"Exit codes: 0 something is known, 1 error, 2 nothing is known."),
		Example: lines(
			"  registry-bridge explain com.acme.greeter",
			"  registry-bridge explain 10.0.0.1:20880",
			"  registry-bridge explain com.acme.Greeter --address http://127.0.0.1:8080",
			"  registry-bridge explain com.acme.Greeter --config examples/zookeeper-dubbo.yaml --output-dir ./out"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
				return errors.New("say what to explain, and one thing only: a host, a service or an address, e.g. registry-bridge explain 10.0.0.1:20880")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if known := []string{"text", "json"}; !slices.Contains(known, f.format) {
				return unknownOutput(f.format, known...)
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), f.timeout, fmt.Errorf("there was no answer within %s (--timeout)", f.timeout))
			defer cancel()
			answer, err := f.ask(ctx, cmd, args[0])
			if err != nil {
				return err
			}
			return f.show(cmd, answer)
		},
	}
	f.register(cmd, "error")
	flags := cmd.Flags()
	flags.StringVarP(&f.namespace, "namespace", "n", "", "`NAMESPACE` of the installation, where its Lease is; by default the only one of the cluster")
	flags.StringVar(&f.name, "name", defaultName, "`NAME` of the installation, as in run")
	flags.StringVar(&f.address, "address", "", "`URL` of a bridge to ask instead of the leader of an installation, e.g. http://127.0.0.1:8080")
	flags.StringVar(&f.output.kind, "live", "", "with --config, `KIND` of output to compare with: kube or dir; may be left out when --kubeconfig or --output-dir says it")
	flags.StringVarP(&f.format, "output", "o", "text", "`FORMAT` to write: text or json")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for the answer")
	return cmd
}

// ask gets the answer from where the flags say.
func (f *explainFlags) ask(ctx context.Context, cmd *cobra.Command, query string) (*explain.Answer, error) {
	if len(f.config) > 0 {
		return f.compute(ctx, cmd, query)
	}
	page := "/debug/explain?q=" + url.QueryEscape(query)
	var body []byte
	var err error
	if f.address != "" {
		body, err = installation.Ask(ctx, strings.TrimSuffix(f.address, "/")+page)
	} else {
		body, err = f.askLeader(ctx, page)
	}
	if err != nil {
		return nil, err
	}
	var answer explain.Answer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("understand the bridge's answer: %w", err)
	}
	return &answer, nil
}

func (f *explainFlags) askLeader(ctx context.Context, page string) ([]byte, error) {
	config, _, err := f.output.kubeConfig()
	if err != nil {
		return nil, err
	}
	c, err := installation.NewClient(config)
	if err != nil {
		return nil, err
	}
	bridge, err := installation.Find(ctx, c, f.namespace, f.name)
	if err != nil {
		return nil, err
	}
	return bridge.AskLeader(ctx, config, page)
}

// compute reads the registries and makes a plan in this process.
func (f *explainFlags) compute(ctx context.Context, cmd *cobra.Command, query string) (*explain.Answer, error) {
	kind, err := f.output.resolve("live")
	if err != nil {
		return nil, err
	}
	if err := f.identify(kind); err != nil {
		return nil, err
	}
	state, err := f.readOnce(ctx, cmd, kind)
	if err != nil {
		return nil, err
	}
	return explain.Explain(state, query), nil
}

func (f *explainFlags) show(cmd *cobra.Command, answer *explain.Answer) error {
	if f.format == "json" {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		if err := enc.Encode(answer); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	} else {
		answer.WriteText(cmd.OutOrStdout())
	}
	if !answer.Found {
		return errNotFound
	}
	return nil
}
