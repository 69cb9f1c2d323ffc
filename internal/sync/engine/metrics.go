package engine

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

const namespace = "registry_bridge"

// metrics collects what the engine counts, and at each scrape what the last cycle saw. Labels are Registries ("namespace/name": a label
// "namespace" would be that of the pod in many installations of Prometheus), sources, guards, reasons and operations: as many as there are
// configured, never one for each service. What belongs to a source goes with it.
type metrics struct {
	engine   *Engine
	writes   *prometheus.CounterVec
	latency  prometheus.Histogram
	duration prometheus.Histogram
	// drops are the reasons that say that something is not published.
	drops map[reason.Reason]bool

	up, synced, lastSuccess, failingUnits, services, instances, changes, hint *prometheus.Desc
	dropped, held, holdAge, mode, endpoints                                   *prometheus.Desc
	outputUp, waiting, cycles, lastTurn, frozen, failingObjects               *prometheus.Desc
}

var _ prometheus.Collector = (*metrics)(nil)

func newMetrics(e *Engine) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	source := []string{"registry", "source"}
	drops := map[reason.Reason]bool{}
	for _, info := range reason.All() {
		drops[info.Reason] = info.Kind == reason.Drop
	}
	return &metrics{
		engine: e,
		drops:  drops,
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "writes_total",
			Help: "Writes to the output by operation and result (ok, conflict, refused, taken, unavailable).",
		}, []string{"op", "result"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "change_to_write_seconds",
			Help:    "Time from a change told by a registry to the end of the write that brought it to the output.",
			Buckets: []float64{.05, .1, .15, .2, .3, .5, 1, 2, 5, 10, 30, 60},
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "cycle_duration_seconds",
			Help:    "Time of one cycle: snapshot, translation, plan and write.",
			Buckets: []float64{.0001, .001, .005, .01, .05, .1, .5, 1, 2.5, 5},
		}),
		up:           desc("source_up", "1 while the connection to the registry works.", source...),
		synced:       desc("source_synced", "1 while the source has finished a full listing and watches.", source...),
		lastSuccess:  desc("source_last_success_timestamp_seconds", "When the source was last known to be current.", source...),
		failingUnits: desc("source_failing_units", "Units that cannot be read or understood.", source...),
		services:     desc("services", "Services that the source holds.", source...),
		instances:    desc("instances", "Instances that the source holds, usable or not.", source...),
		changes:      desc("source_changes_total", "Changes of services told by the registry.", source...),
		hint:         desc("source_hint", "1 for each thing about a source that would work better with another configuration.", "registry", "source", "reason"),
		dropped:      desc("dropped", "Services and instances that are not published, by reason.", "registry", "reason"),
		held:         desc("held", "Removals, or additions over a limit, that a guard holds back.", "registry", "source", "guard"),
		holdAge:      desc("hold_age_seconds", "Age of the oldest hold of a guard.", "registry", "source", "guard"),
		mode:         desc("registry_mode", "1 for the mode of each Registry: Active, Observe or Paused.", "registry", "mode"),
		endpoints:    desc("endpoints", "Endpoints of the source in the output, including those that only a guard keeps.", source...),
		outputUp:     desc("output_up", "1 while the output takes writes."),
		lastTurn:     desc("last_turn_timestamp_seconds", "When the loop last finished a turn. Turns follow each other within a minute."),
		frozen:       desc("frozen", "1 while nothing is written because somebody froze the bridge."),
		failingObjects: desc("failing_objects",
			"Objects whose last write failed and is tried again, by result (conflict, refused, taken, unavailable).", "result"),
		waiting: desc("changes_waiting", "Changes of the last plan that are not written yet."),
		cycles:  desc("cycles_total", "Cycles that made a plan."),
	}
}

// wrote counts one write.
func (m *metrics) wrote(r output.Result) {
	result := "ok"
	if r.Err != nil {
		result = resultOf(r.Err)
	}
	m.writes.WithLabelValues(r.Op.String(), result).Inc()
}

// What can become of a write that failed.
const (
	resultConflict    = "conflict"
	resultRefused     = "refused"
	resultTaken       = "taken"
	resultUnavailable = "unavailable"
)

// resultOf returns the word for a write that failed.
func resultOf(err error) string {
	switch {
	case errors.Is(err, output.ErrConflict):
		return resultConflict
	case errors.Is(err, output.ErrOutput), errors.Is(err, output.ErrFailed):
		return resultUnavailable
	case errors.Is(err, output.ErrTaken):
		return resultTaken
	}
	return resultRefused
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.writes.Describe(ch)
	m.latency.Describe(ch)
	m.duration.Describe(ch)
	for _, d := range []*prometheus.Desc{
		m.up, m.synced, m.lastSuccess, m.failingUnits, m.services, m.instances, m.changes, m.hint,
		m.dropped, m.held, m.holdAge, m.mode, m.endpoints, m.outputUp, m.waiting, m.cycles, m.lastTurn, m.frozen, m.failingObjects,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.writes.Collect(ch)
	m.latency.Collect(ch)
	m.duration.Collect(ch)
	state := m.engine.State()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	counter(m.cycles, float64(state.Cycle))
	gauge(m.outputUp, oneIf(state.Cycle > 0 && state.Output == nil))
	gauge(m.waiting, float64(len(state.Plan.Apply)+len(state.Plan.Delete)-state.Written))
	gauge(m.lastTurn, seconds(m.engine.LastTurn()))
	failing := map[string]int{resultConflict: 0, resultRefused: 0, resultTaken: 0, resultUnavailable: 0}
	for _, f := range state.WriteErrors {
		failing[resultOf(f.Err)]++
	}
	for result, n := range failing {
		gauge(m.failingObjects, float64(n), result)
	}
	m.collectSources(state, gauge, counter)
	m.collectGuards(state, gauge)
	m.collectConfig(state.Config, gauge)
	dropped := map[[2]string]int{}
	for i := range state.Result.Diagnostics {
		if d := &state.Result.Diagnostics[i]; m.drops[d.Reason] {
			dropped[[2]string{d.Registry, string(d.Reason)}]++
		}
	}
	for labels, n := range dropped {
		gauge(m.dropped, float64(n), labels[0], labels[1])
	}
}

type emit func(d *prometheus.Desc, v float64, labels ...string)

// collectSources emits what belongs to each source.
func (m *metrics) collectSources(state *State, gauge, counter emit) {
	changes, endpoints := m.engine.deps.Store.Changes(), published(state)
	for _, src := range state.Snapshot.Sources {
		status := state.Statuses[src.ID]
		labels := []string{status.Namespace + "/" + status.Registry, string(src.ID)}
		instances := 0
		for _, svc := range src.Services {
			instances += len(svc.Instances)
		}
		gauge(m.up, oneIf(status.Err == ""), labels...)
		gauge(m.synced, oneIf(status.State == model.Synced), labels...)
		gauge(m.lastSuccess, lastSuccess(status), labels...)
		gauge(m.failingUnits, float64(len(status.FailingUnits)), labels...)
		gauge(m.services, float64(len(src.Services)), labels...)
		gauge(m.instances, float64(instances), labels...)
		gauge(m.endpoints, float64(endpoints[src.ID]), labels...)
		counter(m.changes, float64(changes[src.ID]), labels...)
		for _, h := range status.Hints {
			gauge(m.hint, 1, append(slices.Clone(labels), h.Reason)...)
		}
	}
}

// collectGuards emits what is held.
func (m *metrics) collectGuards(state *State, gauge emit) {
	type held struct {
		count int
		since time.Time
	}
	guards := map[[3]string]held{}
	owner := owners(state)
	for i := range state.Plan.Held {
		h := &state.Plan.Held[i]
		key := [3]string{owner(h), string(h.Source), string(h.Guard)}
		sum := guards[key]
		sum.count++
		if sum.since.IsZero() || h.Since.Before(sum.since) {
			sum.since = h.Since
		}
		guards[key] = sum
	}
	for labels, sum := range guards {
		gauge(m.held, float64(sum.count), labels[:]...)
		gauge(m.holdAge, time.Since(sum.since).Seconds(), labels[:]...)
	}
}

// collectConfig emits what a person has stopped. Without a configuration there is nothing to say.
func (m *metrics) collectConfig(config *Config, gauge emit) {
	if config == nil {
		return
	}
	gauge(m.frozen, oneIf(config.Frozen))
	for i := range config.Policies {
		p := &config.Policies[i]
		gauge(m.mode, 1, p.Namespace+"/"+p.Name, string(p.Mode))
	}
}

// owners returns what names the Registry of a hold. That of a source that is not configured any more is in the object.
func owners(state *State) func(h *plan.Hold) string {
	live := sync.OnceValue(func() map[translate.Key]*translate.Object {
		objects := make(map[translate.Key]*translate.Object, len(state.Live))
		for i := range state.Live {
			objects[state.Live[i].Object.Key] = state.Live[i].Object
		}
		return objects
	})
	return func(h *plan.Hold) string {
		if status, known := state.Statuses[h.Source]; known {
			return status.Namespace + "/" + status.Registry
		}
		name := ""
		if o := live()[h.Key]; o != nil {
			name = o.Registry()
		}
		return h.Key.Namespace + "/" + name
	}
}

// published counts what is live by source.
func published(state *State) map[model.SourceID]int {
	endpoints := map[model.SourceID]int{}
	for i := range state.Live {
		entry := state.Live[i].Object.ServiceEntry
		if entry == nil {
			continue
		}
		for j := range entry.Endpoints {
			endpoints[entry.Endpoints[j].Source()]++
		}
	}
	return endpoints
}

// lastSuccess returns when the source was last known to be current, 0 for never.
func lastSuccess(s model.Status) float64 {
	switch s.State {
	case model.Synced:
		if !s.Interrupted.IsZero() {
			return seconds(s.Interrupted)
		}
		return seconds(time.Now())
	case model.Failing:
		return seconds(s.Since)
	}
	return 0
}

// seconds is a time as Prometheus has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
