package plan

import "testing"

func TestUnsynced(t *testing.T) {
	runScenarios(t, []scenario{
		{"a wipe during a restart of the bridge: empty lists of sources that have not synced", `
			0s    live a 1 2; live b 3
			0s    is a 1 2; held a 1 2 by Unsynced; held b 3 by Unsynced; holds Unsynced 3; wake never
			30m   is a 1 2
			30m   want a 1 2; want b 3; sync s; free`},
		{"additions flow early", `
			0s    live a 1 2; want a 3; is a 1 2 3; held a 1 2 by Unsynced
			1m    want a 2 3; sync s; is a 2 3; free`},
		{"after the first listing the other guards look", `
			0s    live a 1 2; live b 3; want b 3
			5m    sync s; held a 1 2 by EmptyService until 8m
			8m    is a`},
		{"each source by itself", `
			0s    live a 1 t/2 t/3; sync t
			1m    held a 1 by Unsynced; held a t/2 t/3 by EmptySource until 10m
			10m   is a 1`},
		{"what another source may have, too, waits for that", `
			0s    live a 1 2 3; list t; sync s; want a 1 2; held a 3 by Unsynced until 1m
			10s   sync t; want a 1 2 t/3; is a 1 2 t/3; free
			20s   want a 1 t/3; is a 1 t/3`},
		{"but not for ever, and not later", `
			0s    live a 1 2 3; list t; sync s; want a 1 2; held a 3 by Unsynced until 1m
			1m    is a 1 2
			2m    want a 1; is a 1`},
		{"an emptied object stays until every source of its Registry has listed", `
			0s    live a; scopes r s u; sync s; held a object by Unsynced
			30m   sync u; held a object by Vanished until 40m
			40m   gone a`},
		{"unknown provenance is held until every source of its Registry is synced, then it is configuration", `
			0s    live a x/1 2; scopes r s u; sync s; want a 2
			0s    held a x/1 by Unsynced
			30m   fail s; sync u; held a x/1 by Unsynced
			31m   sync s; is a 2; free`},
		{"a scope that was removed takes its objects along at once", `
			0s    live a x/1; live b 2; sync s; want b 2; gone a; is b 2`},
		{"a Registry without sources has not said anything", `
			0s    live a x/1; scopes r; held a x/1 by Unsynced`},
		{"cannot be released: nothing is known", `
			0s    live a 1; release r Unsynced; held a 1 by Unsynced
			1m    release r *; held a 1 by Unsynced`},
	})
}
