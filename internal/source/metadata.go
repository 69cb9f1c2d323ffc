package source

import (
	"fmt"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// maxMetadata is how much metadata of an instance is accepted, in bytes of keys and values.
const maxMetadata = 64 << 10

// MetadataProblem is the model.Instance.Problem of an instance whose metadata is larger than what is accepted, 64 KiB of keys and values;
// empty when it is not.
func MetadataProblem(metadata map[string]string) string {
	size := 0
	for k, v := range metadata {
		size += len(k) + len(v)
	}
	if size <= maxMetadata {
		return ""
	}
	return reason.Problem(reason.MetadataTooLarge, fmt.Sprintf("%d bytes of metadata, %d are accepted", size, maxMetadata))
}
