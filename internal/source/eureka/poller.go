package eureka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// maxGap is how long there may be no good answer before changes could be missed: a server forgets them after 180 s, and its answers may
	// be 30 s old.
	maxGap = 150 * time.Second
	// fullEvery is how often everything is read although nothing seems wrong, give or take a tenth.
	fullEvery = 5 * time.Minute
	// forcedAtMost is the least time between two reads of everything because changes do not add up: a server whose answers disagree would
	// be asked for everything at each poll.
	forcedAtMost = 30 * time.Second
	// failingFor is how long polls may fail before Run gives up. Restarts are shorter.
	failingFor = 30 * time.Second
	// maxBackoff bounds the wait between two attempts.
	maxBackoff = 5 * time.Second
)

// poller is the state of one Run. It belongs to Run's goroutine.
//
//	                 hash agrees                     hash differs, or older than what is known
//	        ┌───────────────────────────┐          ┌───────────────────────────────────────────┐
//	        ▼                           │          │                                           ▼
//	everything ──────────────────▶ changes ────────┴── gap, other server, failure, 5 min ──▶ everything
//	        ▲                           │
//	        └── no changes to be had ◀──┘
type poller struct {
	cfg    Config
	client *client
	sink   source.Sink

	// known is what there is, nil before the first good answer; from is the server that said so.
	known *registry
	from  string
	// good is when the last good answer was asked for, forced when everything was because changes did not add up; fullDue is when
	// everything is to be asked for next.
	good, forced, fullDue time.Time
	// doubtful asks for everything as soon as that is allowed, whole at once.
	doubtful, whole bool
	// noChanges is until when changes are not asked for, because the server does not tell them.
	noChanges time.Time
	hinted    bool

	due time.Time
	// failures counts polls in a row; since is when the first of them was.
	failures int
	since    time.Time
}

// errNoHash: an answer about changes that does not say what they amount to.
var errNoHash = errors.New("the changes come without a hash")

// next implements the function that source.Follow asks.
func (p *poller) next(ctx context.Context) (source.Content, error) {
	timer := time.NewTimer(time.Until(p.due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return source.Content{}, ctx.Err()
		case <-timer.C:
		}
		err := p.poll(ctx, time.Now())
		if err == nil {
			return p.known.content(), nil
		}
		if err := p.failed(ctx, err, time.Now()); err != nil {
			return source.Content{}, err
		}
		timer.Reset(time.Until(p.due))
	}
}

// poll asks the servers in turn until one answers.
func (p *poller) poll(ctx context.Context, now time.Time) error {
	// Earlier only, so that no change waits for longer than the interval; spread, so that bridges do not ask all at once.
	p.due = now.Add(p.cfg.PollInterval - rand.N(p.cfg.PollInterval/10+1)) //nolint:gosec // Jitter needs no secret randomness.
	var all error
	for _, s := range p.client.order(now) {
		err := p.ask(ctx, s, now)
		if err == nil {
			p.client.current, s.failed = s, time.Time{}
			p.answered(ctx)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.whole, s.failed = true, now
		err = fmt.Errorf("%s: %w", s.URL, err)
		if all == nil {
			all = err
		} else {
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}

// answered ends a failure.
func (p *poller) answered(ctx context.Context) {
	if p.failures > 0 {
		p.failures = 0
		source.SetInterruption(p.sink, nil)
		p.cfg.Logger.InfoContext(ctx, "eureka answers again")
	}
}

// failed decides whether to go on.
func (p *poller) failed(ctx context.Context, err error, now time.Time) error {
	p.failures++
	if p.failures == 1 {
		p.since = now
	}
	if p.known == nil || now.Sub(p.since) > failingFor {
		return err
	}
	if p.failures == 1 {
		source.SetInterruption(p.sink, fmt.Errorf("eureka: %w", err))
		p.cfg.Logger.InfoContext(ctx, "eureka does not answer, trying again", "error", err)
	}
	wait := min(time.Second<<min(p.failures-1, 8), maxBackoff)
	p.due = now.Add(wait/2 + rand.N(wait/2)) //nolint:gosec // Jitter needs no secret randomness.
	return nil
}

// ask asks one server, for changes where that will do.
func (p *poller) ask(ctx context.Context, s *server, now time.Time) error {
	if p.changesWillDo(s, now) {
		done, err := p.readChanges(ctx, s, now)
		switch {
		case err == nil && done:
			return nil
		case err == nil:
		case !tellsNoChanges(err):
			return err
		default:
			p.noChanges = now.Add(fullEvery)
		}
	}
	return p.readAll(ctx, s, now)
}

// tellsNoChanges says whether an error of reading changes means that this server does not tell them: it may have been told not to, or be
// something else that only answers like Eureka.
func tellsNoChanges(err error) bool {
	var refusal *statusError
	return errors.Is(err, errNoHash) ||
		errors.As(err, &refusal) && refusal.code < http.StatusInternalServerError && refusal.code != http.StatusUnauthorized
}

// changesWillDo says whether changes are enough to know everything.
func (p *poller) changesWillDo(s *server, now time.Time) bool {
	switch {
	case p.known == nil, p.whole, s != p.client.current:
	case now.Sub(p.good) > maxGap, !now.Before(p.fullDue), now.Before(p.noChanges):
	case p.doubtful && now.Sub(p.forced) >= forcedAtMost:
	default:
		return true
	}
	return false
}

// readChanges asks for changes. Done is false when everything has to be read instead.
func (p *poller) readChanges(ctx context.Context, s *server, now time.Time) (done bool, err error) {
	var changes []change
	sound := true
	a, from, err := p.read(ctx, s, "/apps/delta", func(name string, records []record, problem error) {
		changes = append(changes, change{app: name, records: records})
		sound = sound && problem == nil
	})
	switch {
	case err != nil:
		return false, err
	case !a.hashed:
		return false, errNoHash
	case from != p.from, !sound:
		return false, nil
	}
	after, complete := p.known.apply(changes)
	p.doubtful = !complete || after.hash() != a.hash
	if p.doubtful && now.Sub(p.forced) >= forcedAtMost {
		p.cfg.Logger.DebugContext(ctx, "changes do not add up to what the server has, reading everything", "server", s.URL, "want", a.hash, "have", after.hash())
		return false, nil
	}
	p.known, p.good = after, now
	return true, nil
}

// readAll asks for everything.
func (p *poller) readAll(ctx context.Context, s *server, now time.Time) error {
	if p.doubtful {
		p.forced = now
	}
	all := newRegistry(p.cfg.SourceID)
	a, from, err := p.read(ctx, s, "/apps", func(name string, records []record, problem error) { all.add(name, records, problem, p.known) })
	switch {
	case err != nil:
		return err
	case len(all.apps) == 0 && len(all.unreadable) == 0 && a.hash != "":
		return fmt.Errorf("%w: the answer is empty, and its hash is not", source.ErrMalformed)
	}
	p.known, p.from, p.good = all, from, now
	p.fullDue = now.Add(fullEvery - fullEvery/10 + rand.N(fullEvery/5)) //nolint:gosec // Jitter needs no secret randomness.
	p.doubtful, p.whole = false, false
	p.hint(ctx, now)
	return nil
}

func (p *poller) read(ctx context.Context, s *server, path string, take func(string, []record, error)) (a answer, from string, err error) {
	from, err = p.client.get(ctx, s, path, func(body io.Reader) error {
		var err error
		a, err = decode(body, newConverter(p.cfg.Region), take)
		return err
	})
	return a, from, err
}

// hint tells the operator when a server begins to tell no changes, and when it no longer does.
func (p *poller) hint(ctx context.Context, now time.Time) {
	none := now.Before(p.noChanges)
	if none == p.hinted {
		return
	}
	p.hinted = none
	if !none {
		source.SetHints(p.sink)
		p.cfg.Logger.InfoContext(ctx, "the server tells changes again")
		return
	}
	const detail = "the server does not tell changes (/apps/delta), or not with a hash, so each poll reads everything"
	source.SetHints(p.sink, model.Hint{Reason: string(reason.NoChangeFeed), Detail: detail})
	p.cfg.Logger.WarnContext(ctx, detail)
}
