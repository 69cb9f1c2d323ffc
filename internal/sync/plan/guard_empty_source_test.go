package plan

import "testing"

func TestEmptySource(t *testing.T) {
	runScenarios(t, []scenario{
		{"holds everything, for holdFor, in a quiet system", `
			0s    sync s; want a 1 2; want b 3
			1m    want a; want b
			1m    held a 1 2 by EmptySource until 11m; held b 3 by EmptySource until 11m; holds EmptySource 3; wake 11m
			10m59s is a 1 2; is b 3
			11m   is a; is b; held a object by Vanished until 21m
			21m   gone a; gone b; wake never`},
		{"ends on recovery; the services that stay empty get their own grace from then on", `
			0s    sync s; want a 1 2; want b 3
			1m    want a; want b
			6m    want a 1; is a 1 2; held a 2 by EmptyService until 9m; held b 3 by EmptyService until 9m
			9m    is a 1; is b`},
		{"nine instances, restarted empty and registering again", `
			0s    sync s; want a 1 2 3; want b 4 5 6; want c 7 8 9
			1m    want a; want b; want c; holds EmptySource 9
			2m    want b 4; holds EmptyService 8
			2m10s want a 1 2 3; want c 7
			2m10s is a 1 2 3; is b 4 5 6; is c 7 8 9
			2m20s want b 4 5 6; want c 7 8 9; free
			20m   is a 1 2 3; is b 4 5 6; is c 7 8 9`},
		{"is released by a person, and with it what it was a part of", `
			0s    sync s; want a 1 2; want b 3
			1m    want a; want b
			2m    release r EmptySource; is a; is b; held a object by Vanished until 12m`},
		{"the release of one incident is not that of the next", `
			0s    sync s; want a 1 2
			1m    want a
			2m    release r EmptySource; is a
			3m    want a 1 2
			4m    want a; is a 1 2; held a 1 2 by EmptySource until 14m`},
		{"the time in Failing does not count", `
			0s    sync s; want a 1 2
			1m    want a; wake 11m
			5m    fail s; held a 1 2 by Failing
			15m   is a 1 2
			15m   sync s; held a 1 2 by EmptySource until 21m
			21m   is a`},
		{"does not concern another source, nor one that never had anything", `
			0s    sync s; sync t; want a 1; want b t/2 t/3
			1m    want a; want b t/2; is b t/2; held a 1 by EmptySource until 11m`},
		{"a source whose endpoints all belong to another one is not empty", `
			0s    sync s; sync t; want a 1 2 t/3; claims a t/1 t/2
			1m    want a 1 2; claims a t/1 t/2; is a 1 2; free
			2m    want a t/1 2; claims a t/2; is a t/1 2
			3m    want a 2; claims a t/2; is a 2; free
			4m    want a; held a 2 by EmptySource until 14m`},
		{"does not trip again while the source stays empty", `
			0s    sync s; want a 1; want b 2
			1m    want a; want b
			11m   is a; event; is a
			12m   event; held a object by Vanished until 21m
			13m   want a 1; is a 1
			14m   want a; held a 1 by EmptySource until 24m`},
		{"what configuration takes away is no loss", `
			0s    sync s; want a 1; want b 2
			1m    withdraw a s; withdraw b s; want a; want b; gone a; gone b; free`},
	})
}
