// Pause is the first process of each pod's sandbox: it holds the namespaces that the containers share, reaps what is left to it, and
// ends when it is told to.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for reaped := 1; reaped > 0; {
			var err error
			if reaped, err = syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil {
				break
			}
		}
	}
}
