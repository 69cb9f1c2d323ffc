package translate_test

import (
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// TestUnchangedTablesKeepTheirPointers, as everything that did not change does; a change of instances is none of a table.
func TestUnchangedTablesKeepTheirPointers(t *testing.T) {
	snap, opts := population(200, 2)
	opts.Registries[0].Dubbo = translate.Dubbo{Envoy: true, Mesh: true, Routes: func(string) bool { return true }}
	translator := translate.NewTranslator()
	first := translator.Translate(snap, nil, opts)
	prior := applied(first)
	same := map[translate.Key]*translate.Object{}
	for _, o := range translator.Translate(snap, prior, opts).Objects {
		same[o.Key] = o
	}
	moved := 0
	for _, o := range translator.Translate(withChanged(snap, 10, 1), prior, opts).Objects {
		switch {
		case same[o.Key] == o:
		case o.ServiceEntry != nil:
			moved++
		default:
			t.Errorf("%s is another one", o.Key)
		}
	}
	if moved != 20 {
		t.Errorf("%d entries changed, want 20", moved)
	}
}
