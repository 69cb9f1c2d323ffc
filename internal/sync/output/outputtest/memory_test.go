package outputtest_test

import (
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
)

func TestMemory(t *testing.T) {
	outputtest.Run(t, func(*testing.T) outputtest.Place { return &outputtest.Memory{} })
}
