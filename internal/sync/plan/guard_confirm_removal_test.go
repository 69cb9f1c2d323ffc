package plan

import (
	"strings"
	"testing"
)

// withdrawAll withdraws hosts n<from> to n<to>, and stops desiring them.
func withdrawAll(from, to string) string {
	var b strings.Builder
	for _, n := range expand([]string{from + ".." + to}) {
		n = strings.TrimPrefix(n, "s/")
		b.WriteString("withdraw n" + n + " s; want n" + n + "; ")
	}
	return b.String() + "event"
}

func TestConfirmRemoval(t *testing.T) {
	runScenarios(t, []scenario{
		{"configuration removes at once, object and all", `
			0s    sync s; want a 1 2; want b 3; want c 4 5 6
			1m    withdraw a s; want a; gone a; free
			1m    withdraw c s 5; want c 4 6; is c 4 6; free`},
		{"an endpoint that the registry lost as well goes with its service", `
			0s    sync s; want a 1 2; want b 3
			1m    want a; held a 1 2 by EmptyService until 4m
			2m    withdraw a s; gone a; free`},
		{"an emptied object goes at once too", `
			0s    sync s; want a 1; want b 3
			1m    want a
			5m    withdraw a s; gone a; free`},
		{"all endpoints withdrawn one by one take the object along", `
			0s    sync s; want a 1 2; want b 3
			1m    withdraw a s 1; withdraw a s 2; want a; gone a`},
		{"what another source still has stays", `
			0s    sync s; sync t; want a 1 t/2; want b 3 t/4
			1m    withdraw a s; want a t/2; is a t/2
			2m    want b 3; is b 3 t/4; held b t/4 by EmptyService until 5m
			2m    withdraw b s; want b; is b t/4; held b t/4 by EmptyService until 5m`},
		{"another source's withdrawal is none of ours", `
			0s    sync s; sync t; want a 1 2; want b 3; want c t/4
			1m    withdraw a t; want a; is a 1 2; held a 1 2 by EmptyService until 4m`},
		{"another endpoint's withdrawal is none of ours", `
			0s    sync s; want a 1 2; want b 3
			1m    withdraw a s 7; withdraw a s 1:81; want a; is a 1 2`},
		{"31 % of 100 wait, and are released", "0s sync s; many 100 1\n1m " + withdrawAll("1", "31") + `
			1m    objects 100; holds ConfirmRemoval 31; held n1 object by ConfirmRemoval; wake never
			1h    is n1 1; holds ConfirmRemoval 31
			1h    event; release r ConfirmRemoval; objects 69; free`},
		{"30 % of 100 go at once", "0s sync s; many 100 1\n1m " + withdrawAll("1", "30") + "; objects 70; free"},
		{"10 of 12 go at once", "0s sync s; many 12 1\n1m " + withdrawAll("1", "10") + "; objects 2; free"},
		{"11 of 12 wait, and nothing is deleted when the edit is taken back", "0s sync s; many 12 1\n1m " + withdrawAll("1", "11") + `
			1m    objects 12; holds ConfirmRemoval 11
			2m    readmit; many 12 1; free; objects 12`},
		{"a Registry that is deleted takes its few objects along, whatever its sources say", `
			0s    live a 1 2; live b 3; live c t/4; want c t/4
			1m    delete r; gone a; gone b; is c t/4`},
		{"a Registry that is deleted takes its many objects along too: it is no edit", `
			0s    sync s; many 11 1
			1m    many 11 0; delete r; objects 0; free`},
		{"an edit that waits goes when the Registry is deleted", "0s sync s; many 12 1\n1m " + withdrawAll("1", "11") + `
			1m    objects 12; holds ConfirmRemoval 11
			2m    many 12 0; delete r; objects 0; free`},
		{"a paused Registry does not even delete by configuration", `
			0s    sync s; want a 1; want b 2
			1m    mode r Paused; withdraw a s; want a; is a 1; suppressed delete:a
			2m    mode r Active; gone a`},
		{"the Registries are counted one by one", "0s sync s; sync t; many 11 1; want x t/91; want y t/92\n1m " + withdrawAll("1", "11") + `
			1m    withdraw x t; want x; gone x; holds ConfirmRemoval 11`},
	})
}
