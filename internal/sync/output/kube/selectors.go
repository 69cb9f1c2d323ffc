package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// selectors are what Services and ServiceEntries of others select in each namespace. It may be used from any goroutine.
type selectors struct {
	// more tells that begin has something to say.
	more chan struct{}

	mu          sync.Mutex
	byNamespace map[string]map[selecting]translate.Selector
	// told is what list has returned last for each namespace that it was asked for.
	told map[string][]translate.Selector
	// listed is closed when the Services of a namespace have been listed; waiting are the namespaces whose watch has not begun.
	listed  map[string]chan struct{}
	waiting []string
}

// selecting names an object that selects; its feed tells its kind.
type selecting struct {
	feed feedName
	name string
}

func newSelectors() *selectors {
	return &selectors{
		more: make(chan struct{}, 1), listed: map[string]chan struct{}{},
		byNamespace: map[string]map[selecting]translate.Selector{}, told: map[string][]translate.Selector{},
	}
}

// Selectors implements output.Selecting. The first time for a namespace it begins to watch the Services there.
func (k *Kube) Selectors(ctx context.Context, namespace string) ([]translate.Selector, error) {
	timer := time.NewTimer(firstSync)
	defer timer.Stop()
	select {
	case <-k.selectors.watched(namespace):
		return k.selectors.list(namespace), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		k.mu.Lock()
		defer k.mu.Unlock()
		err := k.troubles[feedSelectors]
		if err == nil {
			err = errNotSynced
		}
		return nil, fmt.Errorf("%w: %w", output.ErrOutput, err)
	}
}

// watched returns what is closed when the Services of a namespace have been listed, and has them watched.
func (s *selectors) watched(namespace string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed[namespace] == nil {
		s.listed[namespace] = make(chan struct{})
		s.waiting = append(s.waiting, namespace)
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
	return s.listed[namespace]
}

// begin returns the namespaces whose watch should begin.
func (s *selectors) begin() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	namespaces := s.waiting
	s.waiting = nil
	return namespaces
}

// complete notes that the Services of a namespace have been listed.
func (s *selectors) complete(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.listed[namespace]:
	default:
		close(s.listed[namespace])
	}
}

// list returns what is selected in a namespace, sorted: the same slice as long as nothing changes.
func (s *selectors) list(namespace string) []translate.Selector {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, known := s.told[namespace]
	if !known {
		list = slices.SortedFunc(maps.Values(s.byNamespace[namespace]), translate.Selector.Compare)
		s.told[namespace] = list
	}
	return list
}

// set takes what an object selects, nothing when it is gone. It reports whether that is news to whoever asked.
func (s *selectors) set(feed feedName, i *item) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replace(feed, i)
}

func (s *selectors) replace(feed feedName, i *item) (news bool) {
	key, now := selecting{feed, i.Name}, translate.Selector{Owner: ownerOf(feed, i), Labels: i.selector}
	last, known := s.byNamespace[i.Namespace][key]
	switch {
	case len(now.Labels) == 0 && !known, known && now.Compare(last) == 0:
		return false
	case len(now.Labels) == 0:
		delete(s.byNamespace[i.Namespace], key)
	default:
		if s.byNamespace[i.Namespace] == nil {
			s.byNamespace[i.Namespace] = map[selecting]translate.Selector{}
		}
		s.byNamespace[i.Namespace][key] = now
	}
	_, news = s.told[i.Namespace]
	delete(s.told, i.Namespace)
	return news
}

func ownerOf(feed feedName, i *item) string {
	kind := kindService
	if feed == feedOthers {
		kind = translate.KindServiceEntry
	}
	return string(kind) + " " + i.Namespace + "/" + i.Name
}

// reset takes everything that a feed tells of one namespace, or of all when that is empty, and reports what set does.
func (s *selectors) reset(feed feedName, only string, items []*item) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	listed := map[string]map[string]bool{}
	for _, i := range items {
		if listed[i.Namespace] == nil {
			listed[i.Namespace] = map[string]bool{}
		}
		listed[i.Namespace][i.Name] = true
		news = s.replace(feed, i) || news
	}
	for namespace, all := range s.byNamespace {
		for key := range all {
			if key.feed != feed || only != "" && namespace != only || listed[namespace][key.name] {
				continue
			}
			delete(all, key)
			_, asked := s.told[namespace]
			delete(s.told, namespace)
			news = news || asked
		}
	}
	return news
}
