package outputtest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// Table returns a table of Dubbo routes of ours in a namespace of consumers, with a route to each of these interfaces.
func Table(namespace string, interfaces ...string) *translate.Object {
	o := &translate.Object{
		Key:         translate.TableKey(namespace, 20880),
		Labels:      map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: Instance},
		EnvoyFilter: &translate.EnvoyFilter{Port: 20880},
	}
	for _, name := range interfaces {
		o.EnvoyFilter = o.EnvoyFilter.With([]translate.DubboRoute{{
			Interface: name, Version: "1.0.0", Matches: []translate.DubboMatch{
				{Tag: "gray", To: []translate.DubboTarget{{Host: "a.acme", Port: 20880, Subset: "gray"}}},
				{Method: translate.MethodMatch{Prefix: "get"}, To: []translate.DubboTarget{
					{Host: "a.acme", Port: 20880, Weight: 90}, {Host: "b.acme", Port: 20880, Weight: 10},
				}},
				{To: []translate.DubboTarget{{Host: "a.acme", Port: 20880}}},
			},
		}})
	}
	return o
}

// Rule returns a DestinationRule of ours with these subsets.
func Rule(host string, subsets ...string) *translate.Object {
	o := &translate.Object{
		Key:             translate.Key{Kind: translate.KindDestinationRule, Namespace: "registry", Name: host},
		Labels:          map[string]string{translate.LabelManagedBy: translate.ManagedBy, translate.LabelInstance: Instance},
		Annotations:     map[string]string{translate.AnnotationRegistry: "zk"},
		DestinationRule: &translate.DestinationRule{Host: host},
	}
	for _, name := range subsets {
		o.DestinationRule.Subsets = append(o.DestinationRule.Subsets, translate.Subset{
			Name: name, Labels: []translate.Label{{Key: translate.LabelDubboTag, Value: name}},
		})
	}
	return o
}

// routingTests are about what routes calls by what they say.
func routingTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"RoutingComesAndGoes":     (*suite).routingComesAndGoes,
		"RoutingAfterRestart":     (*suite).routingAfterRestart,
		"RoutingSecondWrite":      (*suite).routingSecondWrite,
		"RoutingChangedByHand":    (*suite).routingChanged,
		"RoutingRemovedByHand":    (*suite).routingRemoved,
		"RoutingOfOthers":         (*suite).routingOfOthers,
		"RoutingLostOwnerLabel":   (*suite).routingDetached,
		"RoutingConflict":         (*suite).routingConflict,
		"RoutingBesideItsEntries": (*suite).routingBesideEntries,
	}
}

func (s *suite) routingComesAndGoes() {
	s.must(plan.Create, Rule("a.acme", "gray"))
	s.must(plan.Create, Table("consumers"))
	s.must(plan.Create, Table("others", "com.acme.A"))
	s.wantLive(Rule("a.acme", "gray"), Table("consumers"), Table("others", "com.acme.A"))
	s.must(plan.Update, Rule("a.acme", "blue", "gray"))
	s.must(plan.Update, Table("consumers", "com.acme.A", "com.acme.B"))
	s.wantLive(Rule("a.acme", "blue", "gray"), Table("consumers", "com.acme.A", "com.acme.B"), Table("others", "com.acme.A"))
	s.must(plan.Update, Table("consumers", "com.acme.B"))
	s.must(plan.Update, Rule("a.acme", "gray"))
	s.wantLive(Rule("a.acme", "gray"), Table("consumers", "com.acme.B"), Table("others", "com.acme.A"))
	s.must(plan.Delete, Table("others"))
	s.must(plan.Delete, Rule("a.acme"))
	s.wantLive(Table("consumers", "com.acme.B"))
	for _, key := range []translate.Key{Table("others").Key, Rule("a.acme").Key} {
		if got := s.place.Get(s.T, key); got != nil {
			s.Errorf("%s is still stored: %v", key, got)
		}
	}
}

func (s *suite) routingAfterRestart() {
	s.must(plan.Create, Rule("a.acme", "gray"))
	s.must(plan.Create, Table("consumers", "com.acme.A", "com.acme.B"))
	before := s.live()
	s.out = s.place.Open(s.T)
	if diff := cmp.Diff(before, s.live()); diff != "" {
		s.Errorf("live (-before +after the restart):\n%s", diff)
	}
	s.must(plan.Update, Table("consumers", "com.acme.B"))
	s.wantLive(Rule("a.acme", "gray"), Table("consumers", "com.acme.B"))
}

func (s *suite) routingSecondWrite() {
	for _, build := range []func() *translate.Object{
		func() *translate.Object { return Rule("a.acme", "gray") },
		func() *translate.Object { return Table("consumers", "com.acme.A") },
	} {
		o := build()
		s.must(plan.Create, o)
		before, seen := s.place.Get(s.T, o.Key), s.live()
		s.must(plan.Update, build())
		if diff := cmp.Diff(before, s.place.Get(s.T, o.Key)); diff != "" {
			s.Errorf("the same object was stored differently (-first +second):\n%s", diff)
		}
		if now := s.live(); !plan.Satisfies(now[0].Object, seen[0].Object) {
			s.Errorf("live is %+v", now)
		}
	}
}

func (s *suite) routingChanged() {
	rule, table := Rule("a.acme", "gray"), Table("consumers", "com.acme.A")
	s.must(plan.Create, rule)
	s.must(plan.Create, table)
	patches := func(m map[string]any) map[string]any {
		list, _ := at(m, "spec", "configPatches").([]any)
		first, _ := list[0].(map[string]any)
		return first
	}
	for name, edit := range map[string]struct {
		of     *translate.Object
		change func(m map[string]any)
	}{
		"another host":     {rule, func(m map[string]any) { set(m, "b.acme", "spec", "host") }},
		"other subsets":    {rule, func(m map[string]any) { set(m, []any{map[string]any{"name": "x"}}, "spec", "subsets") }},
		"another listener": {table, func(m map[string]any) { set(patches(m), int64(1234), "match", "listener", "portNumber") }},
		"other proxies": {table, func(m map[string]any) {
			set(m, map[string]any{"labels": map[string]any{"app": "x"}}, "spec", "workloadSelector")
		}},
		"another filter": {table, func(m map[string]any) { set(patches(m), "envoy.filters.network.echo", "patch", "value", "name") }},
	} {
		m := s.place.Get(s.T, edit.of.Key)
		edit.change(m)
		s.place.Put(s.T, edit.of.Key, m)
		for _, l := range s.live() {
			if l.Object.Key == edit.of.Key && plan.Satisfies(l.Object, edit.of) {
				s.Errorf("%s does not show: %+v", name, l.Object)
			}
		}
		s.must(plan.Update, edit.of)
		s.wantLive(rule, table)
	}
	// What does not change what it does stays.
	m := s.place.Get(s.T, rule.Key)
	set(m, map[string]any{"connectionPool": map[string]any{"tcp": map[string]any{"maxConnections": int64(7)}}}, "spec", "trafficPolicy")
	set(m, "me", "metadata", "labels", "owner")
	s.place.Put(s.T, rule.Key, m)
	s.wantLive(rule, table)
	rule = Rule("a.acme", "blue")
	s.must(plan.Update, rule)
	s.wantLive(rule, table)
	m = s.place.Get(s.T, rule.Key)
	if at(m, "spec", "trafficPolicy") == nil || at(m, "metadata", "labels", "owner") != "me" {
		s.Errorf("what somebody added is gone: %v", m)
	}
}

func (s *suite) routingRemoved() {
	table := Table("consumers", "com.acme.A")
	s.must(plan.Create, table)
	seen := s.live()[0]
	s.place.Remove(s.T, table.Key)
	s.wantErr(s.writeChange(plan.Change{Op: plan.Update, Key: table.Key, Object: Table("consumers"), Live: &seen}), output.ErrConflict)
	s.wantLive()
	s.must(plan.Create, table)
	s.wantLive(table)
}

func (s *suite) routingOfOthers() {
	for _, o := range []*translate.Object{Table("consumers", "com.acme.A"), Rule("a.acme", "gray")} {
		s.must(plan.Create, o)
		m := s.place.Get(s.T, o.Key)
		set(m, "other", "metadata", "labels", translate.LabelInstance)
		s.place.Put(s.T, o.Key, m)
		before := s.place.Get(s.T, o.Key)
		s.wantLive()
		s.wantErr(s.write(plan.Create, o), output.ErrRefused)
		if diff := cmp.Diff(before, s.place.Get(s.T, o.Key)); diff != "" {
			s.Errorf("somebody else's object was touched:\n%s", diff)
		}
	}
}

func (s *suite) routingDetached() {
	for _, o := range []*translate.Object{Table("consumers", "com.acme.A"), Rule("a.acme", "gray")} {
		s.must(plan.Create, o)
		m := s.place.Get(s.T, o.Key)
		labels, _ := at(m, "metadata", "labels").(map[string]any)
		delete(labels, translate.LabelInstance)
		s.place.Put(s.T, o.Key, m)
		s.wantLive()
	}
}

func (s *suite) routingConflict() {
	for _, o := range []*translate.Object{Table("consumers", "com.acme.A"), Rule("a.acme", "gray")} {
		s.must(plan.Create, o)
		seen := s.live()[0]
		m := s.place.Get(s.T, o.Key)
		set(m, "me", "metadata", "labels", "owner")
		s.place.Put(s.T, o.Key, m)
		s.wantErr(s.writeChange(plan.Change{Op: plan.Delete, Key: o.Key, Live: &seen}), output.ErrConflict)
		if s.place.Get(s.T, o.Key) == nil {
			s.Errorf("%s changed since the plan, and was deleted", o.Key)
		}
		s.wantErr(s.writeChange(plan.Change{Op: plan.Create, Key: o.Key, Object: o}), output.ErrConflict)
		s.live()
		s.must(plan.Delete, o)
		s.wantLive()
	}
}

// routingBesideEntries has objects of every kind under one name.
func (s *suite) routingBesideEntries() {
	table := Table("registry", "com.acme.A")
	name := table.Key.Name
	s.must(plan.Create, Workloads(name, "10.0.0.1"))
	s.must(plan.Create, Rule(name, "gray"))
	s.must(plan.Create, table)
	s.wantLive(Rule(name, "gray"), table, Workloads(name, "10.0.0.1"))
	s.must(plan.Delete, table)
	s.wantLive(Rule(name, "gray"), Workloads(name, "10.0.0.1"))
	s.must(plan.Delete, Workloads(name))
	s.wantLive(Rule(name, "gray"))
}
