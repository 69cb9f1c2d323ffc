package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Cluster says which ServiceEntries RecordCluster watches.
type Cluster struct {
	// Etcd is the URL of the etcd behind the API server.
	Etcd string
	// Namespace is that of the objects.
	Namespace string
}

// prefix is where the API server stores the ServiceEntries of the namespace.
func (c Cluster) prefix() string {
	return "/registry/networking.istio.io/serviceentries/" + c.Namespace + "/"
}

// RecordCluster starts to record the ServiceEntries of a namespace, until Close. It asks no API server, which may be down and begins a
// new history at each start, but the etcd behind it: there each write is one revision, and a watch misses none. A version is what somebody
// could tell from another one: what the API server notes for itself (managedFields, generation, times, uid, resourceVersion) is left out.
func RecordCluster(ctx context.Context, cluster Cluster) (*Recorder, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := newRecorder()
	watch := &clusterWatch{Recorder: r, cluster: cluster}
	body, err := watch.start(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch etcd: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := watch.run(json.NewDecoder(body)); ctx.Err() == nil {
			r.miss(fmt.Errorf("watch etcd: %w", err))
		}
	}()
	r.end = func() error {
		cancel()
		<-done
		return body.Close()
	}
	return r, nil
}

// clusterWatch feeds a recorder from etcd, by its JSON gateway.
type clusterWatch struct {
	*Recorder
	cluster Cluster
}

// keyValue is one key of etcd; bytes travel as base64, numbers as strings.
type keyValue struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

// start keeps what is there, and returns the stream of what comes behind it.
func (w *clusterWatch) start(ctx context.Context) (io.ReadCloser, error) {
	prefix := []byte(w.cluster.prefix())
	end := append(bytes.Clone(prefix[:len(prefix)-1]), '/'+1)
	body, err := w.post(ctx, "/v3/kv/range", map[string]any{"key": prefix, "range_end": end})
	if err != nil {
		return nil, err
	}
	var there struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
		Kvs []keyValue `json:"kvs"`
	}
	err = errors.Join(json.NewDecoder(body).Decode(&there), body.Close())
	if err != nil {
		return nil, err
	}
	revision, err := strconv.ParseInt(there.Header.Revision, 10, 64)
	if err != nil {
		return nil, err
	}
	for _, kv := range there.Kvs {
		w.note(kv, false, true)
	}
	return w.post(ctx, "/v3/watch", map[string]any{"create_request": map[string]any{
		"key": prefix, "range_end": end, "start_revision": strconv.FormatInt(revision+1, 10),
	}})
}

func (w *clusterWatch) post(ctx context.Context, path string, question any) (io.ReadCloser, error) {
	text, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cluster.Etcd+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(errors.New(response.Status), response.Body.Close())
	}
	return response.Body, nil
}

// run keeps what the stream tells until it ends.
func (w *clusterWatch) run(stream *json.Decoder) error {
	for {
		var answer struct {
			Result struct {
				Canceled bool `json:"canceled"`
				Events   []struct {
					Type string   `json:"type"`
					Kv   keyValue `json:"kv"`
				} `json:"events"`
			} `json:"result"`
		}
		if err := stream.Decode(&answer); err != nil {
			return err
		}
		if answer.Result.Canceled {
			return errors.New("etcd has cancelled the watch")
		}
		for _, event := range answer.Result.Events {
			w.note(event.Kv, event.Type == "DELETE", false)
		}
	}
}

// note keeps one version of one object.
func (w *clusterWatch) note(kv keyValue, deleted, found bool) {
	v := Version{File: w.cluster.Namespace + "/" + strings.TrimPrefix(string(kv.Key), w.cluster.prefix()), At: time.Now(), Found: found}
	if !deleted {
		text, err := told(kv.Value)
		if err != nil {
			w.miss(fmt.Errorf("read %s: %w", v.File, err))
			return
		}
		v.Data = text
	}
	w.keep(v)
}

// told returns what an object tells its readers.
func told(stored []byte) ([]byte, error) {
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(stored, &u.Object); err != nil {
		return nil, err
	}
	for _, field := range []string{"managedFields", "generation", "creationTimestamp", "uid", "resourceVersion"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	return json.Marshal(u.Object)
}
