// Package curator reads the nodes of Apache Curator's service discovery (curator-x-discovery): one JSON document for each instance, which
// Spring Cloud ZooKeeper and the application level of Dubbo 3 write alike, with a payload of their own.
package curator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Instance is what is read of a ServiceInstance. Fields that are absent or null have their zero value.
type Instance struct {
	Address string
	// Port and SSLPort are as registered, possibly negative or above 65535.
	Port, SSLPort int64
	// Disabled says that the document has "enabled": false.
	Disabled bool
	// Class is the Java class of the payload, empty where the writer did not say.
	Class string
	// Metadata is the payload's map of that name. Values that are no text have the text of their JSON; nulls are absent.
	Metadata map[string]string
}

var errNoInstance = errors.New("no ServiceInstance: the document is null")

// document is a ServiceInstance as Curator writes it.
type document struct {
	Address *string         `json:"address"`
	Port    *int64          `json:"port"`
	SSLPort *int64          `json:"sslPort"`
	Enabled *bool           `json:"enabled"`
	Payload json.RawMessage `json:"payload"`
}

// Parse reads a document. The error says why it is none.
func Parse(data []byte) (*Instance, error) {
	var doc *document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("no ServiceInstance: %w", err)
	}
	if doc == nil {
		return nil, errNoInstance
	}
	inst := &Instance{Disabled: doc.Enabled != nil && !*doc.Enabled}
	if doc.Address != nil {
		inst.Address = *doc.Address
	}
	if doc.Port != nil {
		inst.Port = *doc.Port
	}
	if doc.SSLPort != nil {
		inst.SSLPort = *doc.SSLPort
	}
	inst.Class, inst.Metadata = payload(doc.Payload)
	return inst, nil
}

// payload reads what both writers put into the payload. Curator lets it be anything, and what is something else says nothing.
func payload(raw json.RawMessage) (class string, metadata map[string]string) {
	var p struct {
		Class    json.RawMessage `json:"@class"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if json.Unmarshal(raw, &p) != nil {
		return "", nil
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(p.Metadata, &values) == nil {
		metadata = make(map[string]string, len(values))
		for key, value := range values {
			if text, ok := textOf(value); ok {
				metadata[key] = text
			}
		}
	}
	class, _ = textOf(p.Class)
	return class, metadata
}

// textOf returns the text of a value, which for everything but a string is its JSON.
func textOf(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", false
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	return strings.Clone(string(raw)), true
}
