package reason_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// TestAllNamesEveryReason compares the list with the constants of the package.
func TestAllNamesEveryReason(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, d := range parsed.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		for _, s := range decl.Specs {
			spec, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
				lit, ok := spec.Values[0].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s is no literal", spec.Names[0].Name)
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				declared = append(declared, text)
			}
		}
	}
	var listed []string
	for _, info := range reason.All() {
		listed = append(listed, string(info.Reason))
	}
	slices.Sort(declared)
	slices.Sort(listed)
	if diff := cmp.Diff(declared, listed); diff != "" {
		t.Errorf("reasons (-declared +listed):\n%s", diff)
	}
}

func TestAllExplains(t *testing.T) {
	for _, info := range reason.All() {
		for _, text := range []string{info.Summary, info.Advice} {
			if len(text) < 10 || !strings.HasSuffix(text, ".") || strings.ToUpper(text[:1]) != text[:1] {
				t.Errorf("%s: %q is no full sentence", info.Reason, text)
			}
		}
	}
}

// TestConditions: each reason of a condition is explained, and each that is explained for conditions belongs to one.
func TestConditions(t *testing.T) {
	kinds := map[reason.Reason]reason.Kind{}
	for _, info := range reason.All() {
		kinds[info.Reason] = info.Kind
	}
	used := map[reason.Reason]bool{}
	for _, c := range reason.Conditions() {
		if !strings.HasSuffix(c.Summary, ".") {
			t.Errorf("%s: %q is no full sentence", c.Type, c.Summary)
		}
		if len(c.True) == 0 || !c.Abnormal && len(c.False) == 0 {
			t.Errorf("%s has no reason for a status that it must be able to have", c.Type)
		}
		for _, r := range slices.Concat(c.True, c.False, c.Unknown) {
			used[r] = true
			if kinds[r] == "" {
				t.Errorf("%s: the reason %s is not explained", c.Type, r)
			}
		}
	}
	for r, kind := range kinds {
		if kind == reason.State && !used[r] {
			t.Errorf("no condition has the reason %s", r)
		}
	}
}
