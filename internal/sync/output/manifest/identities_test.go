package manifest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// TestIdentities writes an object over what is there, and looks whose names are left.
func TestIdentities(t *testing.T) {
	for _, c := range []struct {
		name                      string
		there                     []string
		byHand                    bool
		ours, wantThere, wantOurs []string
	}{
		{"none", nil, true, nil, nil, nil},
		{"ours", nil, true, []string{"a", "b"}, []string{"a", "b"}, []string{"a", "b"}},
		{"ours change", []string{"a"}, false, []string{"b"}, []string{"b"}, []string{"b"}},
		{"ours go", []string{"a"}, false, nil, nil, nil},
		{"somebody else's stay", []string{"a"}, true, nil, []string{"a"}, nil},
		{"ours replace somebody else's", []string{"a"}, true, []string{"b"}, []string{"b"}, []string{"b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := object()
			o.ServiceEntry.SubjectAltNames = c.there
			there, err := Map(o)
			if err != nil {
				t.Fatal(err)
			}
			if c.byHand {
				delete(child(child(there, "metadata"), "annotations"), translate.AnnotationIdentities)
			}
			o.ServiceEntry.SubjectAltNames = c.ours
			got, err := Overlay(there, o)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			list, _ := child(got, "spec")["subjectAltNames"].([]any)
			for _, name := range list {
				names = append(names, fmt.Sprint(name))
			}
			parsed, err := Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if ours := parsed.ServiceEntry.SubjectAltNames; !slices.Equal(names, c.wantThere) || !slices.Equal(ours, c.wantOurs) {
				t.Errorf("there are %q, ours are %q", names, ours)
			}
			if _, says := child(child(got, "metadata"), "annotations")[translate.AnnotationIdentities]; says != (c.ours != nil) {
				t.Errorf("the annotation is there: %v", says)
			}
			if names := Render(o).Spec.SubjectAltNames; !slices.Equal(names, c.ours) {
				t.Errorf("typed: %q", names)
			}
		})
	}
}
