package consul

import "time"

const (
	// maxReads is how many queries that are answered at once are under way at the same time. With HTTP/2 it is also about how many
	// connections are made at once when those that there are have no room for more queries.
	maxReads = 32
	// reserve is how many connections are kept free for those, so that a new service need not wait for its turn.
	reserve = 8
	// minConnections is what is left when the agent keeps saying that there are too many.
	minConnections = 16
	// turn is how long each service waits for its turn when they share connections, until there are so many that each would be asked
	// for less than minWait: then turns take longer.
	turn    = 20 * time.Second
	minWait = time.Second
	// calm is how long after the last refusal one more is tried.
	calm = 30 * time.Second
)

// pace decides how many queries are made at once, and how long they wait.
//
//	HTTP/2     each service has a blocking query of its own; a connection carries 250 of them
//	HTTP/1.1   each query needs a connection; queries wait a short time only, and services take turns
type pace struct {
	// shared says that queries share connections.
	shared bool
	wait   time.Duration
	// most and connections are how many connections there may be for services, at best and now; reads is how many queries that are
	// answered at once.
	most, connections, reads int
	// changed is when connections was changed last.
	changed time.Time
}

func newPace(cfg Config) pace {
	return pace{wait: cfg.Wait, most: cfg.Connections, connections: cfg.Connections, reads: maxReads}
}

// mayRead says whether one more query that is answered at once may be made.
func (p *pace) mayRead(reads, polls int) bool {
	return reads < p.reads && (p.shared || reads+polls < p.connections)
}

// mayPoll says whether one more blocking query may be made.
func (p *pace) mayPoll(reads, polls int) bool {
	return p.shared || polls < p.connections-min(reserve, p.connections/2) && reads+polls < p.connections
}

// crowded says whether services take turns.
func (p *pace) crowded(services int) bool { return !p.shared && services > p.connections-reserve }

// waitFor returns how long the blocking queries of so many services wait.
func (p *pace) waitFor(services int) time.Duration {
	if p.shared {
		return p.wait
	}
	wait := turn
	if services > p.connections-reserve {
		wait = max(minWait, turn*time.Duration(p.connections-reserve)/time.Duration(services))
	}
	return min(wait, p.wait)
}

// refused is told that the registry asked for less, or ended a connection without an answer, which is how some say it. What follows within
// a second is the same refusal.
func (p *pace) refused(now time.Time) {
	if now.Sub(p.changed) < time.Second {
		return
	}
	p.changed = now
	p.connections = max(min(minConnections, p.most), p.connections/2)
	p.reads = max(4, p.reads/2)
}

// answered is told of an answer, and takes a little back of what refusals have cost.
func (p *pace) answered(now time.Time) {
	if (p.connections == p.most && p.reads == maxReads) || now.Sub(p.changed) < calm {
		return
	}
	p.changed = now
	p.connections = min(p.most, p.connections+1)
	p.reads = min(maxReads, p.reads+1)
}
