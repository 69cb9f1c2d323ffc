package plan

import "testing"

func TestShardMove(t *testing.T) {
	runScenarios(t, []scenario{
		{"an endpoint is in its new shard before it leaves the old one", `
			0s    sync s; want a 1 2 3
			1m    offline; want a 1; want a#2 2 3; held a 2 3 by ShardMove; is a 1 2 3
			2m    online; event; is a 1; is a#2 2 3; free`},
		{"and back: the shard that nobody needs goes without a grace", `
			0s    sync s; want a 1; want a#2 2 3
			1m    offline; want a 1 2 3; want a#2; held a 2 3 by ShardMove; is a#2 2 3
			2m    online; event; is a 1 2 3; gone a#2; free`},
		{"a removal in a shard is one of the host", `
			0s    sync s; want a 1 2; want a#2 3 4
			1m    want a#2 3; is a 1 2; is a#2 3; free
			2m    want a; want a#2; held a 1 2 3 by EmptySource until 12m
			3m    want a 1; is a 1 2; is a#2 3; held a 2 3 by EmptyService until 6m
			6m    is a 1; gone a#2`},
		{"what is held in a shard that is not desired stays there", `
			0s    sync s; want a 1 2; want a#2 3 t/4
			1m    want a 1 2 3; want a#2; is a 1 2 3; is a#2 t/4; held a t/4 by Unsynced
			2m    ports a tcp-80 tcp-81; want a 1 2 3; serves a tcp-80 tcp-81
			2m    sync t; held a t/4 by EmptySource until 12m
			12m   gone a#2`},
		{"an endpoint that is live twice goes from where it is not desired", `
			0s    live a 1 2; live a#2 2 3; sync s; want a 1 2; want a#2 3; is a 1 2; is a#2 3; free`},
		{"an endpoint that is live twice and gone is held once", `
			0s    live a 1 2; live a#2 2 3; want a 1; want a#2 3; is a 1 2; is a#2 3; held a 2 by Unsynced`},
	})
}
