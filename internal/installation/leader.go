package installation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The port of a replica's HTTP pages: the one of this name, else this number.
const (
	httpPortName    = "http"
	defaultHTTPPort = 8080
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// ErrNoLeader says that no replica leads now.
var ErrNoLeader = errors.New("no replica leads now")

// Leader returns the pod that leads, and the port of its HTTP pages.
func (b *Bridge) Leader(ctx context.Context) (pod *corev1.Pod, port int32, err error) {
	var lease coordinationv1.Lease
	if err := b.Client.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Name}, &lease); err != nil {
		return nil, 0, fmt.Errorf("read the Lease %s/%s: %w", b.Namespace, b.Name, err)
	}
	holder := ""
	if lease.Spec.HolderIdentity != nil {
		holder = *lease.Spec.HolderIdentity
	}
	// The identity of a replica is its host's name, which is that of its pod, and a UUID.
	host, _, ok := strings.Cut(holder, "_")
	if !ok || host == "" {
		return nil, 0, fmt.Errorf("%w: the Lease %s/%s is held by %q", ErrNoLeader, b.Namespace, b.Name, holder)
	}
	pod, err = b.pod(ctx, host)
	if err != nil {
		return nil, 0, err
	}
	return pod, httpPort(pod), nil
}

// maxHostname is the length to which a pod's name is cut for its host's name.
const maxHostname = 63

// pod finds the pod with a host name.
func (b *Bridge) pod(ctx context.Context, host string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	err := b.Client.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: host}, pod)
	if err == nil {
		return pod, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read the pod %s/%s of the leader: %w", b.Namespace, host, err)
	}
	var pods corev1.PodList
	if len(host) >= maxHostname-1 { // A dash or a dot at the cut is left out.
		if err := b.Client.List(ctx, &pods, client.InNamespace(b.Namespace)); err != nil {
			return nil, fmt.Errorf("list the pods of %s: %w", b.Namespace, err)
		}
	}
	for i := range pods.Items {
		if strings.HasPrefix(pods.Items[i].Name, host) {
			return &pods.Items[i], nil
		}
	}
	return nil, fmt.Errorf("%w: it is on host %s, and namespace %s has no such pod (--address reaches one that is not in a pod)", ErrNoLeader, host, b.Namespace)
}

func httpPort(pod *corev1.Pod) int32 {
	for i := range pod.Spec.Containers {
		for _, p := range pod.Spec.Containers[i].Ports {
			if p.Name == httpPortName {
				return p.ContainerPort
			}
		}
	}
	return defaultHTTPPort
}

// AskLeader reads a page of the leader through a port-forward of its own, which is closed before it returns.
func (b *Bridge) AskLeader(ctx context.Context, config *rest.Config, path string) ([]byte, error) {
	pod, port, err := b.Leader(ctx)
	if err != nil {
		return nil, err
	}
	dialer, err := newDialer(config, pod)
	if err != nil {
		return nil, fmt.Errorf("set a port-forward to pod %s/%s up: %w", pod.Namespace, pod.Name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, ready, io.Discard, io.Discard)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("set a port-forward to pod %s/%s up: %w", pod.Namespace, pod.Name, err)
	}
	ended := make(chan struct{})
	var failure error
	go func() {
		defer close(ended)
		failure = forwarder.ForwardPorts()
	}()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case <-ended:
		return nil, fmt.Errorf("forward a port of pod %s/%s: %w", pod.Namespace, pod.Name, cmp.Or(failure, context.Cause(ctx)))
	case <-ready:
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return nil, fmt.Errorf("forward a port of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return Ask(ctx, fmt.Sprintf("http://127.0.0.1:%d%s", ports[0].Local, path))
}

// newDialer returns what connects to a pod through the API server: by WebSocket, and by SPDY where that is not understood, as kubectl does.
func newDialer(config *rest.Config, pod *corev1.Pod) (httpstream.Dialer, error) {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/api", &corev1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
	c, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	url := c.Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	bySPDY := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	byWebSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(byWebSocket, bySPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// Ask reads a page of a bridge.
func Ask(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the bridge: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the bridge's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the bridge answers %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}
