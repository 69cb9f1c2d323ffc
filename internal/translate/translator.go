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
	result   Result

	drafts  map[draftKey]*draft
	entries map[claim]*entry
}

// draftKey is what a draft depends on.
type draftKey struct {
	svc *model.Service
	reg *Registry
}

// NewTranslator returns a Translator that remembers nothing yet.
func NewTranslator() *Translator { return &Translator{} }

// Translate is the function of the same name. The caller may change prior afterwards, but nothing else that it handed over.
func (t *Translator) Translate(snap model.Snapshot, prior map[Key]Prior, opts *Options) Result {
	if t.unchanged(snap, prior, opts) {
		return t.result
	}
	r := run{
		t: t, prior: prior, opts: opts,
		drafts:     make(map[draftKey]*draft, len(t.drafts)),
		wanted:     make(map[claim][]*draft, len(t.entries)),
		entries:    make(map[claim]*entry, len(t.entries)),
		registries: make(map[[2]string]*Registry, len(opts.Registries)),
		vips:       newVIPs(prior),
	}
	r.draft(snap)
	r.settleNamespaces()
	r.answer()
	t.result = r.finish()
	t.snap, t.prior, t.instance, t.regs = snap, maps.Clone(prior), opts.Instance, slices.Clone(opts.Registries)
	t.drafts, t.entries = r.drafts, r.entries
	return t.result
}

func (t *Translator) unchanged(snap model.Snapshot, prior map[Key]Prior, opts *Options) bool {
	if t.drafts == nil || t.instance != opts.Instance || !slices.Equal(t.regs, opts.Registries) || len(prior) != len(t.prior) ||
		len(snap.Sources) != len(t.snap.Sources) {
		return false
	}
	for i := range snap.Sources {
		now, then := &snap.Sources[i], &t.snap.Sources[i]
		if now.ID != then.ID || !slices.Equal(now.Services, then.Services) {
			return false
		}
	}
	for key := range prior {
		now := prior[key]
		then, ok := t.prior[key]
		if !ok || !now.equal(&then) {
			return false
		}
	}
	return true
}

// run is one call of Translate that has something to do.
type run struct {
	t     *Translator
	prior map[Key]Prior
	opts  *Options

	drafts map[draftKey]*draft
	// wanted are the drafts that want each host, in merge order; claims are its keys.
	wanted     map[claim][]*draft
	claims     []claim
	entries    map[claim]*entry
	registries map[[2]string]*Registry
	vips       vips

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
			for _, svc := range sortedByRef(services[src.ID]) {
				key := draftKey{svc, reg}
				d := r.t.drafts[key]
				if d == nil {
					d = newDraft(svc, reg, src)
				}
				r.drafts[key] = d
				r.want(d)
			}
		}
	}
	slices.SortFunc(r.claims, func(a, b claim) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.host, b.host))
	})
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
	drafts, ok := r.wanted[c]
	if !ok {
		r.claims = append(r.claims, c)
	}
	r.wanted[c] = append(drafts, d)
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
	byHost := map[string][]claim{}
	for _, c := range r.claims {
		byHost[c.host] = append(byHost[c.host], c)
	}
	for _, c := range r.claims {
		if rivals := byHost[c.host]; len(rivals) > 1 && rivals[0] == c {
			r.settleHost(rivals)
		}
	}
}

func (r *run) settleHost(rivals []claim) {
	var live []claim
	for _, c := range rivals {
		if r.prior[c.key()].Host == c.host {
			live = append(live, c)
		}
	}
	keep := live
	if len(live) == 0 {
		keep = []claim{slices.MinFunc(rivals, r.compareRivals)}
	}
	for _, c := range rivals {
		served, other := slices.Contains(keep, c), keep[0].namespace
		if served && len(keep) == 1 {
			continue
		}
		if other == c.namespace {
			other = keep[len(keep)-1].namespace
		}
		excluded, wanting := splitExcluded(r.wanted[c])
		r.report(wanting, fault{reason.HostCollision, fmt.Sprintf("namespace %s publishes the host, too, and istiod serves one of them", other)})
		if !served {
			r.wanted[c] = excluded
		}
	}
}

// compareRivals orders namespaces that want one host: those that have something to publish first, then by merge order.
func (r *run) compareRivals(a, b claim) int {
	rank := func(c claim) int {
		_, wanting := splitExcluded(r.wanted[c])
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

// answer makes an entry of each host, or takes the one that was made before.
func (r *run) answer() {
	for _, c := range r.claims {
		q, ok := r.question(c)
		if !ok {
			continue
		}
		e := r.t.entries[c]
		if e == nil || !e.equal(&q) {
			before := e
			e = newEntry(q)
			if before != nil {
				e.objects = before.objects
			}
		}
		r.entries[c] = e
	}
}

// question collects what the entry of a host depends on. It reports false when the object's name is taken by a shard of another host.
func (r *run) question(c claim) (question, bool) {
	q := question{claim: c, drafts: r.wanted[c], instance: r.opts.Instance}
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
	for k := 2; ; k++ {
		name, ok := r.liveShard(c, k)
		if !ok {
			return q, true
		}
		q.shards = append(q.shards, name)
	}
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
	for _, c := range r.claims {
		e := r.entries[c]
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
	}
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
	if !e.opaque() {
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
	names := append([]string{e.claim.host}, e.shards...)
	for k := len(names) + 1; k <= len(e.shardsOf); k++ {
		plain := shardName(e.claim.host, k, true)
		_, wanted := r.wanted[claim{e.claim.namespace, plain}]
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
