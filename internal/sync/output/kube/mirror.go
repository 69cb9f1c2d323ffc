package kube

import (
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/pieces"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// item is what is kept of one object of the API server. Of the metadata it has name, namespace, uid and resource version.
type item struct {
	metav1.ObjectMeta
	kind translate.Kind
	// object is what is ours in an object that has our owner labels, nil for anything else.
	object *translate.Object
	// claim is what an object of somebody else claims.
	claim claim
	// facts are what it means to services that are routed by what calls say.
	facts facts
}

func (i *item) key() translate.Key {
	return translate.Key{Kind: i.kind, Namespace: i.Namespace, Name: i.Name}
}

func (i *item) name() types.NamespacedName {
	return types.NamespacedName{Namespace: i.Namespace, Name: i.Name}
}

// mirror holds our objects as the API server has them, and joins ServiceEntries with their WorkloadEntries. It may be used from any
// goroutine.
type mirror struct {
	mu      sync.Mutex
	entries map[translate.Key]plan.Live
	// workloads are the keys of the pieces of each object that has any, WorkloadEntries and parts of tables, joined what was made of them;
	// those in stale have changed since.
	workloads map[translate.Key]map[translate.Key]bool
	joined    map[translate.Key]plan.Live
	stale     map[translate.Key]bool
	// deleted are the kinds of objects that we have deleted and of which the watch may still tell older news.
	deleted map[types.UID]translate.Kind
	// sorted is what list returned last, nil when something changed since.
	sorted []plan.Live
}

func newMirror() *mirror {
	return &mirror{
		entries: map[translate.Key]plan.Live{}, deleted: map[types.UID]translate.Kind{},
		workloads: map[translate.Key]map[translate.Key]bool{}, joined: map[translate.Key]plan.Live{}, stale: map[translate.Key]bool{},
	}
}

// list returns everything, sorted by key: the same slice as long as nothing changes.
func (m *mirror) list() []plan.Live {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sorted != nil {
		return m.sorted
	}
	m.sorted = make([]plan.Live, 0, len(m.entries))
	for key, live := range m.entries {
		if pieces.Owner(live.Object) == key && m.workloads[key] == nil {
			m.sorted = append(m.sorted, live)
		}
	}
	for owner := range m.workloads {
		m.sorted = append(m.sorted, m.join(owner))
	}
	slices.SortFunc(m.sorted, pieces.Compare)
	return m.sorted
}

// join returns an object that has WorkloadEntries.
func (m *mirror) join(owner translate.Key) plan.Live {
	last, known := m.joined[owner]
	if known && !m.stale[owner] {
		return last
	}
	delete(m.stale, owner)
	var before *plan.Live
	if known {
		before = &last
	}
	m.joined[owner] = pieces.Join(m.stored(owner), before)
	return m.joined[owner]
}

// stored returns the pieces of an object, sorted by key.
func (m *mirror) stored(owner translate.Key) []plan.Live {
	list := make([]plan.Live, 0, 1+len(m.workloads[owner]))
	if entry, ok := m.entries[owner]; ok {
		list = append(list, entry)
	}
	for key := range m.workloads[owner] {
		list = append(list, m.entries[key])
	}
	slices.SortFunc(list, pieces.Compare)
	return list
}

// settle takes what a write says that is live of an object in several pieces, which list then returns, unless it is out of date already.
func (m *mirror) settle(live *plan.Live) *plan.Live {
	if live == nil || live.Stored == nil {
		return live
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if owner := live.Object.Key; slices.Equal(m.stored(owner), *live.Stored) {
		m.joined[owner] = *live
		delete(m.stale, owner)
		m.sorted = nil
	}
	return live
}

// set stores a version of a piece.
func (m *mirror) set(key translate.Key, live plan.Live) {
	owner := pieces.Owner(live.Object)
	if last, known := m.entries[key]; known && pieces.Owner(last.Object) != owner {
		m.drop(key)
	}
	m.entries[key] = live
	m.sorted = nil
	if owner != key {
		if m.workloads[owner] == nil {
			m.workloads[owner] = map[translate.Key]bool{}
		}
		m.workloads[owner][key] = true
	}
	if m.workloads[owner] != nil {
		m.stale[owner] = true
	}
}

// drop forgets a piece.
func (m *mirror) drop(key translate.Key) {
	owner := pieces.Owner(m.entries[key].Object)
	delete(m.entries, key)
	delete(m.workloads[owner], key)
	m.stale[owner] = true
	if len(m.workloads[owner]) == 0 {
		delete(m.workloads, owner)
		delete(m.joined, owner)
		delete(m.stale, owner)
	}
	m.sorted = nil
}

// saw takes a version of an object and reports whether it says something new. An object without our labels is not ours any more.
func (m *mirror) saw(i *item) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.take(i)
}

func (m *mirror) take(i *item) (news bool) {
	last, known := m.entries[i.key()]
	if m.deleted[i.UID] != "" || known && !newer(i.ResourceVersion, last.ResourceVersion) {
		return false
	}
	if i.object == nil {
		return m.remove(i.key())
	}
	m.share(i.object)
	m.put(plan.Live{Object: i.object, ResourceVersion: i.ResourceVersion, UID: string(i.UID)})
	return !known || m.entries[i.key()].Object != last.Object
}

// share lets a WorkloadEntry that has just been read have what equals that of another one of its host in common with it: most are alike.
func (m *mirror) share(o *translate.Object) {
	if o.WorkloadEntry == nil {
		return
	}
	for key := range m.workloads[pieces.Owner(o)] {
		like := m.entries[key].Object
		if maps.Equal(o.Labels, like.Labels) {
			o.Labels = like.Labels
		}
		e, f := &o.WorkloadEntry.Endpoint, &like.WorkloadEntry.Endpoint
		if slices.Equal(e.Ports, f.Ports) {
			e.Ports = f.Ports
		}
		if slices.Equal(e.Labels, f.Labels) {
			e.Labels = f.Labels
		}
		o.WorkloadEntry.Host = like.WorkloadEntry.Host
		return
	}
}

// put stores a version of an object. One that says the same as the last keeps its pointer.
func (m *mirror) put(live plan.Live) {
	key := live.Object.Key
	if last, known := m.entries[key]; known && last.UID == live.UID && equal(last.Object, live.Object) {
		live.Object = last.Object
	}
	m.set(key, live)
}

// wrote takes the answer to a write of ours, and returns what is live now.
func (m *mirror) wrote(i *item, object *translate.Object) *plan.Live {
	m.mu.Lock()
	defer m.mu.Unlock()
	live := plan.Live{Object: object, ResourceVersion: i.ResourceVersion, UID: string(i.UID)}
	last, known := m.entries[i.key()]
	if !known || !newer(last.ResourceVersion, i.ResourceVersion) {
		// What the watch told of this write has another pointer.
		m.set(i.key(), live)
	}
	return &live
}

// forget notes that an object is gone, of which the watch need not know yet.
func (m *mirror) forget(key translate.Key, uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, known := m.entries[key]; known && last.UID == string(uid) {
		m.deleted[uid] = key.Kind
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
	m.drop(key)
	return true
}

// replace takes a listing of everything of a kind, as it was at a version, and reports whether it says something new.
func (m *mirror) replace(kind translate.Kind, items []*item, version string) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	listed := make(map[translate.Key]bool, len(items))
	uids := make(map[types.UID]bool, len(items))
	for _, i := range items {
		listed[i.key()], uids[i.UID] = true, true
		news = m.take(i) || news
	}
	for key, live := range m.entries {
		if key.Kind == kind && !listed[key] && !newer(live.ResourceVersion, version) {
			news = m.remove(key) || news
		}
	}
	for uid, of := range m.deleted {
		if of == kind && !uids[uid] {
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
