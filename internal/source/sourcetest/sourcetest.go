// Package sourcetest is the conformance suite that every source passes, against a fake of its registry in `make test` and against the
// real server in `make e2e`.
//
// The suite speaks of services and instances; a Fixture translates that into what one registry understands. What a registry does not
// have is opted out of by name and with a reason, which the documentation shows.
package sourcetest

import (
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// ID is the SourceID that the suite gives to every source.
const ID model.SourceID = "suite.00000000"

// Feature is something that a registry may not have.
type Feature string

// The features that can be opted out of.
const (
	Health        Feature = "health"
	Weight        Feature = "weight"
	Metadata      Feature = "metadata"
	Locality      Feature = "locality"
	IPv6          Feature = "IPv6"
	HostNames     Feature = "host names"
	SeveralPorts  Feature = "several ports"
	BadInstances  Feature = "malformed instances"
	BadUnits      Feature = "malformed units"
	FailingUnits  Feature = "failing units"
	FailingLists  Feature = "failing listings"
	Outages       Feature = "outages"
	Restarts      Feature = "restarts"
	LossOfData    Feature = "loss of data"
	Credentials   Feature = "credentials"
	ServiceDelete Feature = "deletion of services"
)

// SourceOptions say what source a test wants.
type SourceOptions struct {
	// Addr is the registry's "host:port".
	Addr string
	// BadCredentials asks for credentials that the registry refuses, or that do not suffice to read.
	BadCredentials bool
	Logger         *slog.Logger
}

// Fixture is one registry, empty and running, for one test. Its functions return when the registry has taken the change; they fail
// the test when it does not. Services are Java interface names without group or version, and the Ref.Name of a service is its name. A
// function is nil only when its feature is opted out of.
type Fixture struct {
	// Addr is where the registry listens; empty when outages are opted out of, because there is no connection.
	Addr string
	// New constructs a source with SourceID ID that watches the registry.
	New func(o SourceOptions) source.Source
	// Put registers an instance, in place of the one at the same address and port; Remove takes it away. Address, Ports, Weight,
	// Health, Locality and Metadata count.
	Put, Remove func(t *testing.T, service string, inst model.Instance)
	// RemoveService takes away a service with all of its instances.
	RemoveService func(t *testing.T, service string)
	// CorruptInstance adds something to the service that is no instance, CorruptUnit something to the registry that is no unit.
	CorruptInstance func(t *testing.T, service string)
	CorruptUnit     func(t *testing.T)
	// FailListing makes the listing of all services fail until heal is called, FailUnit the reading of one service. Watches that
	// exist need not notice.
	FailListing func(t *testing.T) (heal func())
	FailUnit    func(t *testing.T, service string) (heal func())
	// Restart stops and starts the registry with its data, Wipe without.
	Restart, Wipe func(t *testing.T)
	// Secret is a word of the credentials that no error and no log may hold.
	Secret string
}

// Suite says how to run the tests.
type Suite struct {
	// Setup returns a new Fixture. What it starts ends with t. When alone is false the test leaves the registry running and minds
	// only what it registers itself, so one server may serve several tests, each in a place of its own.
	Setup func(t *testing.T, alone bool) *Fixture
	// OptOut has a reason for each feature that the registry does not have.
	OptOut map[Feature]string
	// Patience is how long what must come may take, by default 10 s.
	Patience time.Duration
	// Parallel runs the tests at the same time.
	Parallel bool
}

// conformance is one sentence of the suite.
type conformance struct {
	name    string
	feature Feature
	test    func(*bench)
}

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	if s.Patience == 0 {
		s.Patience = 10 * time.Second
	}
	for _, c := range sentences() {
		t.Run(c.name, func(t *testing.T) {
			if reason, out := s.OptOut[c.feature]; out {
				t.Skip(string(c.feature) + " opted out of: " + reason)
			}
			if s.Parallel {
				t.Parallel()
			}
			f := s.Setup(t, c.feature == Restarts || c.feature == LossOfData)
			c.test(&bench{T: t, Fixture: f, patience: s.Patience, relay: NewRelay(t, f.Addr)})
		})
	}
}

// bench is the place of one test: the registry, and a relay between it and the sources.
type bench struct {
	T *testing.T
	*Fixture
	patience time.Duration
	relay    *Relay
}

// start runs a source through the relay until the end of the test.
func (b *bench) start() *Runs {
	b.T.Helper()
	return b.startWith(SourceOptions{Addr: b.relay.Addr(), Logger: slog.New(slog.DiscardHandler)})
}

func (b *bench) startWith(o SourceOptions) *Runs {
	b.T.Helper()
	return Start(b.T, b.New(o), b.patience)
}

// at is an instance of protocol dubbo.
func at(address string, port uint32) model.Instance {
	return model.Instance{Address: address, Ports: []model.Port{{Protocol: "dubbo", Number: port}}, Weight: 100}
}

// place is where an instance listens first, "" when it has no port.
func place(inst model.Instance) string {
	if len(inst.Ports) == 0 {
		return ""
	}
	return net.JoinHostPort(inst.Address, strconv.FormatUint(uint64(inst.Ports[0].Number), 10))
}
