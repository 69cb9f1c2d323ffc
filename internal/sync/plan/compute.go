package plan

// Memory is what guards remember from one Compute to the next: since when something is missing, what tripped, the baselines. It is an
// immutable value, never persisted; a restart may only lengthen a hold.
type Memory struct{}
