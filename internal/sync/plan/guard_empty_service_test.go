package plan

import "testing"

func TestEmptyService(t *testing.T) {
	runScenarios(t, []scenario{
		{"a service whose endpoints all belong to another source is not empty", `
			0s    sync s; sync t; want a 1 t/2; claims a t/1; want b t/9
			1m    want a 1; claims a t/1; is a 1; free
			2m    want a t/1; is a t/1; free
			3m    want a; held a 1 by EmptyService until 6m`},
		{"holds what is missing, each return and newcomer frees one", `
			0s   sync s; want a 1 2 3; want b 9
			1m   is a 1 2 3; free
			1m   want a
			1m   is a 1 2 3; held a 1 2 3 by EmptyService until 4m
			2m   want a 2; is a 1 2 3; held a 1 3 by EmptyService until 4m
			3m   want a 2 7 8; is a 2 7 8; free a
			20m  is a 2 7 8`},
		{"lets go when emptyGrace has passed in a quiet system, and keeps the emptied object", `
			0s    sync s; want a 1 2; want b 9
			1m    want a; wake 4m
			3m59s is a 1 2
			4m    is a; held a object by Vanished until 14m
			13m59s is a
			14m   gone a; free; wake never`},
		{"lets go of what is missing when emptyGrace has passed", `
			0s    sync s; want a 1 2 3; want b 9
			1m    want a
			2m    want a 4
			3m59s is a 1 2 4
			4m    is a 4; free`},
		{"frees the same address first", `
			0s    sync s; want a 1 2 3; want b 9
			1m    want a
			2m    want a 2:8080
			2m    is a 1 3 2:8080; held a 1 3 by EmptyService until 4m`},
		{"holds no instance of a service that keeps one", `
			0s    sync s; want a 1 2 3; want b 9
			1m    want a 3; is a 3; free
			2m    want a 1; is a 1; free`},
		{"last instance on a non-default port", `
			0s    sync s; want a 1:8080; want b 9
			1m    want a; is a 1:8080; held a 1:8080 by EmptyService until 4m
			4m    is a`},
		{"counts each source by itself", `
			0s    sync s; sync t; want a 1 2 t/3; want b 9
			1m    want a t/3; is a 1 2 t/3; held a 1 2 by EmptyService until 4m
			4m    is a t/3`},
		{"counts what was there last, not what was on its way out", `
			0s    sync s; want a 1 2 3; want b 9
			1m    offline; want a 3
			1m    want a; held a 3 by EmptyService until 4m
			1m    online; event; is a 3`},
		{"a second fall within the grace does not lengthen it", `
			0s    sync s; want a 1 2; want b 9
			1m    want a
			2m    want a 7; is a 1 7
			3m    want a; is a 1 7; held a 1 7 by EmptyService until 4m
			4m    is a`},
		{"a service that stayed empty does not trip again, one that came back does", `
			0s    sync s; want a 1 2; want b 9
			1m    want a
			4m    is a
			5m    event; is a
			6m    want a 1; is a 1
			7m    want a; held a 1 by EmptyService until 10m
			10m   is a`},
		{"restored within the grace, a new fall has a new grace", `
			0s    sync s; want a 1; want b 9
			1m    want a
			3m    want a 1; free
			3m30s want a; held a 1 by EmptyService until 6m30s`},
		{"flapping at 10 Hz never removes the endpoint", `
			0s    sync s; want a 1; want b 9
			1m    want a
			1m100ms want a 1
			1m200ms want a
			1m300ms want a 1
			1m400ms want a
			1m500ms want a 1; is a 1; free
			9m    is a 1`},
		{"is released by a person, for all services of the source", `
			0s    sync s; want a 1 2; want b 9; want c 5
			1m    want a
			2m    want c; holds EmptyService 3
			2m    release r EmptyService; is a; is c; held a object by Vanished until 12m
			3m    want a 1
			4m    want a; holds EmptyService 1; is a 1`},
		{"released altogether", `
			0s    sync s; want a 1 2; want b 9; release r *
			1m    want a; gone a`},
		{"no grace holds nothing", `
			0s    sync s; want a 1 2; want b 9; grace r 0s
			1m    want a; is a`},
	})
}
