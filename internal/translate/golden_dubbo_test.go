package translate_test

import (
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// dubboIn is data plane Envoy of a Registry. Without namespaces, the mesh is meant.
type dubboIn struct {
	Namespaces []string              `json:"namespaces,omitempty"`
	Listed     []string              `json:"listed,omitempty"`
	Observe    bool                  `json:"observe,omitempty"`
	ByTag      bool                  `json:"byTag,omitempty"`
	Rules      []translate.DubboRule `json:"rules,omitempty"`
}

func (in *dubboIn) compile(t *testing.T) translate.Dubbo {
	t.Helper()
	d := translate.Dubbo{Envoy: true, Mesh: len(in.Namespaces) == 0, Namespaces: in.Namespaces, ByTag: in.ByTag, Rules: in.Rules}
	switch {
	case in.Observe:
	case in.Listed != nil:
		d.Routes = func(original string) bool {
			for _, pattern := range in.Listed {
				if glob(t, pattern, original) {
					return true
				}
			}
			return false
		}
	default:
		d.Routes = func(string) bool { return true }
	}
	return d
}
