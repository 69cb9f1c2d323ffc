package pieces

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// tableOf is a table with n routes.
func tableOf(n int) *translate.Object {
	f := &translate.EnvoyFilter{Port: 20880}
	for i := range n {
		name := fmt.Sprintf("com.acme.shop%05d.OrderService", i)
		f.Routes = append(f.Routes, translate.DubboRoute{Interface: name, Matches: []translate.DubboMatch{
			{To: []translate.DubboTarget{{Host: strings.ToLower(name), Port: 20880}}},
		}})
	}
	return &translate.Object{Key: translate.TableKey("shop", 20880), Labels: map[string]string{"a": "b"}, EnvoyFilter: f}
}

// writeTable carries out a change against what is stored, and returns what was written, in order. It fails at the n-th write.
func writeTable(t *testing.T, store map[translate.Key]plan.Live, c plan.Change, failAt int) []string {
	t.Helper()
	var log []string
	Write(c, func(c plan.Change) (*plan.Live, error) {
		if len(log) == failAt {
			return nil, errors.New("refused")
		}
		log = append(log, c.Op.String()+" "+strings.TrimPrefix(c.Key.Name, "registry-bridge-dubbo-20880"))
		if c.Op == plan.Delete {
			delete(store, c.Key)
		} else {
			store[c.Key] = plan.Live{Object: c.Object}
		}
		live, is := store[c.Key]
		base, based := store[translate.TableKey("shop", 20880)]
		_, rest := store[translate.Key{Kind: translate.KindEnvoyFilter, Namespace: "shop", Name: "registry-bridge-dubbo-20880-rest"}]
		if based && base.Object.EnvoyFilter.Part == translate.TableBase && !rest {
			t.Errorf("after %s there is a table without its last route", log)
		}
		if !is {
			return nil, nil
		}
		return &live, nil
	}, func() bool { return true })
	return log
}

func liveTable(store map[translate.Key]plan.Live) *plan.Live {
	list := make([]plan.Live, 0, len(store))
	for _, l := range store {
		list = append(list, l)
	}
	var j Joiner
	all := j.Join(list)
	if len(all) != 1 {
		return nil
	}
	return &all[0]
}

func TestLargeTables(t *testing.T) {
	small, large := tableOf(10), tableOf(5000)
	if got := Split(small); len(got) != 1 || got[0] != small {
		t.Errorf("a small table has %d parts", len(got))
	}
	parts := Split(large)
	if len(parts) < 5 {
		t.Fatalf("%d parts", len(parts))
	}
	store := map[translate.Key]plan.Live{}
	log := writeTable(t, store, plan.Change{Op: plan.Create, Key: large.Key, Object: large}, -1)
	if log[len(log)-1] != "create " {
		t.Errorf("the base is not written last: %s", log)
	}
	live := liveTable(store)
	if diff := cmp.Diff(large, live.Object); diff != "" {
		t.Fatalf("read back: %s", diff)
	}
	shrunk := writeTable(t, store, plan.Change{Op: plan.Update, Key: small.Key, Object: small, Live: live}, -1)
	if shrunk[0] != "update " || len(store) != 1 {
		t.Errorf("%s, %d left", shrunk, len(store))
	}
	grown := writeTable(t, store, plan.Change{Op: plan.Update, Key: large.Key, Object: large, Live: liveTable(store)}, -1)
	if grown[len(grown)-1] != "update " {
		t.Errorf("the base is not written last: %s", grown)
	}
	gone := writeTable(t, store, plan.Change{Op: plan.Delete, Key: large.Key, Live: liveTable(store)}, -1)
	if gone[0] != "delete " || len(store) != 0 {
		t.Errorf("%s, %d left", gone, len(store))
	}
}

// TestLargeTablesThatFail are repaired by the next change, whatever was written.
func TestLargeTablesThatFail(t *testing.T) {
	large := tableOf(5000)
	for failAt := range len(Split(large)) {
		store := map[translate.Key]plan.Live{}
		writeTable(t, store, plan.Change{Op: plan.Create, Key: large.Key, Object: large}, failAt)
		c := plan.Change{Op: plan.Create, Key: large.Key, Object: large}
		if live := liveTable(store); live != nil {
			if plan.Satisfies(live.Object, large) {
				t.Errorf("%d writes make it whole", failAt)
			}
			c.Op, c.Live = plan.Update, live
		}
		writeTable(t, store, c, -1)
		if live := liveTable(store); live == nil || !plan.Satisfies(live.Object, large) {
			t.Errorf("it is not whole after it failed at write %d", failAt)
		}
	}
}
