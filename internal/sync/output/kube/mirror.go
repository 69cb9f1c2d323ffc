package kube

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// item is what is kept of one object of the API server. Of the metadata it has name, namespace, uid and resource version.
type item struct {
	metav1.ObjectMeta
	// object is what is ours in a ServiceEntry that has our owner labels, nil for anything else.
	object *translate.Object
	// claim is what an object of somebody else claims.
	claim claim
}

func (i *item) key() translate.Key {
	return translate.Key{Kind: translate.KindServiceEntry, Namespace: i.Namespace, Name: i.Name}
}

func (i *item) name() types.NamespacedName {
	return types.NamespacedName{Namespace: i.Namespace, Name: i.Name}
}

// mirror holds our objects as the API server has them. It may be used from any goroutine.
type mirror struct {
	mu      sync.Mutex
	entries map[translate.Key]plan.Live
	// deleted are objects that we have deleted and of which the watch may still tell older news.
	deleted map[types.UID]bool
	// sorted is what list returned last, nil when something changed since.
	sorted []plan.Live
}

func newMirror() *mirror {
	return &mirror{entries: map[translate.Key]plan.Live{}, deleted: map[types.UID]bool{}}
}

// list returns everything, sorted by key: the same slice as long as nothing changes.
func (m *mirror) list() []plan.Live {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sorted == nil {
		m.sorted = make([]plan.Live, 0, len(m.entries))
		for _, live := range m.entries {
			m.sorted = append(m.sorted, live)
		}
		slices.SortFunc(m.sorted, func(a, b plan.Live) int { return a.Object.Key.Compare(b.Object.Key) })
	}
	return m.sorted
}

// saw takes a version of an object and reports whether it says something new. An object without our labels is not ours any more.
func (m *mirror) saw(i *item) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.take(i)
}

func (m *mirror) take(i *item) (news bool) {
	last, known := m.entries[i.key()]
	if m.deleted[i.UID] || known && !newer(i.ResourceVersion, last.ResourceVersion) {
		return false
	}
	if i.object == nil {
		return m.remove(i.key())
	}
	m.put(plan.Live{Object: i.object, ResourceVersion: i.ResourceVersion, UID: string(i.UID)})
	return !known || m.entries[i.key()].Object != last.Object
}

// put stores a version of an object. One that says the same as the last keeps its pointer.
func (m *mirror) put(live plan.Live) {
	key := live.Object.Key
	if last, known := m.entries[key]; known && last.UID == live.UID && equal(last.Object, live.Object) {
		live.Object = last.Object
	}
	m.entries[key] = live
	m.sorted = nil
}

// wrote takes the answer to a write of ours, and returns what is live now.
func (m *mirror) wrote(i *item, object *translate.Object) *plan.Live {
	m.mu.Lock()
	defer m.mu.Unlock()
	live := plan.Live{Object: object, ResourceVersion: i.ResourceVersion, UID: string(i.UID)}
	last, known := m.entries[i.key()]
	if !known || !newer(last.ResourceVersion, i.ResourceVersion) {
		// What the watch told of this write has another pointer.
		m.entries[i.key()] = live
		m.sorted = nil
	}
	return &live
}

// forget notes that an object is gone, of which the watch need not know yet.
func (m *mirror) forget(key translate.Key, uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, known := m.entries[key]; known && last.UID == string(uid) {
		m.deleted[uid] = true
		m.remove(key)
	}
}

// gone takes the news of the watch that an object is deleted or has lost our instance label, and reports whether it is new.
func (m *mirror) gone(i *item) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.deleted, i.UID)
	last, known := m.entries[i.key()]
	if !known || newer(last.ResourceVersion, i.ResourceVersion) {
		return false
	}
	return m.remove(i.key())
}

func (m *mirror) remove(key translate.Key) (news bool) {
	if _, known := m.entries[key]; !known {
		return false
	}
	delete(m.entries, key)
	m.sorted = nil
	return true
}

// replace takes a listing of everything, as it was at a version, and reports whether it says something new.
func (m *mirror) replace(items []*item, version string) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	listed := make(map[translate.Key]bool, len(items))
	uids := make(map[types.UID]bool, len(items))
	for _, i := range items {
		listed[i.key()], uids[i.UID] = true, true
		news = m.take(i) || news
	}
	for key, live := range m.entries {
		if !listed[key] && !newer(live.ResourceVersion, version) {
			news = m.remove(key) || news
		}
	}
	for uid := range m.deleted {
		if !uids[uid] {
			delete(m.deleted, uid)
		}
	}
	return news
}

// newer reports whether version a is newer than b. What cannot be compared counts as newer.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}
