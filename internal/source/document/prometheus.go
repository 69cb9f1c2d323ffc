package document

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// groups reads Prometheus' list of groups. Groups with the same service add up. A group whose service cannot be told is an error as a
// whole: it may be part of any.
func (r Reader) groups(data []byte) (*listing, error) {
	list, err := elements(data, "the document")
	if err != nil {
		return nil, err
	}
	label := cmp.Or(r.ServiceLabel, DefaultServiceLabel)
	l := r.newListing()
	for i, raw := range list {
		what := "group " + strconv.Itoa(i)
		group, err := members(raw, what)
		if err != nil {
			return nil, err
		}
		var labels map[string]string
		if group["labels"] != nil {
			if err := json.Unmarshal(group["labels"], &labels); err != nil {
				return nil, fmt.Errorf("labels of %s: %w", what, problem(err))
			}
		}
		name := labels[label]
		if name == "" {
			return nil, fmt.Errorf("%s has no label %q, which names the service", what, label)
		}
		targets, err := elements(group["targets"], "the list of targets of "+what)
		if err != nil {
			l.fail(name, err)
		}
		svc := l.service(name)
		for _, target := range targets {
			svc.Instances = append(svc.Instances, targetInstance(target, labels))
		}
	}
	return l, nil
}

// targetInstance makes an instance of a target. All targets of a group share their labels.
func targetInstance(raw json.RawMessage, labels map[string]string) model.Instance {
	out := model.Instance{Weight: 1, Metadata: labels, Problem: source.MetadataProblem(labels)}
	target, ok := text(raw)
	if !ok {
		out.Problem = reason.Problem(reason.MalformedName, "a target is no text")
		return out
	}
	host, port, err := net.SplitHostPort(target)
	number, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		out.Address, out.Problem = target, reason.Problem(reason.MalformedName, "the target is no host:port")
		return out
	case host == "":
		out.Problem = reason.Problem(reason.AddressMissing, "the target has no host")
	case portErr != nil || number == 0:
		out.Problem = reason.Problem(reason.PortOutOfRange, fmt.Sprintf("port %.20q is not between 1 and 65535", port))
	}
	out.Address, out.Ports = host, []model.Port{{Number: uint32(number)}}
	return out
}
