package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// Translate says which objects should exist when the registries hold snap, the output holds prior and the configuration is opts. Prior
// has each live object of ours, those of orphans too. Only hosts with at least one endpoint get objects: whether a live object that is
// not among them goes is for the planner to say.
//
//	service ─▶ draft ─┐                                   ┌─▶ object
//	service ─▶ draft ─┼─▶ question (who wants the host) ─▶ entry ─┼─▶ object (a shard)
//	          prior ──┘                                   └─▶ …
func Translate(snap model.Snapshot, prior map[Key]Prior, opts *Options) Result {
	return NewTranslator().Translate(snap, prior, opts)
}

// Translator is Translate with a memory: what did not change since the last call is not computed again, and keeps its pointers. The
// result never depends on what the Translator remembers. It is for one goroutine.
type Translator struct {
	snap     model.Snapshot
	prior    map[Key]Prior
	instance string
	regs     []*Registry
	pods     *Pods
	root     string
	foreign  *Foreign
	result   Result

	drafts map[draftsKey][]*draft
	wishes map[claim]*wish
	tables map[Key]*Object
}

// draftsKey names the drafts of one source for one configuration.
type draftsKey struct {
	reg    *Registry
	source model.SourceID
}

// wish is who wants a host, and what became of it.
type wish struct {
	claim
	// drafts are in merge order.
	drafts []*draft
	// entry is nil when the host cannot be published.
	entry *entry
}

// NewTranslator returns a Translator that remembers nothing yet.
func NewTranslator() *Translator { return &Translator{} }

// Translate is the function of the same name. The caller may change prior afterwards, but nothing else that it handed over.
func (t *Translator) Translate(snap model.Snapshot, prior map[Key]Prior, opts *Options) Result {
	moved := opts.Pods.since(t.pods)
	if t.unchanged(snap, prior, opts) && !t.touches(moved) {
		t.pods = opts.Pods
		return t.result
	}
	r := run{
		t: t, prior: prior, opts: opts, moved: moved,
		drafts:     make(map[draftsKey][]*draft, len(t.drafts)),
		wishes:     make(map[claim]*wish, len(t.wishes)),
		registries: make(map[[2]string]*Registry, len(opts.Registries)),
		vips:       newVIPs(prior),
		sharded:    map[claim]bool{},
		foreign:    opts.Foreign, scopes: map[*Registry]*scope{}, twice: map[claim]string{},
	}
	for key := range prior {
		if host := prior[key].Host; host != key.Name {
			r.sharded[claim{key.Namespace, host}] = true
		}
	}
	r.draft(snap)
	r.settleNamespaces()
	r.answer()
	t.result = r.finish()
	t.snap, t.prior, t.instance, t.regs = snap, maps.Clone(prior), opts.Instance, slices.Clone(opts.Registries)
	t.pods, t.root, t.foreign = opts.Pods, opts.Root(), opts.Foreign
	t.drafts, t.wishes = r.drafts, r.wishes
	return t.result
}

func (t *Translator) unchanged(snap model.Snapshot, prior map[Key]Prior, opts *Options) bool {
	if t.drafts == nil || t.root != opts.Root() || t.foreign != opts.Foreign && !t.foreign.Equal(opts.Foreign) || !t.pods.alike(opts.Pods) || t.instance != opts.Instance || !slices.Equal(t.regs, opts.Registries) || len(prior) != len(t.prior) ||
		len(snap.Sources) != len(t.snap.Sources) {
		return false
	}
	for i := range snap.Sources {
		now, then := &snap.Sources[i], &t.snap.Sources[i]
		if now.ID != then.ID || !slices.Equal(now.Services, then.Services) {
			return false
		}
	}
	return t.samePrior(prior, opts.Pods.unknown())
}

// samePrior reports whether the same is live as the last time; withTLS includes what counts only while the pods are not known.
func (t *Translator) samePrior(prior map[Key]Prior, withTLS bool) bool {
	for key := range prior {
		now := prior[key]
		then, ok := t.prior[key]
		if !ok || !now.equal(&then) || withTLS && !now.sameTLS(&then) {
			return false
		}
	}
	return true
}

// touches reports whether a draft has one of the addresses.
func (t *Translator) touches(addresses []string) bool {
	if len(addresses) == 0 {
		return false
	}
	for _, drafts := range t.drafts {
		if slices.ContainsFunc(drafts, func(d *draft) bool { return d.touches(addresses) }) {
			return true
		}
	}
	return false
}

// run is one call of Translate that has something to do.
type run struct {
	t     *Translator
	prior map[Key]Prior
	opts  *Options
	// moved are the addresses of pods that came, went or changed since the last call.
	moved []string

	drafts map[draftsKey][]*draft
	// sorted has the values of wishes, by namespace and host.
	wishes     map[claim]*wish
	sorted     []*wish
	registries map[[2]string]*Registry
	vips       vips
	// sharded are the hosts that are live in more than one object.
	sharded map[claim]bool
	foreign *Foreign
	// scopes has what stands in the way of a Registry's routes, as far as it was asked for; twice are hosts that are live in another
	// namespace, too.
	scopes map[*Registry]*scope
	twice  map[claim]string
	// services has the entries whose calls are routed.
	services map[servicesKey]*entry

	result Result
}

// draft drafts every service of every Registry, in merge order.
func (r *run) draft(snap model.Snapshot) {
	services := make(map[model.SourceID][]*model.Service, len(snap.Sources))
	for i := range snap.Sources {
		services[snap.Sources[i].ID] = snap.Sources[i].Services
	}
	for _, reg := range r.opts.Registries {
		r.registries[[2]string{reg.Namespace, reg.Name}] = reg
		for i := range reg.Sources {
			src := &reg.Sources[i]
			key := draftsKey{reg, src.ID}
			drafts := r.draftAll(sortedByRef(services[src.ID]), r.t.drafts[key], reg, src)
			r.drafts[key] = drafts
			for _, d := range drafts {
				r.want(d)
			}
		}
	}
	slices.SortFunc(r.sorted, func(a, b *wish) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.host, b.host))
	})
}

// draftAll drafts services, which are sorted, and takes the drafts that were made before, in the same order, for those that did not
// change.
func (r *run) draftAll(services []*model.Service, before []*draft, reg *Registry, src *Source) []*draft {
	drafts := make([]*draft, len(services))
	for i, svc := range services {
		for len(before) > 0 && before[0].svc != svc && before[0].svc.Ref.Compare(svc.Ref) < 0 {
			before = before[1:]
		}
		if len(before) > 0 && before[0].svc == svc && !before[0].touches(r.moved) {
			drafts[i] = before[0]
		} else {
			drafts[i] = newDraft(svc, reg, src, r.opts.Pods)
		}
	}
	return drafts
}

// sortedByRef returns services in the order that a Snapshot promises.
func sortedByRef(services []*model.Service) []*model.Service {
	compare := func(a, b *model.Service) int { return a.Ref.Compare(b.Ref) }
	if slices.IsSortedFunc(services, compare) {
		return services
	}
	return slices.SortedFunc(slices.Values(services), compare)
}

func (r *run) want(d *draft) {
	r.result.Diagnostics = append(r.result.Diagnostics, d.diagnostics...)
	if d.host == "" {
		return
	}
	c := claim{d.reg.Namespace, d.host}
	w := r.wishes[c]
	if w == nil {
		w = &wish{claim: c}
		r.wishes[c] = w
		r.sorted = append(r.sorted, w)
	}
	w.drafts = append(w.drafts, d)
}

func (r *run) report(drafts []*draft, f fault) {
	for _, d := range drafts {
		r.result.Diagnostics = append(r.result.Diagnostics, Diagnostic{
			Reason: f.reason, Registry: d.reg.Namespace + "/" + d.reg.Name, Ref: d.svc.Ref, Host: d.host, Detail: f.detail,
		})
	}
}

// settleNamespaces takes a host away from all namespaces but one, because istiod serves only one of them: from those where it is not
// live, and when it is live nowhere, from all but the first in merge order that has something to publish. Where it is live it stays,
// whatever istiod makes of it: taking away the one that is served would be an outage.
func (r *run) settleNamespaces() {
	namespaces := map[string]bool{}
	for _, reg := range r.opts.Registries {
		namespaces[reg.Namespace] = true
	}
	if len(namespaces) < 2 {
		return
	}
	byHost := map[string][]*wish{}
	for _, w := range r.sorted {
		byHost[w.host] = append(byHost[w.host], w)
	}
	for _, w := range r.sorted {
		if rivals := byHost[w.host]; len(rivals) > 1 && rivals[0] == w {
			r.settleHost(rivals)
		}
	}
}

func (r *run) settleHost(rivals []*wish) {
	var keep []*wish
	for _, w := range rivals {
		if r.prior[w.key()].Host == w.host {
			keep = append(keep, w)
		}
	}
	if len(keep) == 0 {
		keep = []*wish{slices.MinFunc(rivals, r.compareRivals)}
	}
	for _, w := range rivals {
		served, other := slices.Contains(keep, w), keep[0].namespace
		if served && len(keep) == 1 {
			continue
		}
		if other == w.namespace {
			other = keep[len(keep)-1].namespace
		}
		r.twice[w.claim] = other
		excluded, wanting := splitExcluded(w.drafts)
		r.report(wanting, fault{reason.HostCollision, fmt.Sprintf("namespace %s publishes the host, too, and istiod serves one of them", other)})
		if !served {
			w.drafts = excluded
		}
	}
}

// compareRivals orders namespaces that want one host: those that have something to publish first, then by merge order.
func (r *run) compareRivals(a, b *wish) int {
	rank := func(w *wish) int {
		_, wanting := splitExcluded(w.drafts)
		for _, d := range wanting {
			if len(d.candidates) > 0 {
				return slices.Index(r.opts.Registries, d.reg)
			}
		}
		return len(r.opts.Registries)
	}
	return cmp.Compare(rank(a), rank(b))
}

func splitExcluded(drafts []*draft) (excluded, wanting []*draft) {
	for _, d := range drafts {
		if d.excluded {
			excluded = append(excluded, d)
		} else {
			wanting = append(wanting, d)
		}
	}
	return excluded, wanting
}

// answer makes an entry of each host, or takes the one that was made before. Whether the calls to a host can be routed depends on the
// hosts whose calls are not.
func (r *run) answer() {
	for _, routed := range []bool{false, true} {
		for _, w := range r.sorted {
			if r.mayRoute(w) == routed {
				r.answerOne(w, routed)
			}
		}
	}
}

func (r *run) answerOne(w *wish, routed bool) {
	q, ok := r.question(w)
	if !ok {
		return
	}
	if routed {
		q.wiring = r.wire(&q)
	}
	var before *entry
	if old := r.t.wishes[w.claim]; old != nil {
		before = old.entry
	}
	if before != nil && before.equal(&q) {
		w.entry = before
		return
	}
	w.entry = newEntry(q)
	if before != nil {
		w.entry.objects, w.entry.rule = before.objects, before.rule
	}
}

// question collects what the entry of a host depends on. It reports false when the object's name is taken by a shard of another host.
func (r *run) question(w *wish) (question, bool) {
	c := w.claim
	q := question{claim: c, drafts: w.drafts, instance: r.opts.Instance}
	prior, live := r.prior[c.key()]
	if live && prior.Host != c.host {
		if prior.Host != "" && strings.HasPrefix(c.host, prior.Host+"-") {
			_, wanting := splitExcluded(q.drafts)
			r.report(wanting, fault{reason.HostCollision, fmt.Sprintf("the object's name is that of a part of %s", prior.Host)})
			return question{}, false
		}
		live = false // Somebody changed the host by hand; nothing of this object is sticky.
	}
	if live {
		q.prior = prior
		q.owner = r.registries[[2]string{c.namespace, prior.Registry}]
	}
	for k := 2; r.sharded[c]; k++ {
		name, ok := r.liveShard(c, k)
		if !ok {
			break
		}
		q.shards = append(q.shards, name)
	}
	if live && r.opts.Pods.unknown() {
		q.lastTLS = r.lastTLS(&q)
	}
	return q, true
}

// liveShard returns the name of the live k-th object of a host.
func (r *run) liveShard(c claim, k int) (string, bool) {
	for _, plain := range []bool{true, false} {
		name := shardName(c.host, k, plain)
		if r.prior[Key{KindServiceEntry, c.namespace, name}].Host == c.host {
			return name, true
		}
	}
	return "", false
}

// finish gives addresses and names to the entries and makes their objects.
func (r *run) finish() Result {
	for _, w := range r.sorted {
		e := w.entry
		if e == nil {
			continue
		}
		r.result.Diagnostics = append(r.result.Diagnostics, e.diagnostics...)
		r.result.Withdrawn = append(r.result.Withdrawn, e.withdrawn...)
		if len(e.shardsOf) == 0 {
			continue
		}
		addresses := r.address(e)
		e.render(addresses, r.names(e))
		r.result.Objects = append(r.result.Objects, e.objects...)
		r.rule(e)
		r.tellAllocated(e)
	}
	r.tables()
	res := r.result
	slices.SortFunc(res.Objects, func(a, b *Object) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(res.Diagnostics, Diagnostic.compare)
	slices.SortFunc(res.Withdrawn, Withdrawal.compare)
	res.Withdrawn = slices.Compact(res.Withdrawn)
	return res
}

// address returns the addresses of a host that needs one: those that are live, also when the configured range is another now, or a
// new one.
func (r *run) address(e *entry) []string {
	if !e.opaque() || e.routed {
		return nil
	}
	if live := r.vips.keep(e.claim.host, e.prior.Addresses); len(live) > 0 {
		return live
	}
	within := e.registry.Output.VIPs
	if vip, ok := r.vips.take(e.claim.host, within); ok {
		return []string{vip}
	}
	detail := "there is no range of addresses for TCP services, so nobody sees it"
	if within.IsValid() {
		detail = fmt.Sprintf("the range %s has no free address, so nobody sees it", within)
	}
	r.report([]*draft{e.first}, fault{reason.TCPWithoutAddress, detail})
	return nil
}

// names returns the names of the objects of an entry.
func (r *run) names(e *entry) []string {
	if len(e.shardsOf) == 1 && len(e.names) == 1 {
		return e.names
	}
	names := append([]string{e.claim.host}, e.shards...)
	for k := len(names) + 1; k <= len(e.shardsOf); k++ {
		plain := shardName(e.claim.host, k, true)
		_, wanted := r.wishes[claim{e.claim.namespace, plain}]
		_, taken := r.prior[Key{KindServiceEntry, e.claim.namespace, plain}]
		names = append(names, shardName(e.claim.host, k, !wanted && !taken))
	}
	return names[:len(e.shardsOf)]
}

func (d Diagnostic) compare(o Diagnostic) int {
	return cmp.Or(
		strings.Compare(d.Registry, o.Registry), d.Ref.Compare(o.Ref), strings.Compare(d.Instance, o.Instance),
		cmp.Compare(d.Reason, o.Reason), strings.Compare(d.Host, o.Host), strings.Compare(d.Detail, o.Detail),
	)
}

func (w Withdrawal) compare(o Withdrawal) int {
	return cmp.Or(
		w.Key.Compare(o.Key), cmp.Compare(w.Source, o.Source), strings.Compare(w.Address, o.Address), cmp.Compare(w.Port, o.Port),
	)
}
