package plan

import (
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// shardMove holds an endpoint in the object that has it until the object of the same host that shall have it shows it: the two are
// written one after the other, and in between it would be in neither.
func shardMove(v *view, a *absent, o *translate.Object) Hold {
	v.continues = true
	key := incidentKey{reason.ShardMove, o.Key.String()}
	h := objectHold(reason.ShardMove, o)
	h.set(v.keepIncident(key))
	h.Endpoint, h.Source = a.id.String(), a.source
	h.Detail = "It moves to another object of its host; it leaves this one when that one is written."
	return h
}
