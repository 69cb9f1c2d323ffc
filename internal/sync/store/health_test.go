package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

func TestHealthUnknown(t *testing.T) {
	s := newStore(t, zk)
	sink, _ := s.Runs(zk).Begin()
	tell := func(unknown bool, health map[string]model.Health, want map[string]model.Health) {
		t.Helper()
		svc := &model.Service{Ref: ref("u", "a"), HealthUnknown: unknown}
		for _, id := range []string{"a", "b", "c", "d"} {
			if h, ok := health[id]; ok {
				svc.Instances = append(svc.Instances, model.Instance{ID: id, Health: h})
			}
		}
		sink.Upsert(svc)
		got := map[string]model.Health{}
		for _, inst := range s.Snapshot().Sources[0].Services[0].Instances {
			got[inst.ID] = inst.Health
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("health (-want +got):\n%s", diff)
		}
	}
	type healths = map[string]model.Health
	tell(false, healths{"a": model.Healthy, "b": model.Unhealthy}, healths{"a": model.Healthy, "b": model.Unhealthy})
	// Protection begins: neither the failure of a nor the recovery of b counts; c is new.
	tell(true, healths{"a": model.Unhealthy, "b": model.Healthy, "c": model.Unhealthy},
		healths{"a": model.Healthy, "b": model.Unhealthy, "c": model.Healthy})
	signalled(s)
	tell(true, healths{"a": model.Healthy, "b": model.Healthy, "c": model.Healthy},
		healths{"a": model.Healthy, "b": model.Unhealthy, "c": model.Healthy})
	if signalled(s) {
		t.Error("a change of distrusted health was signalled")
	}
	// What is no health check is taken as it is, for known and new ones.
	tell(true, healths{"a": model.Disabled, "b": model.Healthy, "d": model.Maintenance},
		healths{"a": model.Disabled, "b": model.Unhealthy, "d": model.Maintenance})
	tell(false, healths{"a": model.Healthy, "b": model.Healthy}, healths{"a": model.Healthy, "b": model.Healthy})
}
