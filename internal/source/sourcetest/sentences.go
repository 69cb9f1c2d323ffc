package sourcetest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

// Services that the tests use.
const (
	orders  = "com.acme.Orders"
	stock   = "com.acme.Stock"
	billing = "com.acme.Billing"
)

// sentences is the suite, in the order of the design.
func sentences() []conformance {
	return []conformance{
		{"01 names everything, then Synced, once", "", namesEverything},
		{"02 an empty registry syncs", "", emptySyncs},
		{"03 an instance comes, changes and goes", "", instanceComesAndGoes},
		{"04 the last instance goes", "", lastInstanceGoes},
		{"05 a service goes", ServiceDelete, serviceGoes},
		{"06 health", Health, healthChanges},
		{"07 weight survives", Weight, weightSurvives},
		{"07 metadata survives", Metadata, metadataSurvives},
		{"07 locality survives", Locality, localitySurvives},
		{"08 IPv6", IPv6, addresses("2001:db8::1", "::ffff:10.0.0.1")},
		{"08 host names", HostNames, addresses("orders.acme.example", "localhost")},
		{"08 several ports", SeveralPorts, severalPorts},
		{"09 a malformed instance is a problem", BadInstances, badInstance},
		{"09 a malformed unit is skipped", BadUnits, badUnit},
		{"10 a failing first listing is an error", FailingLists, failingFirstListing},
		{"10 a failing later listing removes nothing", FailingLists, failingLaterListing},
		{"10 a failing unit is skipped and recovers", FailingUnits, failingUnit},
		{"11 an outage removes nothing", Outages, outage},
		{"12 a restart removes nothing", Restarts, restart},
		{"12 a registry that lost its data", LossOfData, lossOfData},
		{"13 a burst of 1,000 changes converges", "", burst},
		{"14 cancel while watching", "", cancelWatching},
		{"14 cancel while out of reach", "", cancelUnreachable},
		{"15 two runs name the same", "", twoRuns},
		{"16 bad credentials are a classed error without secrets", Credentials, badCredentials},
		{"17 the constructor does nothing", "", constructorIsIdle},
	}
}

// has says that the named service has exactly the instances at these places.
func has(name string, places ...string) func(State) bool {
	slices.Sort(places)
	return func(s State) bool { return slices.Equal(s.Addresses(name), places) }
}

func namesEverything(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	b.Put(b.T, stock, at("10.0.0.1", 20881))
	r := b.start()
	state := r.AwaitSynced()
	if !has(orders, "10.0.0.1:20880", "10.0.0.2:20880")(state) || !has(stock, "10.0.0.1:20881")(state) || len(state.Services) != 2 {
		b.T.Errorf("at Synced: %s", state)
	}
	b.Put(b.T, billing, at("10.0.0.3", 1))
	if state = r.Await("new service", has(billing, "10.0.0.3:1")); state.Synced != state.Runs {
		b.T.Errorf("Synced is not once a run: %s", state)
	}
}

func emptySyncs(b *bench) {
	r := b.start()
	if state := r.AwaitSynced(); len(state.Services) != 0 || len(state.Skipped) != 0 {
		b.T.Errorf("an empty registry gave %s", state)
	}
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	r.Await("first service ever", has(orders, "10.0.0.1:20880"))
}

func instanceComesAndGoes(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	r.Await("second instance", has(orders, "10.0.0.1:20880", "10.0.0.2:20880"))
	b.Put(b.T, orders, at("10.0.0.2", 20880)) // Again, as after a restart.
	b.Put(b.T, orders, at("10.0.0.3", 20880))
	r.Await("third instance", has(orders, "10.0.0.1:20880", "10.0.0.2:20880", "10.0.0.3:20880"))
	b.Remove(b.T, orders, at("10.0.0.1", 20880))
	state := r.Await("removal", has(orders, "10.0.0.2:20880", "10.0.0.3:20880"))
	if !has(stock, "10.0.0.9:20880")(state) {
		b.T.Errorf("another service changed: %s", state)
	}
}

func lastInstanceGoes(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	b.Remove(b.T, orders, at("10.0.0.1", 20880))
	if state := r.Await("last removal", has(orders)); !has(stock, "10.0.0.9:20880")(state) {
		b.T.Errorf("another service changed: %s", state)
	}
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	r.Await("return", has(orders, "10.0.0.2:20880"))
}

func serviceGoes(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	r.AwaitSynced()
	b.RemoveService(b.T, orders)
	if state := r.Await("removal of the service", has(orders)); !has(stock, "10.0.0.9:20880")(state) {
		b.T.Errorf("another service changed: %s", state)
	}
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	r.Await("return", has(orders, "10.0.0.2:20880"))
}

// first returns a function that gives ok the first instance of orders.
func first(ok func(model.Instance) bool) func(State) bool {
	return func(s State) bool {
		svc := s.Service(orders)
		return svc != nil && len(svc.Instances) > 0 && ok(svc.Instances[0])
	}
}

func healthChanges(b *bench) {
	inst := at("10.0.0.1", 20880)
	down := inst
	down.Health = model.Disabled
	b.Put(b.T, orders, down)
	r := b.start()
	if state := r.AwaitSynced(); !first(func(i model.Instance) bool { return i.Health != model.Healthy })(state) {
		b.T.Errorf("the instance counts as healthy: %s", state)
	}
	b.Put(b.T, orders, inst)
	r.Await("healthy instance", first(func(i model.Instance) bool { return i.Health == model.Healthy }))
	b.Put(b.T, orders, down)
	r.Await("draining instance", first(func(i model.Instance) bool { return i.Health != model.Healthy }))
}

func weightSurvives(b *bench) {
	inst := at("10.0.0.1", 20880)
	inst.Weight = 33
	b.Put(b.T, orders, inst)
	r := b.start()
	r.Await("weight", first(func(i model.Instance) bool { return i.Weight == 33 }))
	inst.Weight = 0
	b.Put(b.T, orders, inst)
	r.Await("weight 0", first(func(i model.Instance) bool { return i.Weight == 0 }))
}

func metadataSurvives(b *bench) {
	inst := at("10.0.0.1", 20880)
	inst.Metadata = map[string]string{"plain": "v1", "odd": "a=1+2;b&c%25/ ü", "empty": ""}
	b.Put(b.T, orders, inst)
	r := b.start()
	contains := func(i model.Instance) bool {
		for k, v := range inst.Metadata {
			if got, ok := i.Metadata[k]; !ok || got != v {
				return false
			}
		}
		return true
	}
	inst.Metadata["odd"] = "a=1+2%25/ ü"
	b.Put(b.T, orders, inst)
	r.Await("metadata", first(contains))
	inst.Metadata = map[string]string{"plain": "v2"}
	b.Put(b.T, orders, inst)
	r.Await("changed metadata", first(contains))
}

func localitySurvives(b *bench) {
	inst := at("10.0.0.1", 20880)
	inst.Locality = model.Locality{Region: "north", Zone: "b", Subzone: "7"}
	b.Put(b.T, orders, inst)
	b.start().Await("locality", first(func(i model.Instance) bool { return i.Locality == inst.Locality }))
}

func addresses(list ...string) func(*bench) {
	return func(b *bench) {
		var places []string
		for _, a := range list {
			b.Put(b.T, orders, at(a, 20880))
			places = append(places, place(at(a, 20880)))
		}
		b.start().Await("addresses as they are", has(orders, places...))
	}
}

func severalPorts(b *bench) {
	inst := at("10.0.0.1", 20880)
	inst.Ports = append(inst.Ports, model.Port{Protocol: "tri", Number: 50051})
	b.Put(b.T, orders, inst)
	b.Put(b.T, orders, at("10.0.0.2", 20880))
	state := b.start().Await("two instances", has(orders, "10.0.0.1:20880", "10.0.0.2:20880"))
	got := map[uint32]string{}
	for _, i := range state.Service(orders).Instances {
		if i.Address == inst.Address {
			for _, p := range i.Ports {
				got[p.Number] = p.Protocol
			}
		}
	}
	if want := map[uint32]string{20880: "dubbo", 50051: "tri"}; !maps.Equal(got, want) {
		b.T.Errorf("ports %v, want %v", got, want)
	}
}

func badInstance(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.CorruptInstance(b.T, orders)
	b.Put(b.T, stock, at("10.0.0.9", 20880))
	r := b.start()
	state := r.AwaitSynced()
	if !has(orders, "10.0.0.1:20880")(state) || !has(stock, "10.0.0.9:20880")(state) {
		b.T.Errorf("a malformed instance did more than that: %s", state)
	}
	problems := 0
	for _, svc := range state.Services {
		for _, inst := range svc.Instances {
			if inst.Problem != "" {
				problems++
			}
		}
	}
	if problems != 1 {
		b.T.Errorf("%d problems, want 1: %s", problems, state)
	}
}

func badUnit(b *bench) {
	b.Put(b.T, orders, at("10.0.0.1", 20880))
	b.CorruptUnit(b.T)
	r := b.start()
	state := r.AwaitSynced()
	if !has(orders, "10.0.0.1:20880")(state) || len(state.Skipped) != 1 {
		b.T.Errorf("want one unit skipped and the other intact: %s", state)
	}
}

func burst(b *bench) {
	r := b.start()
	r.AwaitSynced()
	const services, instances = 50, 10
	want := make(map[string][]string, services)
	for i := range instances {
		for s := range services {
			name := fmt.Sprintf("com.acme.Burst%02d", s)
			b.Put(b.T, name, at(fmt.Sprintf("10.0.%d.%d", s, i), 20880))
			if i%2 == 1 { // Every second one replaces the one before.
				b.Remove(b.T, name, at(fmt.Sprintf("10.0.%d.%d", s, i-1), 20880))
				want[name] = append(want[name], fmt.Sprintf("10.0.%d.%d:20880", s, i))
			}
		}
	}
	r.Await("all of the burst", func(s State) bool {
		got := make(map[string][]string, len(s.Services))
		for _, svc := range s.Services {
			got[svc.Ref.Name] = s.Addresses(svc.Ref.Name)
		}
		return cmp.Equal(want, got)
	})
}
