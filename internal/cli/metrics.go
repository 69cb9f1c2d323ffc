package cli

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/registry-bridge/registry-bridge/internal/status"
)

// prefix is that of the names of all metrics.
const prefix = "registry_bridge"

// metrics are the gauges of a bridge of files. It is alone, so it leads.
func (f *files) metrics() []prometheus.Collector {
	return append(configMetrics(f.configuration), leaderMetric(func() bool { return true }))
}

// gauge makes a gauge without labels.
func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: prefix, Name: name, Help: help}, value)
}

// configMetrics are the gauges about a configuration.
func configMetrics(configuration func() status.Configuration) []prometheus.Collector {
	return []prometheus.Collector{
		gauge("config_problems", "Problems in the configuration; the last good one is in use while there are any.", func() float64 {
			return float64(len(configuration().Problems))
		}),
		gauge("config_loaded_timestamp_seconds", "When the configuration was last loaded, 0 for never.", func() float64 {
			loaded := configuration().Loaded
			if loaded.IsZero() {
				return 0
			}
			return float64(loaded.UnixMilli()) / 1000
		}),
	}
}

// leaderMetric is the gauge about who of several replicas works.
func leaderMetric(leads func() bool) prometheus.Collector {
	return gauge("leader", "1 while this process is the one that reads registries and writes; replicas that wait have 0, a process of files always 1.",
		func() float64 {
			if leads() {
				return 1
			}
			return 0
		})
}

// newStatusWrites counts what becomes of writes of the status of Registries.
func newStatusWrites() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: prefix, Name: "status_writes_total", Help: "Writes of the status of Registries by result (ok, error).",
	}, []string{"result"})
}

// buildInfo says which program this is.
func buildInfo() prometheus.Collector {
	v := ReadVersion()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: prefix, Name: "build_info", Help: "1, with the version of the program.",
	}, []string{"version", "commit", "go_version"})
	info.WithLabelValues(v.Version, v.Commit, v.Go).Set(1)
	return info
}
