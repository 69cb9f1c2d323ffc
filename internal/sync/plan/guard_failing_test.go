package plan

import "testing"

func TestFailing(t *testing.T) {
	runScenarios(t, []scenario{
		{"holds what a failing source does not name, while others move freely", `
			0s    sync s; sync t; want a 1 2 t/3 t/4; want b 5
			1m    fail s; want a 2 t/4; is a 1 2 t/4; held a 1 by Failing; wake never
			2h    is a 1 2 t/4
			2h    sync s; is a 2 t/4; free`},
		{"maxHold ends it", `
			0s    sync s; want a 1 2; want b 5; maxhold r 30m
			1m    fail s; want a 2; held a 1 by Failing until 31m
			30m59s is a 1 2
			31m   is a 2; free`},
		{"what is empty when maxHold ends has its grace", `
			0s    sync s; want a 1 2; want b 5; maxhold r 30m
			1m    fail s; want a; held a 1 2 by Failing until 31m
			31m   held a 1 2 by EmptyService until 34m
			34m   is a`},
		{"a failing unit never read after a restart", `
			0s    live a 1 2; live b 3 4; sync s; unit s a unread; want b 3
			0s    is a 1 2; held a 1 2 by Failing; is b 3; wake never
			1h    unit s a ok; want a 1; is a 1; free`},
		{"a unit is known by its annotation, else by the name of the service", `
			0s    live a 1; annotate a unit u1; live b 2; annotate b unit b1; live c 3; sync s; unit s u1 unread; unit s b unread; want c 3
			0s    held a 1 by Failing; held b 2 by EmptyService until 3m`},
		{"a unit in an object of another Registry cannot be told, and is held", `
			0s    live a t/9 1; live c 3; sync s; sync t; unit s other unread; want c 3; want a t/9
			0s    held a 1 by Failing`},
		{"a unit that was read before holds nothing: its last state is desired", `
			0s    sync s; want a 1 2; want b 3
			1m    unit s a read; want a 1; is a 1; free`},
		{"maxHold ends a failing unit", `
			0s    live a 1 2; live b 3; want b 3; maxhold r 10m; sync s; unit s a unread; held a 1 2 by Failing until 10m
			10m   held a 1 2 by EmptyService until 13m`},
		{"an emptied object of a failing unit stays", `
			0s    live a; live b 3; want b 3; sync s; unit s a unread; held a object by Failing
			1h    unit s a ok; held a object by Vanished until 1h10m`},
	})
}
