package licenses

import (
	"fmt"
	"io"
	"strings"
)

const rule = "================================================================================\n"

// WriteNotices writes what must be passed on with a binary: each module with its licences, then each text once, with the modules that
// have it.
func WriteNotices(w io.Writer, modules []Module) error {
	var b strings.Builder
	b.WriteString("registry-bridge contains the third-party software listed here. Below the list are its licences and notices.\n" +
		"The source of each module is at https://pkg.go.dev/MODULE@VERSION, that of the Go standard library (std) at https://go.dev.\n" +
		"The certificates in ca-certificates.crt of the image are from Mozilla's list (MPL-2.0), as kept by golang.org/x/crypto/x509roots.\n\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "%s  %s\n", m, strings.Join(m.Licenses, ", "))
	}
	for _, group := range byText(modules) {
		b.WriteString("\n" + rule)
		for _, owner := range group.owners {
			b.WriteString(owner + "\n")
		}
		b.WriteString(rule + "\n" + strings.TrimRight(group.text, "\n") + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the notices: %w", err)
	}
	return nil
}

// String is the module with its version.
func (m Module) String() string { return strings.TrimSpace(m.Path + " " + m.Version) }

type group struct {
	text   string
	owners []string
}

// byText groups what has the same text, in the order of first use. Half of all modules have the very same Apache licence.
func byText(modules []Module) []*group {
	groups := map[string]*group{}
	var order []*group
	for _, m := range modules {
		for _, t := range m.Texts {
			g := groups[t.Data]
			if g == nil {
				g = &group{text: t.Data}
				groups[t.Data] = g
				order = append(order, g)
			}
			g.owners = append(g.owners, m.String()+": "+t.Name)
		}
	}
	return order
}
