package migration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/eureka/eurekatest"
)

// eureka is a Eureka, in which names of services are in capitals.
type eureka struct {
	ctx    context.Context //nolint:containedctx // Of the test, for calls without one.
	server *lab.Eureka
	client *eurekatest.Client
}

func newEureka(t *testing.T) *eureka {
	t.Helper()
	server := lab.StartEureka(t, lab.EurekaOptions{})
	return &eureka{ctx: t.Context(), server: server, client: &eurekatest.Client{Base: "http://" + server.Addr + "/eureka"}}
}

func (r *eureka) name() string { return "eureka" }

func (r *eureka) spec() string {
	return fmt.Sprintf(`{source: {eureka: {servers: [{url: "http://%s/eureka"}], pollInterval: 1s}}, hosts: {suffix: mesh, priority: 1}}`, r.server.Addr)
}

func (r *eureka) original(n int) string { return strings.ToUpper(fmt.Sprintf("shop-%d", n)) }

func (r *eureka) register(service string, p place) error {
	return r.client.Register(r.ctx, eurekatest.NewInstance(service, p.address, p.port))
}

func (r *eureka) deregister(service string, p place) error {
	return r.client.Deregister(r.ctx, service, eurekatest.NewInstance(service, p.address, p.port).InstanceID)
}

// TestEurekaToConsul is a migration of Spring Cloud services, whose names are in capitals on one side only.
func TestEurekaToConsul(t *testing.T) {
	t.Parallel()
	from, to := newEureka(t), newConsul(t)
	newScene(t, meshHost, from, to).thereAndBack(from, to)
}
