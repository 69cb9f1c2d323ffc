package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// writeManifests writes the objects as they would be once the plan was carried out, those of Registries that are only observed too.
func writeManifests(w io.Writer, state *engine.State) error {
	objects := map[translate.Key]*translate.Object{}
	for _, l := range state.Live {
		objects[l.Object.Key] = l.Object
	}
	for _, c := range slices.Concat(state.Plan.Apply, state.Plan.Delete, state.Plan.Suppressed) {
		if c.Op == plan.Delete {
			delete(objects, c.Key)
		} else {
			objects[c.Key] = c.Object
		}
	}
	var documents [][]byte
	for _, key := range slices.SortedFunc(maps.Keys(objects), translate.Key.Compare) {
		for _, piece := range pieces.Split(objects[key]) {
			text, err := manifest.YAML(piece)
			if err != nil {
				return err
			}
			documents = append(documents, text)
		}
	}
	if _, err := w.Write(bytes.Join(documents, []byte("---\n"))); err != nil {
		return fmt.Errorf("write the manifests: %w", err)
	}
	return nil
}

// change is one change as it is shown.
type change struct {
	Op     string `json:"op"`
	Object string `json:"object"`
	Host   string `json:"host"`
	// Added, Removed and Changed are endpoints as address:port; of an EnvoyFilter routes as group/interface:version, and of a
	// DestinationRule subsets.
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
	// Fields says that something beside the endpoints changes: ports, addresses, labels, the export.
	Fields bool `json:"fields,omitempty"`
	// Suppressed says that it is not written, because its Registry is observed or paused, or everything is frozen.
	Suppressed bool `json:"suppressed,omitempty"`
	// Refused says why the output would refuse it.
	Refused string `json:"refused,omitempty"`

	before, after int
	// part is the word for what is counted.
	part string
}

// describe compares the endpoints of what is live with those of what is planned.
func describe(c plan.Change, suppressed bool) change {
	out := change{Op: c.Op.String(), Object: c.Key.String(), Suppressed: suppressed}
	var old *translate.Object
	planned := c.Object
	if c.Live != nil {
		old = c.Live.Object
	}
	before, after := parts(old), parts(planned)
	out.before, out.after = len(before), len(after)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		was, known := before[name]
		switch {
		case !known:
			out.Added = append(out.Added, name)
		case was != after[name]:
			out.Changed = append(out.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[name]; !stays {
			out.Removed = append(out.Removed, name)
		}
	}
	out.Host = cmp.Or(host(planned), host(old))
	out.part = map[translate.Kind]string{translate.KindEnvoyFilter: "route", translate.KindDestinationRule: "subset"}[c.Key.Kind]
	out.part = cmp.Or(out.part, "endpoint")
	out.Fields = old != nil && planned != nil && len(out.Added)+len(out.Removed)+len(out.Changed) == 0
	return out
}

// host returns what an object is about.
func host(o *translate.Object) string {
	switch {
	case o == nil:
		return ""
	case o.EnvoyFilter != nil:
		return fmt.Sprintf("port %d", o.EnvoyFilter.Port)
	case o.DestinationRule != nil:
		return o.DestinationRule.Host
	}
	return o.ServiceEntry.Host
}

// parts returns what an object consists of, by name: a text that is the same for the same part.
func parts(o *translate.Object) map[string]string {
	out := map[string]string{}
	switch {
	case o == nil:
	case o.EnvoyFilter != nil:
		for _, r := range o.EnvoyFilter.Routes {
			name := r.Interface
			if r.Group != "" {
				name = r.Group + "/" + name
			}
			if r.Version != "" {
				name += ":" + r.Version
			}
			out[name] = fmt.Sprint(r)
		}
	case o.DestinationRule != nil:
		for _, s := range o.DestinationRule.Subsets {
			out[s.Name] = fmt.Sprint(s)
		}
	default:
		return endpoints(o.ServiceEntry)
	}
	return out
}

// endpoints indexes endpoints by address:port.
func endpoints(s *translate.ServiceEntry) map[string]string {
	out := map[string]string{}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		address := e.Address
		if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
			address = "[" + address + "]"
		}
		out[address+":"+strconv.FormatUint(uint64(e.Port()), 10)] = fmt.Sprint(*e)
	}
	return out
}

// changes describes everything that the plan has, in its order.
func changes(state *engine.State) []change {
	out, p := []change{}, &state.Plan
	for _, c := range slices.Concat(p.Apply, p.Delete) {
		shown := describe(c, false)
		if f, refused := state.WriteErrors[c.Key]; refused {
			shown.Refused = f.Err.Error()
		}
		out = append(out, shown)
	}
	for _, c := range p.Suppressed {
		out = append(out, describe(c, true))
	}
	return out
}

// hold is a held removal as it is shown, without an id: the running bridge gives other ids than a plan.
type hold struct {
	Guard    reason.Reason `json:"guard"`
	Object   string        `json:"object"`
	Host     string        `json:"host"`
	Endpoint string        `json:"endpoint,omitempty"`
	Detail   string        `json:"detail"`
	Until    *time.Time    `json:"until,omitempty"`
}

func writePlanJSON(w io.Writer, state *engine.State) error {
	holds := []hold{}
	for i := range state.Plan.Held {
		h := &state.Plan.Held[i]
		shown := hold{Guard: h.Guard, Object: h.Key.String(), Host: h.Host, Endpoint: h.Endpoint, Detail: h.Detail}
		if !h.Until.IsZero() {
			shown.Until = &h.Until
		}
		holds = append(holds, shown)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Changes     []change              `json:"changes"`
		Holds       []hold                `json:"holds"`
		Diagnostics map[reason.Reason]int `json:"diagnostics"`
	}{changes(state), holds, diagnostics(state)})
}

// diagnostics counts by reason.
func diagnostics(state *engine.State) map[reason.Reason]int {
	counts := map[reason.Reason]int{}
	for i := range state.Result.Diagnostics {
		counts[state.Result.Diagnostics[i].Reason]++
	}
	return counts
}

// maxShownEndpoints bounds the endpoints that are listed of one change.
const maxShownEndpoints = 20

// The colours of a terminal.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	reset  = "\x1b[0m"
)

// textWriter writes the plan for a person.
type textWriter struct {
	w      io.Writer
	colour bool
}

func (t textWriter) line(colour, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if t.colour && colour != "" {
		text = colour + text + reset
	}
	fmt.Fprintln(t.w, text)
}

func writePlanText(w io.Writer, state *engine.State, colour bool) {
	t := textWriter{w, colour}
	for _, c := range changes(state) {
		t.change(&c)
	}
	for i := range state.Plan.Held {
		h := &state.Plan.Held[i]
		until := "until it is resolved"
		if !h.Until.IsZero() {
			until = "until " + h.Until.UTC().Format(time.RFC3339)
		}
		what := h.Endpoint
		if what == "" {
			what = "the object"
		}
		t.line(yellow, "! %s  %s  %s held by %s %s: %s", h.Key, h.Host, what, h.Guard, until, h.Detail)
	}
	t.summary(state)
}

func (t textWriter) change(c *change) {
	sign, colour := "~", yellow
	count := fmt.Sprintf("%d -> %d %ss", c.before, c.after, c.part)
	switch c.Op {
	case plan.Create.String():
		sign, colour, count = "+", green, plural(c.after, c.part)
	case plan.Delete.String():
		sign, colour, count = "-", red, plural(c.before, c.part)
	}
	if c.Fields {
		count += ", other fields change"
	}
	if c.Suppressed {
		count += " (not written: observed, paused or frozen)"
	}
	if c.Refused != "" {
		colour = red
		count += " (not written: " + c.Refused + ")"
	}
	t.line(colour, "%s %s  %s  %s", sign, c.Object, c.Host, count)
	t.endpoints(green, "+", c.Added)
	t.endpoints(yellow, "~", c.Changed)
	t.endpoints(red, "-", c.Removed)
}

func (t textWriter) endpoints(colour, sign string, list []string) {
	for i, e := range list {
		if i == maxShownEndpoints {
			t.line(colour, "    %s … and %d more", sign, len(list)-i)
			return
		}
		t.line(colour, "    %s %s", sign, e)
	}
}

func (t textWriter) summary(state *engine.State) {
	p := &state.Plan
	counts := map[plan.Op]int{}
	for _, c := range p.Apply {
		counts[c.Op]++
	}
	parts := []string{
		fmt.Sprintf("%d to create, %d to update, %d to delete", counts[plan.Create], counts[plan.Update]+counts[plan.Remove], len(p.Delete)),
	}
	if n := len(p.Suppressed); n > 0 {
		parts = append(parts, fmt.Sprintf("%d planned but not written", n))
	}
	if n := len(p.Held); n > 0 {
		parts = append(parts, fmt.Sprintf("%d held", n))
	}
	t.line("", "%s.", strings.Join(parts, "; "))
	found := diagnostics(state)
	for _, r := range slices.Sorted(maps.Keys(found)) {
		t.line("", "%s: %d", r, found[r])
	}
}

func plural(n int, word string) string { return count(n, word, word+"s") }
