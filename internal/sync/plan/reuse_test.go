package plan

import "testing"

func TestReusedAddress(t *testing.T) {
	runScenarios(t, []scenario{
		{"an address that another service has had for 60 s leaves the old one", `
			0s    sync s; want a 1 2; want b 3
			1m    want a; held a 1 2 by EmptyService until 4m
			1m30s want b 3 1; wake 2m30s
			2m29s is a 1 2
			2m30s is a 2; held a 2 by EmptyService until 4m
			4m    is a`},
		{"another port is another place", `
			0s    sync s; want a 1 2; want b 3
			1m    want a; want b 3 1:81
			3m    is a 1 2`},
		{"60 s without interruption", `
			0s    sync s; want a 1 2; want b 3; grace r 10m
			1m    want a; want b 3 1
			1m50s want b 3
			1m55s want b 3 1
			2m54s is a 1 2
			2m55s is a 2`},
		{"counted from when both are true", `
			0s    sync s; want a 1 2; want b 3 1
			5m    want a; is a 1 2
			5m59s is a 1 2
			6m    is a 2`},
		{"a source that is not synced is no witness", `
			0s    sync s; sync t; want a 1 2; want b 3; want c t/1
			1m    fail t; want a
			3m    is a 1 2
			3m    sync t; wake 4m`},
		{"any registry guard ends early", `
			0s    live a 1; sync t; want c t/9
			1m    want c t/9 t/1; held a 1 by Unsynced until 2m
			2m    is a; held a object by Unsynced`},
		{"a process with several services has not lost the one that nobody could read", `
			0s    live a 1; live c t/1; sync t; want c t/1; held a 1 by Unsynced
			5m    is a 1; held a 1 by Unsynced
			5m    sync s; held a 1 by EmptySource until 6m`},
		{"nor when it is a unit that cannot be read", `
			0s    live a 1; live b 1 2; sync s; want b 1 2; unit s a unread; held a 1 by Failing
			5m    is a 1; held a 1 by Failing`},
	})
}

// TestReusedUnderTheSameName bridges one service into two namespaces: its own other half is no evidence that an address was reused.
func TestReusedUnderTheSameName(t *testing.T) {
	w := newWorld(t)
	w.policies[1].Namespace = "other"
	twin := w.object("a", []string{"t/1"})
	twin.Key.Namespace = "other"
	w.desired["twin"] = twin
	w.line("0s sync s; sync t; want a 1 2; want b 3")
	w.line("1m want a")
	w.line("3m is a 1 2; held a 1 2 by EmptyService until 4m")
	w.line("3m want c t/1; wake 4m")
}
