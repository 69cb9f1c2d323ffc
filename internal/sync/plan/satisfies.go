package plan

import "github.com/registry-bridge/registry-bridge/internal/translate"

// Satisfies reports whether what is live says all that want says, so that a plan would not write it. An output asks it whether what it
// has written is really there.
func Satisfies(live, want *translate.Object) bool { return covers(live, want) }
