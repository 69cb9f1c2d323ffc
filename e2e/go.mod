// The end-to-end suites run the built binary against real servers. A module of its own keeps their dependencies out of the program.
module github.com/registry-bridge/registry-bridge/e2e

go 1.26.0

replace github.com/registry-bridge/registry-bridge => ../
