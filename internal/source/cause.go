package source

import (
	"errors"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// Cause sorts an error of a source by what a person does about it: a reason of the condition Connected.
func Cause(err error) reason.Reason {
	switch {
	case errors.Is(err, ErrSecret):
		return reason.SecretUnavailable
	case errors.Is(err, ErrUnauthorized):
		return reason.Unauthorized
	case errors.Is(err, ErrMalformed):
		return reason.MalformedAnswer
	}
	return reason.Unreachable
}
