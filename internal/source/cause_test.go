package source_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

func TestCause(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want reason.Reason
	}{
		{errors.New("anything"), reason.Unreachable},
		{fmt.Errorf("dial: %w", source.ErrUnavailable), reason.Unreachable},
		{fmt.Errorf("log in: %w", source.ErrUnauthorized), reason.Unauthorized},
		{fmt.Errorf("parse: %w", source.ErrMalformed), reason.MalformedAnswer},
		// A source may say that it was refused because it could not read its credentials; what helps is the secret.
		{fmt.Errorf("%w: %w", source.ErrUnauthorized, source.ErrSecret), reason.SecretUnavailable},
	} {
		if got := source.Cause(tt.err); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.err, got, tt.want)
		}
	}
}
