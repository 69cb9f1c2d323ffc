package nacos

import (
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
)

const (
	// patience is at which failure in a row a unit is skipped: the start of a server fails one or two reads of every service, which is no
	// news of the service.
	patience = 3
	// misses is in how many listings in a row, of one connection, a unit is missing before it is taken for gone.
	misses = 2
)

// unit is one service of Nacos. It belongs to Run's goroutine.
//
//	         due                        answer
//	waiting ─────▶ asked (subscribe) ───────────▶ subscribed ──push──▶ subscribed
//	   ▲             │ failure                        │ a push that may be older than what is known
//	   └─ backoff ───┘                                └──────▶ asked (query) ──▶ subscribed
type unit struct {
	name string
	// told is what the sink has, by the name of the service.
	told map[string]*model.Service
	// unwanted says that it is not read.
	unwanted bool
	// named says that the sink has heard of the unit in this Run, skipped that the last it heard was Skip.
	named, skipped bool
	// missed counts the listings in a row that lack it.
	missed int
	// removed says that it is forgotten.
	removed bool
	// failures counts those in a row; due is when it may be asked again.
	failures int
	due      time.Time

	// What follows is about one connection.

	// subscribed says that the server pushes it; queued that it waits to be asked, asking that it is asked.
	subscribed, queued, asking bool
	// pushed says that a push was taken since it was asked: what the answer says is older.
	pushed bool
	// doubted says that a push came, while it is asked, that may be older than what is known.
	doubted bool
	// refTime is the time of what was told, by the clock of the server.
	refTime int64
}

// disconnect forgets what is about one connection.
func (u *unit) disconnect() {
	u.subscribed, u.queued, u.asking, u.pushed, u.doubted = false, false, false, false, false
	u.refTime, u.missed = 0, 0
	u.due = time.Time{}
}
