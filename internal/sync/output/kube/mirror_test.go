package kube

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// version is one version of object a.acme with an endpoint; without an address it is not ours.
func version(uid, rv, address string) *item {
	o := outputtest.Object("a.acme", address)
	i := &item{kind: o.Key.Kind, ObjectMeta: metav1.ObjectMeta{Namespace: o.Key.Namespace, Name: o.Key.Name, UID: types.UID(uid), ResourceVersion: rv}}
	if address != "" {
		i.object = o
	}
	return i
}

func (m *mirror) want(t *testing.T, versions ...string) {
	t.Helper()
	var got []string
	for _, l := range m.list() {
		got = append(got, l.UID+"/"+l.ResourceVersion+"/"+l.Object.ServiceEntry.Endpoints[0].Address)
	}
	if len(got) != len(versions) || len(got) > 0 && got[0] != versions[0] {
		t.Errorf("mirror has %v, want %v", got, versions)
	}
}

func TestNewerVersionWins(t *testing.T) {
	m := newMirror()
	m.want(t)
	m.saw(version("u", "9", "10.0.0.1"))
	m.wrote(version("u", "20", "10.0.0.2"), outputtest.Object("a.acme", "10.0.0.2"))
	if m.saw(version("u", "10", "10.0.0.3")) || m.saw(version("u", "20", "10.0.0.2")) {
		t.Error("old news are news")
	}
	m.want(t, "u/20/10.0.0.2")
	if !m.saw(version("u", "100", "10.0.0.4")) {
		t.Error("news are none")
	}
	m.want(t, "u/100/10.0.0.4")
	m.wrote(version("u", "99", "10.0.0.2"), outputtest.Object("a.acme", "10.0.0.2"))
	m.want(t, "u/100/10.0.0.4")
}

func TestSameContentKeepsItsPointer(t *testing.T) {
	m := newMirror()
	m.saw(version("u", "1", "10.0.0.1"))
	before := m.list()
	if m.saw(version("u", "2", "10.0.0.1")) {
		t.Error("a version that says the same, such as one with another status, is news")
	}
	after := m.list()
	if before[0].Object != after[0].Object || after[0].ResourceVersion != "2" {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if again := m.list(); &again[0] != &after[0] {
		t.Error("list makes a new list without any change")
	}
}

func TestDeletedObjectDoesNotComeBack(t *testing.T) {
	m := newMirror()
	m.saw(version("u", "5", "10.0.0.1"))
	m.forget(version("u", "", "").key(), "u")
	m.want(t)
	m.saw(version("u", "6", "10.0.0.1"))
	m.want(t)
	m.saw(version("v", "8", "10.0.0.2"))
	m.gone(version("u", "7", "10.0.0.1"))
	m.want(t, "v/8/10.0.0.2")
	if len(m.deleted) > 0 {
		t.Errorf("still remembered: %v", m.deleted)
	}
	if !m.gone(version("v", "9", "10.0.0.2")) {
		t.Error("a deletion is no news")
	}
	m.want(t)
}

func TestLostLabelDetaches(t *testing.T) {
	m := newMirror()
	m.saw(version("u", "5", "10.0.0.1"))
	if !m.saw(version("u", "6", "")) {
		t.Error("a lost label is no news")
	}
	m.want(t)
}

func TestListingReplaces(t *testing.T) {
	m := newMirror()
	m.saw(version("u", "5", "10.0.0.1"))
	if m.replace(translate.KindServiceEntry, []*item{version("u", "5", "10.0.0.1")}, "5") {
		t.Error("the same listing is news")
	}
	m.wrote(version("w", "30", "10.0.0.9"), outputtest.Object("a.acme", "10.0.0.9"))
	m.replace(translate.KindServiceEntry, nil, "20")
	m.want(t, "w/30/10.0.0.9") // It was written after the listing was made.
	if !m.replace(translate.KindServiceEntry, nil, "31") {
		t.Error("an empty listing is no news")
	}
	m.want(t)
}

// TestWorkloads joins what two watches tell, in any order.
func TestWorkloads(t *testing.T) {
	o := outputtest.Workloads("a.acme", "10.0.0.1", "10.0.0.2")
	list := pieces.Split(o)
	stored := func(n int, rv string) *item {
		p := list[n]
		return &item{
			kind: p.Key.Kind, object: p,
			ObjectMeta: metav1.ObjectMeta{Namespace: p.Key.Namespace, Name: p.Key.Name, UID: types.UID(p.Key.Name), ResourceVersion: rv},
		}
	}
	m := newMirror()
	want := func(endpoints int, entry bool) {
		t.Helper()
		live := m.list()
		if len(live) != 1 || live[0].Object.Key != o.Key || len(live[0].Object.ServiceEntry.Endpoints) != endpoints ||
			entry != (len(live[0].Object.ServiceEntry.Ports) > 0) {
			t.Errorf("mirror has %+v", live)
		}
	}
	m.saw(stored(1, "5"))
	want(1, false)
	m.saw(stored(0, "4"))
	m.saw(stored(2, "6"))
	want(2, true)
	before := m.list()[0]
	m.saw(stored(2, "7"))
	if after := m.list()[0]; after.Object != before.Object || after.ResourceVersion == before.ResourceVersion {
		t.Error("a new version of the same content makes another object, or has the same version")
	}
	m.gone(stored(0, "8"))
	want(2, false)
	m.replace(translate.KindServiceEntry, nil, "9")
	want(2, false)
	m.forget(list[1].Key, types.UID(list[1].Key.Name))
	want(1, false)
	m.replace(translate.KindWorkloadEntry, nil, "10")
	if live := m.list(); len(live)+len(m.workloads)+len(m.joined)+len(m.stale)+len(m.deleted) > 0 {
		t.Errorf("left behind: %+v", m)
	}
}
