// Package audit reads the audit log of an API server, and judges who wrote.
package audit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// maxLine is the length of the longest line that is read. Events of level Metadata have some kilobytes.
const maxLine = 1 << 20

// podName is where the API server notes in which pod the token of a service account is.
const podName = "authentication.kubernetes.io/pod-name"

// Request is one request about objects, as the API server has noted it.
type Request struct {
	// Group is that of the resource, empty for the core's.
	Group string
	// Resource is the kind of the object in the plural, with the part of it that is written where that is one of its own, as in
	// "serviceentries" and "registries/status".
	Resource string
	// Verb is what was asked for, as in rules of RBAC.
	Verb string
	// User is who asked, and Pod where, for the service account of a pod.
	User, Pod       string
	Namespace, Name string
	// Code is how the API server answered.
	Code int
	// Asked is when the request came, At when it was answered.
	Asked, At time.Time
}

// writer tells those who ask apart: replicas in pods have the same user.
func (r *Request) writer() string {
	if r.Pod != "" {
		return r.Pod
	}
	return r.User
}

// Read returns all requests in an audit log that would write something, in the order of their answers.
func Read(name string) ([]Request, error) {
	requests, err := ReadAll(name)
	return slices.DeleteFunc(requests, func(r Request) bool {
		return !slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb)
	}), err
}

// ReadAll returns all requests in an audit log, those that only read too, in the order of their answers.
func ReadAll(name string) ([]Request, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer file.Close()
	var requests []Request
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var event struct {
			Verb string
			User struct {
				Username string
				Extra    map[string][]string
			}
			// ObjectRef says about which object it was.
			ObjectRef struct{ APIGroup, Resource, Subresource, Namespace, Name string }
			// ResponseStatus is how it was answered.
			ResponseStatus           struct{ Code int }
			RequestReceivedTimestamp time.Time
			StageTimestamp           time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // The last line may still be under way.
		}
		request := Request{
			Group: event.ObjectRef.APIGroup, Resource: event.ObjectRef.Resource, Verb: event.Verb, User: event.User.Username, Namespace: event.ObjectRef.Namespace,
			Name: event.ObjectRef.Name, Code: event.ResponseStatus.Code, Asked: event.RequestReceivedTimestamp, At: event.StageTimestamp,
		}
		if event.ObjectRef.Subresource != "" {
			request.Resource += "/" + event.ObjectRef.Subresource
		}
		if pods := event.User.Extra[podName]; len(pods) == 1 {
			request.Pod = pods[0]
		}
		requests = append(requests, request)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return requests, nil
}
