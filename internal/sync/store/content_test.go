package store

import (
	"reflect"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

func TestCompactSharesWhatIsEqual(t *testing.T) {
	svc := &model.Service{}
	for _, version := range []string{"1", "1", "2"} {
		svc.Instances = append(svc.Instances, model.Instance{
			ID: version, Metadata: map[string]string{"version": version}, Ports: []model.Port{{Number: 1}},
		})
	}
	got := compact(svc)
	if !svc.Equal(got) {
		t.Errorf("content changed: %+v", got)
	}
	same := func(i, j int) bool {
		return reflect.ValueOf(got.Instances[i].Metadata).Pointer() == reflect.ValueOf(got.Instances[j].Metadata).Pointer()
	}
	if !same(0, 1) || same(1, 2) {
		t.Error("equal metadata is held twice, or different metadata once")
	}
	if &got.Instances[0].Ports[0] != &got.Instances[2].Ports[0] {
		t.Error("equal ports are held twice")
	}
	if reflect.ValueOf(svc.Instances[0].Metadata).Pointer() == reflect.ValueOf(svc.Instances[1].Metadata).Pointer() {
		t.Error("the service that was handed in was changed")
	}
}
