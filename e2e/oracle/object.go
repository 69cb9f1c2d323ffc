package oracle

import (
	"errors"
	"fmt"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"sigs.k8s.io/yaml"
)

// Parse reads the ServiceEntry of a file with Istio's own types and returns what it publishes. Hosts without an endpoint are in
// hosts only.
func Parse(data []byte) (hosts []string, endpoints Endpoints, err error) {
	var entry networkingv1.ServiceEntry
	if err := yaml.Unmarshal(data, &entry); err != nil {
		return nil, nil, fmt.Errorf("parse manifest: %w", err)
	}
	if entry.Kind != "ServiceEntry" || len(entry.Spec.GetHosts()) == 0 {
		return nil, nil, errors.New("not a ServiceEntry with a host")
	}
	endpoints = Endpoints{}
	for _, host := range entry.Spec.GetHosts() {
		for _, we := range entry.Spec.GetEndpoints() {
			for _, port := range we.GetPorts() {
				endpoints[Endpoint{Host: host, Address: we.GetAddress(), Port: port}] = we.GetWeight()
			}
		}
	}
	return entry.Spec.GetHosts(), endpoints, nil
}
