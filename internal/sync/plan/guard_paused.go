package plan

// writable reports whether changes of the Registry may be written: guard Frozen stops every write; Paused and Observed those of one
// Registry. Everything else goes on as if they were written, so that the plan shows what would happen.
func (v *view) writable(p *Policy) bool {
	return !v.in.Frozen && (p == nil || p.Mode == Active || p.Mode == "")
}
