package plan

import "testing"

func TestMaxServices(t *testing.T) {
	runScenarios(t, []scenario{
		{"hosts beyond the limit wait, the first by name go ahead", `
			0s    sync s; max r 2; want c 1; want a 2; want b 3; is a 2; is b 3; gone c; held c object by TooManyServices; wake never
			1m    want b 3 4; is b 3 4; gone c
			2m    max r 3; is c 1; free`},
		{"what is live stays, whatever the limit", `
			0s    sync s; want a 1; want b 2
			1m    max r 1; want a 1 3; is a 1 3; is b 2; free
			2m    want c 4; held c object by TooManyServices; gone c`},
		{"a host counts once, however many shards it has", `
			0s    sync s; max r 2; want a 1; want a#2 2; want b 3; is a#2 2; is b 3
			1m    want a#3 5; is a#3 5; free
			2m    want c 6; want c#2 7; gone c; gone c#2; held c object object by TooManyServices`},
		{"each Registry has its own limit", `
			0s    sync s; sync t; max r 1; want a 1; want b 2; want c t/3; want d t/4; is a 1; gone b; is c t/3; is d t/4`},
		{"a place that becomes free is taken", `
			0s    sync s; max r 1; want a 1; want b 2
			1m    withdraw a s; want a; gone a; is b 2; free`},
	})
}
