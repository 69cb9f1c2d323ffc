package v1alpha1_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

func TestStatusIsBounded(t *testing.T) {
	r := minimal()
	v1alpha1.Default(r)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var holds []v1alpha1.HoldStatus
	var sources []v1alpha1.SourceStatus
	for i := range 10_000 {
		since := metav1.NewTime(start.Add(-time.Duration(i) * time.Second))
		holds = append(holds, v1alpha1.HoldStatus{ID: fmt.Sprintf("h-%08x", i), Guard: string(reason.MassRemoval), Endpoints: 1, Since: &since, Until: &since})
		sources = append(sources, v1alpha1.SourceStatus{Name: fmt.Sprintf("s-%d", i), State: v1alpha1.SourceFailing, Message: strings.Repeat("é\xff", 5000)})
	}
	holds[9_000].Since = nil // It comes last.
	r.Status.SetHolds(holds)
	r.Status.SetSources(sources)
	if r.Status.HoldCount != 10_000 {
		t.Errorf("got a count of %d", r.Status.HoldCount)
	}
	if first := r.Status.Holds[0].ID; first != "h-0000270f" {
		t.Errorf("the first hold is %s, want the oldest", first)
	}
	if errs := compiled(t).Validate(t.Context(), object(t, r), nil); len(errs) > 0 {
		t.Errorf("the schema refuses the status: %v", errs)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 300_000 {
		t.Errorf("the object has %d bytes", len(data))
	}
}

// TestStatusListsAreFull: what Go keeps is as much as the schema has room for.
func TestStatusListsAreFull(t *testing.T) {
	var s v1alpha1.RegistryStatus
	s.SetHolds(make([]v1alpha1.HoldStatus, 1000))
	s.SetSources(slices.Repeat([]v1alpha1.SourceStatus{{Message: strings.Repeat("x", 5000)}}, 1000))
	got := []int{len(s.Holds), len(s.Sources), len([]rune(s.Sources[0].Message))}
	want := []int{
		int(*property(t, "status", "holds").MaxItems), int(*property(t, "status", "sources").MaxItems),
		int(*property(t, "status", "sources", "message").MaxLength),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("holds, sources, characters (-schema +Go)\n%s", diff)
	}
}

func TestStatusIsNotWrittenWithTheSpec(t *testing.T) {
	if _, there := object(t, minimal())["status"]; there {
		t.Error("a Registry without a status is rendered with one")
	}
}

// TestConditionTypes: the conditions of this package are those that package reason documents.
func TestConditionTypes(t *testing.T) {
	want := []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionConnected, v1alpha1.ConditionSynced, v1alpha1.ConditionHolding,
		v1alpha1.ConditionConfirmRemoval, v1alpha1.ConditionHostConflict, v1alpha1.ConditionWorkloadsInOutputNamespace,
		v1alpha1.ConditionHint,
	}
	var got []string
	for _, c := range reason.Conditions() {
		got = append(got, c.Type)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-api +reason)\n%s", diff)
	}
}
