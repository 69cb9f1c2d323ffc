package wire_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// tripleHost is the host of the service that is offered by Triple, and triplePort where.
const (
	tripleHost = "v-5.0.0." + greeting
	triplePort = 50051
)

// byMethod is what a person applies who wants the methods of a Triple service to be answered by different providers of it.
const byMethod = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: triple, namespace: shop}
spec:
  host: %[1]s
  subsets:
  - {name: stable, labels: {application: stable}}
  - {name: canary, labels: {application: canary}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: triple, namespace: shop}
spec:
  hosts: [%[1]s]
  http:
  - match: [{uri: {exact: /demo.GreetingService/greet}}]
    route: [{destination: {host: %[1]s, subset: canary}}]
  - route: [{destination: {host: %[1]s, subset: stable}}]
`

// triple has a consumer dial a host by Triple, which is gRPC to Istio: what a VirtualService says about /interface/method holds.
func (s *scene) triple() {
	provide := func(name string) *lab.DubboProvider {
		_, provider := s.provide(name, lab.DubboOptions{ServiceVersion: "5.0.0", Settings: map[string]string{
			"protocol": "tri", "port": strconv.Itoa(triplePort), "application": name,
		}})
		return provider
	}
	stable, canary := provide("stable"), provide("canary")
	s.caller.awaitCount(s, cluster(tripleHost, triplePort), 2)
	call := func(method string) []lab.DubboCall {
		return s.caller.Call(s, map[string]string{
			"url":     "tri://" + net.JoinHostPort(tripleHost, strconv.Itoa(triplePort)),
			"version": "5.0.0", "method": method, "count": "20",
		})
	}
	calls := call("greet")
	allBy(s, "greet", calls, "stable", "canary")
	for _, name := range []string{"stable", "canary"} {
		if !answered(calls, name) {
			s.Errorf("%s has answered none of %d calls", name, len(calls))
		}
	}

	s.kubectl.Feed(s, fmt.Sprintf(byMethod, tripleHost), "apply", "-f", "-")
	defer s.kubectl.Feed(s, fmt.Sprintf(byMethod, tripleHost), "delete", "-f", "-")
	lab.Await(s, patience, "the sidecar has the routes", func(context.Context) error {
		if answered(call("greet"), "stable") {
			return errors.New("not yet")
		}
		return nil
	})
	allBy(s, "greet", call("greet"), "canary")
	allBy(s, "note", call("note"), "note")
	for _, provider := range []*lab.DubboProvider{stable, canary} {
		noted := strings.Count(provider.Output(), "NOTED")
		if want := map[*lab.DubboProvider]int{stable: 20}[provider]; noted != want {
			s.Errorf("%s has noted %d calls, want %d", provider.Name, noted, want)
		}
	}
}
