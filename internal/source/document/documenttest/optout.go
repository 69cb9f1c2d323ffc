package documenttest

import (
	"github.com/registry-bridge/registry-bridge/internal/source/document"
	"github.com/registry-bridge/registry-bridge/internal/source/sourcetest"
)

// OptOut is what the format does not have, of the features of the conformance suite.
func OptOut(format document.Format) map[sourcetest.Feature]string {
	if format != document.PrometheusSD {
		return nil
	}
	const reason = "a target of Prometheus is an address and a port, and has labels"
	return map[sourcetest.Feature]string{
		sourcetest.Health: reason, sourcetest.Weight: reason, sourcetest.Locality: reason, sourcetest.SeveralPorts: reason,
	}
}
