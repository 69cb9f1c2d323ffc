package model_test

import (
	"reflect"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// TestEqualSeesEveryField changes each field of a service, an instance and a port, those of later versions included.
func TestEqualSeesEveryField(t *testing.T) {
	base := func() *model.Service {
		return &model.Service{
			Metadata: map[string]string{"k": "v"},
			Instances: []model.Instance{{
				Ports: []model.Port{{}}, Metadata: map[string]string{"k": "v"},
			}},
		}
	}
	if !base().Equal(base()) {
		t.Fatal("equal services differ")
	}
	targets := map[string]func(*model.Service) reflect.Value{
		"Service":  func(s *model.Service) reflect.Value { return reflect.ValueOf(s).Elem() },
		"Ref":      func(s *model.Service) reflect.Value { return reflect.ValueOf(&s.Ref).Elem() },
		"Instance": func(s *model.Service) reflect.Value { return reflect.ValueOf(&s.Instances[0]).Elem() },
		"Locality": func(s *model.Service) reflect.Value { return reflect.ValueOf(&s.Instances[0].Locality).Elem() },
		"Port":     func(s *model.Service) reflect.Value { return reflect.ValueOf(&s.Instances[0].Ports[0]).Elem() },
	}
	for name, target := range targets {
		for i := range target(base()).NumField() {
			changed := base()
			field := target(changed).Field(i)
			fieldName := name + "." + target(changed).Type().Field(i).Name
			switch field.Kind() {
			case reflect.String:
				field.SetString("changed")
			case reflect.Bool:
				field.SetBool(true)
			case reflect.Uint8, reflect.Uint32:
				field.SetUint(7)
			case reflect.Map, reflect.Slice:
				field.SetZero()
			case reflect.Struct:
				continue // A target of its own.
			default:
				t.Fatalf("%s has kind %s, which this test does not change", fieldName, field.Kind())
			}
			if base().Equal(changed) {
				t.Errorf("a change of %s goes unseen", fieldName)
			}
		}
	}
}
