package cluster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller/cluster"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/status"
)

func noon() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// well are the facts of a Registry with which everything is well.
func well() *cluster.Facts {
	r := &v1alpha1.Registry{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "zk", Generation: 7}}
	r.Spec.Source.ZooKeeper = &v1alpha1.ZooKeeper{}
	inUse := r.DeepCopy()
	v1alpha1.Default(inUse)
	return &cluster.Facts{
		Registry: cluster.Registry{Seen: r, InUse: inUse},
		Report: &status.Registry{
			Namespace: "shop", Name: "zk", Published: 5, Held: 1, Dropped: map[reason.Reason]int{reason.AddressNotIP: 2},
			Sources: []status.Source{{ID: "shop.zk.1", Scope: "iface", State: "Synced", Since: noon(), Services: 3, Instances: 6}},
		},
		Served: "v1", Published: true, Now: noon(),
	}
}

// render renders conditions as "Type=Status Reason: message".
func render(conditions []metav1.Condition) map[string]string {
	out := map[string]string{}
	for _, c := range conditions {
		out[c.Type] = fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
	}
	return out
}

func TestDescribeWhatIsWell(t *testing.T) {
	got := cluster.Describe(well())
	want := map[string]string{
		"Ready":     "True InUse: The configuration is valid, and objects are written by it.",
		"Connected": "True Connected: Every source could be reached when it last tried.",
		"Synced":    "True Synced: Every source has read everything, and is watching.",
		"Holding":   "False NothingHeld: Nothing is held back.",
	}
	if diff := cmp.Diff(want, render(got.Conditions)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(v1alpha1.Summary{Services: 3, Instances: 6, Published: 5, Held: 1, Dropped: 2}, got.Summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if got.ObservedGeneration != 7 || got.Conditions[0].ObservedGeneration != 7 || got.SourceType != "ZooKeeper" {
		t.Errorf("got %+v", got)
	}
	if got.Naming == nil || got.Naming.Version != v1alpha1.NamingVersion {
		t.Errorf("naming is %+v, want it pinned", got.Naming)
	}
}

func TestDescribeConditions(t *testing.T) {
	mistake := field.ErrorList{field.Required(field.NewPath("spec", "source"), "set one")}
	tests := []struct {
		name      string
		edit      func(f *cluster.Facts)
		condition string
		want      string
	}{
		{"not seen yet", func(f *cluster.Facts) { f.Report = nil }, "Ready", "Unknown Pending"},
		{"not seen yet", func(f *cluster.Facts) { f.Report = nil }, "Connected", "Unknown Pending"},
		{"not seen yet", func(f *cluster.Facts) { f.Report = nil }, "Synced", "Unknown Pending"},
		{"not seen yet", func(f *cluster.Facts) { f.Report = nil }, "Holding", "Unknown Pending"},
		{
			"mistakes", func(f *cluster.Facts) { f.Registry.Mistakes = mistake }, "Ready",
			"False Invalid: spec.source: Required value: set one; the last configuration without mistakes stays in use",
		},
		{
			"mistakes from the start",
			func(f *cluster.Facts) { f.Registry.Mistakes, f.Registry.InUse, f.Report = mistake, nil, nil }, "Ready",
			"False Invalid: spec.source: Required value: set one",
		},
		{
			"no Istio", func(f *cluster.Facts) { f.Missing, f.Report = true, nil }, "Ready",
			"False IstioMissing: The API server does not know ServiceEntries",
		},
		{"API server", func(f *cluster.Facts) { f.Output = &status.Trouble{Error: "429"} }, "Ready", "False OutputUnavailable: 429"},
		{
			"refused", func(f *cluster.Facts) { f.Refused = []string{"a", "b", "c", "d", "e"} }, "Ready",
			"False WritesRefused: The API server refuses a; b; c, and 2 more",
		},
		{
			"frozen", func(f *cluster.Facts) { f.Freeze = &cluster.Freeze{Reason: "incident 7", Since: noon()} }, "Ready",
			"True Frozen: Nothing is written since 2026-11-01T12:00:00Z: incident 7. End it with registry-bridge unfreeze.",
		},
		{"observed", func(f *cluster.Facts) { f.Registry.InUse.Spec.Mode = v1alpha1.ModeObserve }, "Ready", "True Observed: "},
		{"paused", func(f *cluster.Facts) { f.Registry.InUse.Spec.Mode = v1alpha1.ModePaused }, "Ready", "True Paused: "},
		{"old Istio", func(f *cluster.Facts) { f.Served = "v1beta1" }, "Ready", "True IstioOutdated: ServiceEntries are written as v1beta1"},
		{
			"refused credentials",
			func(f *cluster.Facts) {
				f.Report.Sources[0].Error, f.Report.Sources[0].Cause = "ACL not found", "Unauthorized"
			},
			"Connected", "False Unauthorized: iface: ACL not found",
		},
		{
			"failing", func(f *cluster.Facts) { f.Report.Sources[0].State = "Failing" }, "Synced",
			"False Failing: Cannot read iface; what is published stays",
		},
		{"listing", func(f *cluster.Facts) { f.Report.Sources[0].State = "Listing" }, "Synced", "False Unsynced: Not everything of iface"},
		{"listing", func(f *cluster.Facts) { f.Report.Sources[0].State = "Listing" }, "Connected", "Unknown Pending"},
		{
			"a unit", func(f *cluster.Facts) { f.Report.Sources[0].FailingUnits = map[string]string{"web": "denied"} }, "Synced",
			"False Failing: Cannot read a part of the registry, whose endpoints stay: web: denied",
		},
		{
			"one guard", func(f *cluster.Facts) {
				f.Holds = []status.Hold{{ID: "h-1", Guard: reason.MassRemoval, Detail: "40 of 50 went."}}
			},
			"Holding", "True MassRemoval: 40 of 50 went.",
		},
		{
			"two guards", func(f *cluster.Facts) {
				f.Holds = []status.Hold{{Guard: reason.MassRemoval}, {Guard: reason.EmptyService}}
			},
			"Holding", "True SeveralGuards: EmptyService, MassRemoval hold something back; status.holds says what.",
		},
		{
			"to confirm",
			func(f *cluster.Facts) {
				f.Holds = []status.Hold{{ID: "h-2", Guard: reason.ConfirmRemoval, Detail: "It would delete 20 of 30."}}
			},
			"ConfirmRemoval", "True ConfirmRemoval: It would delete 20 of 30. registry-bridge release shop/zk h-2",
		},
		{"conflict", func(f *cluster.Facts) { f.Taken = []string{"a.acme"} }, "HostConflict", "True HostConflict: Somebody else has a.acme;"},
		{"pods", func(f *cluster.Facts) { f.Workloads = cluster.Workloads{Found: true, Example: "cart-1"} }, "WorkloadsInOutputNamespace", "True WorkloadsFound: "},
		{"no pods", func(f *cluster.Facts) { f.Workloads.Denied = true }, "WorkloadsInOutputNamespace", "Unknown PodAccessDenied: "},
		{
			"hint", func(f *cluster.Facts) {
				f.Report.Sources[0].Hints = []status.Hint{{Reason: reason.ConnectionLimit, Detail: "use HTTPS"}}
			}, "Hint", "True ConnectionLimit: iface: use HTTPS",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.condition, func(t *testing.T) {
			f := well()
			tt.edit(f)
			conditions := cluster.Describe(f).Conditions
			if got := render(conditions)[tt.condition]; !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			for _, c := range conditions {
				documented(t, c)
			}
		})
	}
}

// documented checks a condition against what is documented of its type.
func documented(t *testing.T, c metav1.Condition) {
	t.Helper()
	for _, known := range reason.Conditions() {
		if known.Type != c.Type {
			continue
		}
		reasons := map[metav1.ConditionStatus][]reason.Reason{
			metav1.ConditionTrue: known.True, metav1.ConditionFalse: known.False, metav1.ConditionUnknown: known.Unknown,
		}[c.Status]
		for _, r := range reasons {
			if string(r) == c.Reason {
				return
			}
		}
		t.Errorf("%s is %s with the reason %s, which is not documented", c.Type, c.Status, c.Reason)
		return
	}
	t.Errorf("the condition %s is not documented", c.Type)
}

func TestDescribeKeepsTheTimeOfWhatStays(t *testing.T) {
	f := well()
	first := cluster.Describe(f)
	f.Registry.Seen.Status = first
	f.Now = noon().Add(time.Hour)
	f.Report.Sources[0].Error = "refused"
	second := cluster.Describe(f)
	for i, c := range second.Conditions {
		want := noon()
		if c.Type == "Connected" {
			want = noon().Add(time.Hour)
		}
		if !c.LastTransitionTime.Time.Equal(want) {
			t.Errorf("%s changed at %v, want %v", second.Conditions[i].Type, c.LastTransitionTime, want)
		}
	}
}

func TestDescribeNaming(t *testing.T) {
	f := well()
	f.Registry.InUse.Spec.Hosts.Suffix = "acme"
	f.Registry.Seen.Status.Naming = &v1alpha1.NamingStatus{Version: 1, Suffix: "before"}
	if got := cluster.Describe(f).Naming; got == nil || got.Suffix != "before" {
		t.Errorf("naming is %+v, want that of the first publication", got)
	}
	f.Published = false
	if got := cluster.Describe(f).Naming; got != nil {
		t.Errorf("naming is %+v with nothing live, want none", got)
	}
	f.Report = nil
	if got := cluster.Describe(f).Naming; got == nil || got.Suffix != "before" {
		t.Errorf("naming is %+v before it is known what is live, want the last", got)
	}
	f = well()
	f.Registry.InUse.Spec.Hosts.Suffix = "acme"
	if got := cluster.Describe(f).Naming; got == nil || got.Suffix != "acme" {
		t.Errorf("naming is %+v, want the suffix that is in use", got)
	}
}
