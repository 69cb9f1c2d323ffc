// Package oracle judges a running bridge from outside. It believes nobody: it watches the output folder, or the storage of the API server,
// and keeps every version of everything, keeps a journal of what the test did to the registry and when, and asks the registry itself through a client and a
// URL parser that the bridge does not use. The verdict follows from these three alone:
//
//	test driver ──▶ registry ──▶ bridge ──▶ folder, or API server ──▶ etcd
//	     │             │                      │                        │
//	  Journal      Registered                └────── Recorder ─────────┘
//	     └─────────────┴──────▶ Judge ◀──────────────────┘ ──▶ findings, none if the bridge kept its promises
//
// The rules are worded so that a finding is a fault for certain: where the order of two things cannot be known from outside, the
// bridge has the benefit of the doubt.
package oracle

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Endpoint is one address and port behind a host.
type Endpoint struct {
	Host, Address string
	Port          uint32
}

// Compare orders endpoints by host, address and port.
func (e Endpoint) Compare(o Endpoint) int {
	return cmp.Or(cmp.Compare(e.Host, o.Host), cmp.Compare(e.Address, o.Address), cmp.Compare(e.Port, o.Port))
}

// String renders "host address:port".
func (e Endpoint) String() string { return fmt.Sprintf("%s %s:%d", e.Host, e.Address, e.Port) }

// Endpoints is a set of endpoints with the weight of each; 0 means that none is set.
type Endpoints map[Endpoint]uint32

// Fault is a kind of finding.
type Fault string

// What a bridge can do wrong.
const (
	// Lost: a version lacks an endpoint that had been published, was registered and had not been deregistered.
	Lost Fault = "lost"
	// Stale: an endpoint is still published after the time within which its removal had to show.
	Stale Fault = "stale"
	// Invented: a version has an endpoint that nobody had registered yet.
	Invented Fault = "invented"
	// Differs: in a quiet system the output is not what the registry's own client says.
	Differs Fault = "differs"
	// Invalid: a version is not an object that Istio accepts.
	Invalid Fault = "invalid"
	// Unchanged: a version was written with the bytes of the one before.
	Unchanged Fault = "unchanged"
	// Uncaused: a version was written while nothing had happened.
	Uncaused Fault = "uncaused"
	// InPlace: a file was changed where it lies, so a reader may have seen half of it.
	InPlace Fault = "in place"
	// Blind: the recorder missed a version, so the run proves nothing.
	Blind Fault = "blind"
)

// Finding is one broken promise.
type Finding struct {
	Fault Fault
	// At is when the version was read, or when the state was looked at.
	At time.Time
	// File is the file of the version; empty where it is about several.
	File string
	// Endpoint is the zero value where it is not about an endpoint.
	Endpoint Endpoint
	Detail   string
}

// String renders the finding for a test's log.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s", f.Fault, f.At.Format("15:04:05.000"))
	if f.Endpoint != (Endpoint{}) {
		fmt.Fprintf(&b, ": %s", f.Endpoint)
	}
	if f.File != "" {
		fmt.Fprintf(&b, " in %s", f.File)
	}
	if f.Detail != "" {
		fmt.Fprintf(&b, ": %s", f.Detail)
	}
	return b.String()
}
