// Package dubboapp reads what Apache Dubbo 3 writes of an application, apart from where it writes it: the endpoints of an instance, the
// services of a revision, the mapping from interfaces to applications, and the definitions of services.
package dubboapp

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
)

// Keys of an instance's metadata.
const (
	// KeyRevision names the set of services that the instance offers; it is a hash of their description.
	KeyRevision = "dubbo.metadata.revision"
	// KeyEndpoints has the ports of the instance, one for each protocol, see ParseEndpoints.
	KeyEndpoints = "dubbo.endpoints"
	// KeyURLParams says how to call the metadata service of the instance.
	KeyURLParams = "dubbo.metadata-service.url-params"
	// keyStorage, keyMetadataVersion and keyTimestamp are of no use to anybody but Dubbo.
	keyStorage         = "dubbo.metadata.storage-type"
	keyMetadataVersion = "meta-v"
	keyTimestamp       = "timestamp"
)

// IsInternal says whether a key of an instance's metadata is for Dubbo itself, or changes at each start.
func IsInternal(key string) bool {
	switch key {
	case KeyRevision, KeyEndpoints, KeyURLParams, keyStorage, keyMetadataVersion, keyTimestamp:
		return true
	}
	return false
}

// NoServices is the revision of an instance that offers nothing yet.
const NoServices = "0"

// Errors of documents that are JSON, but not what they should be.
var (
	errNoObject    = errors.New("the document is no object")
	errNoInterface = errors.New("a service has no interface")
)

// Endpoint is one port of an instance.
type Endpoint struct {
	Protocol string `json:"protocol"`
	Port     int64  `json:"port"`
}

// ParseEndpoints reads the value of KeyEndpoints, sorted by protocol and port. The error says why it is none.
func ParseEndpoints(text string) ([]Endpoint, error) {
	var list []Endpoint
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("%s: %w", KeyEndpoints, err)
	}
	for i := range list {
		list[i].Protocol = strings.ToLower(list[i].Protocol)
	}
	slices.SortFunc(list, Endpoint.Compare)
	return slices.Compact(list), nil
}

// Compare orders endpoints by protocol and port.
func (e Endpoint) Compare(o Endpoint) int {
	return cmp.Or(cmp.Compare(e.Protocol, o.Protocol), cmp.Compare(e.Port, o.Port))
}

// Service is a service of an application, with one of its protocols where that is known.
type Service struct {
	Interface, Group, Version string
	// Endpoint is where it is offered; its Protocol is empty where only the instance knows, its Port 0.
	Endpoint
	// Params are the parameters of its URL, shared and never changed.
	Params map[string]string
}

// Compare orders services by interface, group, version and endpoint.
func (s Service) Compare(o Service) int {
	return cmp.Or(
		cmp.Compare(s.Interface, o.Interface), cmp.Compare(s.Group, o.Group), cmp.Compare(s.Version, o.Version),
		s.Endpoint.Compare(o.Endpoint),
	)
}

// ParseRevision reads the description of a revision, which Dubbo writes with metadata-type=remote, sorted. What is offered within the
// process only, and Dubbo's own metadata service, is left out. The error wraps source.ErrMalformed.
func ParseRevision(data []byte) ([]Service, error) {
	var doc *struct {
		Services map[string]*struct {
			Name     string            `json:"name"`
			Group    string            `json:"group"`
			Version  string            `json:"version"`
			Protocol string            `json:"protocol"`
			Port     int64             `json:"port"`
			Params   map[string]string `json:"params"`
		} `json:"services"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	if doc == nil {
		return nil, fmt.Errorf("%w: %w", source.ErrMalformed, errNoObject)
	}
	list := make([]Service, 0, len(doc.Services))
	for _, s := range doc.Services {
		if s == nil || s.Name == "" || strings.Contains(s.Name, "/") {
			return nil, fmt.Errorf("%w: %w", source.ErrMalformed, errNoInterface)
		}
		if s.Protocol == "injvm" || isMetadataService(s.Name) {
			continue
		}
		list = append(list, Service{
			Interface: s.Name, Group: s.Group, Version: dubboprovider.Version(s.Version), Params: s.Params,
			Endpoint: Endpoint{Protocol: strings.ToLower(s.Protocol), Port: s.Port},
		})
	}
	slices.SortFunc(list, Service.Compare)
	return list, nil
}

func isMetadataService(name string) bool {
	return strings.HasPrefix(name, "org.apache.dubbo.metadata.MetadataService")
}

// ParseMapping reads which applications offer an interface, sorted. Dubbo only ever adds to it.
func ParseMapping(data []byte) []string {
	var apps []string
	for app := range strings.SplitSeq(string(data), ",") {
		if app = strings.TrimSpace(app); app != "" {
			apps = append(apps, app)
		}
	}
	slices.Sort(apps)
	return slices.Compact(apps)
}

// ParseDefinition reads the group and the version from the definition of a service, which Dubbo writes for its administrators. The error
// says why it is none.
func ParseDefinition(data []byte) (group, version string, err error) {
	var doc *struct {
		Parameters struct {
			Group   string `json:"group"`
			Version string `json:"version"`
		} `json:"parameters"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return "", "", fmt.Errorf("no definition: %w", err)
	}
	if doc == nil {
		return "", "", errNoObject
	}
	return doc.Parameters.Group, dubboprovider.Version(doc.Parameters.Version), nil
}
