package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/engine"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// notifier is an output that hears of changes.
type notifier struct {
	*outputtest.Memory
	changed chan struct{}
}

func (n notifier) Changed() <-chan struct{} { return n.changed }

func TestHandEditsAreRepairedAtOnceWhenTheOutputTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		h := newHarness(t)
		h.engine = engine.New(engine.Deps{
			Store: h.store, Output: notifier{h.memory, changed}, Translate: translateNaively, Compute: computeNaively,
		})
		h.start()
		h.register("a", "10.0.0.1")
		h.sink.Synced()
		h.after(150 * time.Millisecond)
		h.memory.Remove(t, translate.Key{Kind: translate.KindServiceEntry, Namespace: "registry", Name: "a"})
		h.after(time.Second)
		h.wantEndpoints(map[string][]string{})
		changed <- struct{}{}
		h.after(150 * time.Millisecond)
		h.wantEndpoints(map[string][]string{"a": {"10.0.0.1:20881"}})
	})
}
