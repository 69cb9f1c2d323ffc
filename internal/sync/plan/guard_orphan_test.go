package plan

import "testing"

func TestOrphan(t *testing.T) {
	runScenarios(t, []scenario{
		{"objects of a Registry that is gone stay as they are", `
			0s    live a 1 2; live e; forget r; sync t
			0s    is a 1 2; held a object by Orphan; held e object by Orphan; wake never
			1h    is a 1 2; is e; free q`},
		{"an object without our annotation is nobody's", `
			0s    live a x/1; annotate a registry; sync s; is a x/1; held a object by Orphan`},
		{"is adopted by a Registry that wants the host", `
			0s    live a 1 2; forget r; held a object by Orphan
			1m    want a t/1; is a t/1 2; held a 2 by Unsynced
			2m    sync t; is a t/1; free`},
		{"is adopted by a Registry of its name", `
			0s    live a 1 2; live b x/3; want b 3; annotate a registry gone; annotate b registry gone
			0s    held a 1 2 by Unsynced; is b 3; free b`},
		{"what a Registry retained in an object stays, though another one's endpoints in it go", `
			0s    live a x/1 t/2; live b t/3; annotate a registry z; sync s; sync t; want b t/3; held a t/2 by EmptyService until 3m
			0s    held a x/1 by Orphan
			3m    is a x/1; held a object by Orphan`},
		{"what nobody has published stays beside what a Registry that is not configured wants", `
			0s    live a x/1; forget r; sync t; want a 2; is a 2 x/1; held a x/1 by Orphan`},
		{"freed when its Registry comes back", `
			0s    live a x/1; annotate a registry z; sync s; held a object by Orphan
			1m    annotate a registry r; gone a`},
	})
}
