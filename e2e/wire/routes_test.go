package wire_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// versions makes many calls to services that differ in group and version only, and some that dial the provider of another one.
func (s *scene) versions() {
	services := []struct{ group, version, provider string }{
		{"", "1.0.0", "one"},
		{"", "2.0.0", "two"},
		{"blue", "1.0.0", "one-blue"},
		{"green", "1.0.0", "two-green"},
		{"", "0.9.0", "old"}, // Dubbo 2.7.
	}
	before := s.caller.sidecar.Dubbo(s)
	var running []*lab.DubboSeries
	for _, service := range services {
		running = append(running, s.caller.Start(s, map[string]string{
			"group": service.group, "version": service.version, "count": strconv.Itoa(*callCount / len(services)), "threads": "2",
		}))
	}
	for i, service := range services {
		allBy(s, fmt.Sprintf("group %q, version %s", service.group, service.version), running[i].Wait(s), service.provider)
	}
	after := s.caller.sidecar.Dubbo(s)
	if got, want := after["response_success"]-before["response_success"], uint64(*callCount); got < want {
		s.Errorf("the sidecar has counted %d answers, want %d", got, want)
	}
	for _, service := range services {
		// The sidecar looks at the call, not at where it was sent: the provider that is dialled has no such service.
		wrong := s.two
		if strings.HasPrefix(service.provider, "two") {
			wrong = s.one
		}
		allBy(s, "dialling another provider", s.caller.Call(s, map[string]string{
			"url": "dubbo://" + net.JoinHostPort(wrong.IP, "20880"), "group": service.group, "version": service.version, "count": "20",
		}), service.provider)
	}
}

// forms calls in every way that Dubbo has.
func (s *scene) forms() {
	before := s.caller.sidecar.Dubbo(s)
	for _, call := range s.caller.Call(s, map[string]string{"version": "2.0.0", "method": "fail", "count": "20"}) {
		if !strings.Contains(call.Err, "business exception 1") {
			s.Errorf("the exception of the provider arrives as %q, %q", call.By, call.Err)
		}
	}
	allBy(s, "1 MiB", s.caller.Call(s, map[string]string{
		"version": "2.0.0", "method": "echo", "size": strconv.Itoa(1 << 20), "count": "10",
	}), "echo "+strconv.Itoa(1<<20))
	allBy(s, "one way", s.caller.Call(s, map[string]string{"version": "2.0.0", "method": "note", "oneway": "note", "count": "20"}), "note")
	lab.Await(s, patience, "the provider has got what needs no answer", func(context.Context) error {
		if noted := strings.Count(s.providers["two"].Output(), "NOTED"); noted != 20 {
			return fmt.Errorf("it has got %d", noted)
		}
		return nil
	})
	// A connection on which nothing is said for a while.
	idle := s.caller.Start(s, map[string]string{"version": "2.0.0", "heartbeat": "1000", "connections": "1", "count": "3", "interval": "3000"})
	allBy(s, "behind heartbeats", idle.Wait(s), "two")
	after := s.caller.sidecar.Dubbo(s)
	for name, want := range map[string]uint64{"response_business_exception": 20, "request_oneway": 20, "request_event": 1} {
		if got := after[name] - before[name]; got < want {
			s.Errorf("the sidecar counts %s: %d more, want %d", name, got, want)
		}
	}
	if got := after["request_decoding_error"] - before["request_decoding_error"]; got != 0 {
		s.Errorf("the sidecar could not read %d requests", got)
	}
}

// passes calls what the Registry leaves out, by the port of what it has.
func (s *scene) passes() {
	for _, host := range []string{s.one.IP, s.two.IP} {
		name := map[string]string{s.one.IP: "one-unlisted", s.two.IP: "two-unlisted"}[host]
		allBy(s, "an interface that is left out, at "+name, s.caller.Call(s, map[string]string{
			"interface": "demo.UnlistedService", "url": "dubbo://" + net.JoinHostPort(host, "20880"), "count": "20",
		}), name)
	}
	allBy(s, "an interface that is left out, from the registry",
		s.caller.Call(s, map[string]string{"interface": "demo.UnlistedService", "count": "20"}), "one-unlisted", "two-unlisted")
	allBy(s, "a provider that Envoy cannot read", s.caller.Call(s, map[string]string{"version": "8.0.0", "count": "20"}), "fast")
}

// splits calls services whose providers share the calls by weight, by tag, and by a route of the Registry.
func (s *scene) splits() {
	// One at a time: among busy ones, Envoy prefers who has fewer requests.
	heavy := s.caller.Call(s, map[string]string{"version": "3.0.0", "count": "2000"})
	allBy(s, "by weight", heavy, "one-heavy", "two-heavy")
	share(s, heavy, 0.75, "one-heavy")

	tagged := s.caller.Call(s, map[string]string{
		"version": "4.0.0", "count": "1000", "threads": "2", "tag": "gray", "share": "0.3", "seed": strconv.FormatUint(*seed, 10),
	})
	share(s, tagged, 0.3, "two-gray")
	for _, call := range tagged {
		if want := map[bool]string{true: "two-gray", false: "one-plain"}[call.Tagged]; call.By != want {
			s.Errorf("a call (tagged: %v) was answered by %q: %s", call.Tagged, call.By, call.Err)
		}
	}

	canary := s.caller.Call(s, map[string]string{"version": "6.0.0", "count": "1000", "threads": "2"})
	allBy(s, "by a route", canary, "one-stable", "two-canary")
	share(s, canary, 0.1, "two-canary")
	allBy(s, "a method that the route is not for", s.caller.Call(s, map[string]string{
		"version": "6.0.0", "count": "50", "method": "echo", "size": "10",
	}), "echo 10")
}
