package plan

import "testing"

func TestVanished(t *testing.T) {
	runScenarios(t, []scenario{
		{"the emptied object goes after deleteAfter, in a quiet system", `
			0s    sync s; want a 1; want b 2
			1m    want a
			4m    is a; held a object by Vanished until 14m; wake 14m
			13m59s is a
			14m   gone a; free; wake never`},
		{"a service that comes back is applied, and starts anew", `
			0s    sync s; want a 1; want b 2
			1m    want a
			5m    want a 3; is a 3; free
			6m    want a
			9m    is a; held a object by Vanished until 19m`},
		{"after a restart the time starts again", `
			0s    sync s; want a 1; want b 2
			1m    want a
			10m   restart s
			11m   sync s; held a object by Vanished until 21m
			21m   gone a`},
		{"is released by a person", `
			0s    sync s; want a 1; want b 2
			1m    want a
			5m    release r Vanished; gone a`},
		{"does not delete what it could not empty", `
			0s    sync s; want a 1; want b 2
			1m    want a
			3m    offline
			20m   is a 1; event; held a object by Vanished until 14m
			21m   online; event; gone a`},
		{"a service that is gone and one without usable instance have one fate, shard by shard", `
			0s    sync s; want a 1; want a#2 2; want b 3
			1m    want a; want a#2; held a 1 2 by EmptyService until 4m
			4m    is a; is a#2
			14m   gone a; gone a#2`},
	})
}
