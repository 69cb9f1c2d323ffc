package plan

import "testing"

func TestPaused(t *testing.T) {
	runScenarios(t, []scenario{
		{"nothing of a paused Registry is written; resumed, it catches up", `
			0s    sync s; sync t; want a 1 2; want b t/3
			1m    mode r Paused; want a 1; want c 4; want b t/4; is a 1 2; gone c; is b t/4
			1m    suppressed remove:a create:c
			2m    mode r Active; is a 1; is c 4; suppressed`},
		{"an observed Registry is planned, not written", `
			0s    mode r Observe; sync s; want a 1; gone a; suppressed create:a
			1m    mode r Active; is a 1`},
		{"frozen writes nothing at all", `
			0s    sync s; sync t; want a 1 2; want b t/3
			1m    freeze; want a 1; want b t/4 t/3; suppressed remove:a update:b; is a 1 2; is b t/3
			2m    thaw; is a 1; is b t/3 t/4`},
		{"guards go on: the grace of what fell empty meanwhile is over when it is resumed", `
			0s    sync s; want a 1; want b 2
			1m    mode r Paused; want a; held a 1 by EmptyService until 4m
			5m    is a 1; suppressed remove:a; free a; wake never
			20m   mode r Active; is a; held a object by Vanished until 30m
			30m   gone a`},
		{"an emptied object is not deleted while frozen", `
			0s    sync s; want a 1; want b 2
			1m    want a
			5m    freeze
			20m   is a; suppressed delete:a
			21m   thaw; gone a`},
		{"the endpoints of a Registry that is not active stay as they are in another one's object", `
			0s    sync s; sync t; want a 1 t/2 t/3; want b 4
			1m    mode q Paused; want a 1 5 t/2 t/6; is a 1 5 t/2 t/3; held a t/3 by Paused
			2m    want a 1 t/2 t/6; is a 1 t/2 t/3
			3m    mode q Active; is a 1 t/2 t/6; free`},
		{"an observed Registry adds nothing to another one's object", `
			0s    mode q Observe; sync s; sync t; want a 1 t/2; want b 3; want c t/4; is a 1; is b 3; suppressed create:c
			1m    mode q Active; is a 1 t/2
			2m    mode q Observe; want a 1; is a 1 t/2; held a t/2 by Observed; wake never`},
		{"an object that only guests would be in is not created", `
			0s    mode q Observe; sync s; sync t; want a 1 t/2; want a#2 3; is a 1
			1m    want a 1 3; want a#2 t/5 t/6; annotate a registry r; is a 1 3`},
	})
}
