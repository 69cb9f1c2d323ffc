package explain

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// shownEndpoints is how many endpoints of a host the text lists; JSON has more.
const shownEndpoints = 20

// WriteText writes the answer for a person. An error of w is for its owner to notice.
func (a *Answer) WriteText(w io.Writer) {
	p := printer{w}
	if !a.Found {
		p.unknown(a)
	}
	for i := range a.Subjects {
		if i > 0 {
			p.line("")
		}
		p.subject(&a.Subjects[i])
	}
	if a.Left > 0 {
		p.line("\nand %d more; ask for one of them", a.Left)
	}
	if len(a.Unread) > 0 {
		p.line("\nNot everything is known: %s.", strings.Join(a.Unread, "; "))
	}
}

type printer struct{ w io.Writer }

func (p printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p printer) unknown(a *Answer) {
	p.line("%s: unknown", a.Query)
	p.line("  No registry has it, and nothing of that name or address is published.")
	if len(a.Unselected) > 0 {
		p.line("  Left out by services.include or services.exclude of Registry %s; some registries are not asked for what is left out.", strings.Join(a.Unselected, ", "))
	}
	if len(a.Similar) > 0 {
		p.line("  Similar: %s", strings.Join(a.Similar, ", "))
	}
}

func (p printer) subject(s *Subject) {
	name := s.Host
	if name == "" && len(s.Records) > 0 {
		name = cmp.Or(s.Records[0].Service, s.Records[0].Unit)
	}
	p.line("%s (namespace %s): %s", name, s.Namespace, because(s.Outcome, s.Reason, s.Detail))
	if s.Advice != "" {
		p.line("  do        %s", s.Advice)
	}
	for _, r := range s.Records {
		p.record(&r)
	}
	if s.Owner != "" {
		p.line("  record    none; what is published is of %s", s.Owner)
	}
	object := ""
	for _, f := range s.Fields {
		if f.Object != object {
			object = f.Object
			p.line("  object    %s%s", object, map[bool]string{false: " (not written)"}[s.Live])
		}
		p.line("  field     %s: %s", f.Path, f.Value)
	}
	p.endpoints(s)
	for _, n := range s.Notes {
		p.line("  note      %s: %s", n.Reason, n.Detail)
		p.line("            %s", n.Advice)
	}
	if len(s.Routing) > 0 {
		p.line("  If a VirtualService has no effect:")
	}
	for _, text := range s.Routing {
		p.line("            - %s", text)
	}
}

func (p printer) record(r *Record) {
	name := r.Service
	if name == "" {
		name = "(not read)"
	}
	if r.Unit != "" && r.Unit != r.Service {
		name += " of unit " + r.Unit
	}
	p.line("  record    %s, %s, in source %s of Registry %s (%s)", name, plural(r.Instances, "instance"), r.Source, r.Registry, r.State)
	for _, rule := range r.Rules {
		p.line("  rule      %s sets %s: %s", rule.Rule, rule.Field, rule.Value)
	}
}

func (p printer) endpoints(s *Subject) {
	for i := range s.Endpoints {
		if i == shownEndpoints {
			p.line("  endpoint  and %d more", len(s.Endpoints)-i+s.Left)
			return
		}
		e := &s.Endpoints[i]
		p.line("  endpoint  %s  %s", e.Address, because(e.Outcome, e.Reason, e.Detail))
		switch {
		case e.Hold != "" && e.Until != nil:
			p.line("            hold %s, until %s", e.Hold, stamp(*e.Until))
		case e.Hold != "":
			p.line("            hold %s, until something ends it", e.Hold)
		}
		if e.Release != "" {
			p.line("            registry-bridge release %s %s", e.Release, e.Hold)
		}
		if e.Advice != "" && e.Reason != s.Reason && (i == 0 || s.Endpoints[i-1].Reason != e.Reason) {
			p.line("            %s", e.Advice)
		}
	}
}

// because joins an outcome with its reason.
func because(outcome Outcome, why reason.Reason, detail string) string {
	text := string(outcome)
	if why != "" {
		text += ", " + string(why)
	}
	if detail != "" {
		text += ": " + detail
	}
	return text
}
