package cluster

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
)

// Docker drops all packets that the machine forwards and that are not its own. A pod that calls a Service is such a packet: it leaves
// the bridge of the pods with the address of the Service, and comes back with that of a pod.

// passMark is the comment of the rule that lets packets of pods pass, by which it is found again.
const passMark = "registry-bridge-lab"

// passHandle is the handle of that rule in what nft lists.
var passHandle = regexp.MustCompile(`comment "` + passMark + `" # handle (\d+)`)

// forwardChain returns iptables' chain of forwarded packets with the handles of its rules, empty when there is none.
func (h *host) forwardChain(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, h.programs.NFT, "--handle", "list", "chain", "ip", "filter", "FORWARD").Output()
	if err != nil {
		return "" // Nobody uses iptables here.
	}
	return string(output)
}

// letPass lets packets of pods pass where forwarded packets are dropped.
func (h *host) letPass(ctx context.Context) error {
	if !strings.Contains(h.forwardChain(ctx), "policy drop") {
		return nil
	}
	return run(ctx, h.programs.NFT, "insert rule ip filter FORWARD iifname "+podBridge+` accept comment "`+passMark+`"`)
}

// dropAgain undoes letPass.
func (h *host) dropAgain(ctx context.Context) error {
	for _, match := range passHandle.FindAllStringSubmatch(h.forwardChain(ctx), -1) {
		if err := run(ctx, h.programs.NFT, "delete rule ip filter FORWARD handle "+match[1]); err != nil {
			return err
		}
	}
	return nil
}
