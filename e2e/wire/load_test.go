package wire_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// load is calls that go on while something else happens. None is repeated by its consumer, so that none that fails stays unseen.
type load struct {
	*lab.DubboSeries
	what string
}

// begin starts a load. Its settings are those of a series; a connection of its own shows what happens to new ones.
func (s *scene) begin(w *workload, settings map[string]string) *load {
	s.Helper()
	all := map[string]string{"count": "0", "interval": "5", "threads": "2"}
	maps.Copy(all, settings)
	l := &load{DubboSeries: w.Start(s, all), what: fmt.Sprint("load of ", settings)}
	lab.Await(s, patience, "the load has begun", func(context.Context) error {
		if n := len(l.Calls(s)); n < 10 {
			return fmt.Errorf("%d calls so far", n)
		}
		return nil
	})
	return l
}

// unharmed ends the load and fails the test unless all of its calls were answered by one of these providers.
func (l *load) unharmed(t testing.TB, providers ...string) {
	t.Helper()
	calls := l.Stop(t)
	t.Logf("%s: %d calls, the slowest took %v", l.what, len(calls), slowest(calls))
	allBy(t, l.what, calls, providers...)
}

func slowest(calls []lab.DubboCall) time.Duration {
	var longest time.Duration
	for _, call := range calls {
		longest = max(longest, call.Took)
	}
	return longest
}

// allBy fails the test unless each of the calls was answered by one of these providers.
func allBy(t testing.TB, what string, calls []lab.DubboCall, providers ...string) {
	t.Helper()
	wrong, example := 0, ""
	for _, call := range calls {
		if call.Err != "" || !slices.Contains(providers, call.By) {
			wrong++
			example = fmt.Sprintf("at %s by %q: %.300s", call.At.Format("15:04:05.000"), call.By, call.Err)
		}
	}
	if wrong > 0 || len(calls) == 0 {
		t.Errorf("%s: %d of %d calls were not answered by %s; one was answered %s", what, wrong, len(calls), strings.Join(providers, ", "), example)
	}
}

// share fails the test unless a provider has answered its part of the calls, give or take four standard deviations.
func share(t testing.TB, calls []lab.DubboCall, part float64, provider string) {
	t.Helper()
	hits := 0
	for _, call := range calls {
		if call.By == provider {
			hits++
		}
	}
	n := float64(len(calls))
	sigma := math.Sqrt(n * part * (1 - part))
	t.Logf("%s has answered %d of %d calls, want %.0f ± %.0f", provider, hits, len(calls), n*part, 4*sigma)
	if d := float64(hits) - n*part; d > 4*sigma || d < -4*sigma {
		t.Errorf("%s has answered %d of %d calls, want %.0f ± %.0f", provider, hits, len(calls), n*part, 4*sigma)
	}
}

// answered reports whether a provider has answered any of the calls.
func answered(calls []lab.DubboCall, provider string) bool {
	return slices.ContainsFunc(calls, func(c lab.DubboCall) bool { return c.By == provider })
}
