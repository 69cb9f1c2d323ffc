// Probe is what the suite runs in pods besides the bridge.
//
//	probe serve          answers HTTP on port 8080 with the name of its pod
//	probe get N URL…     gets each URL N times, each over a new connection, and prints the answers, one in a line; a connection that is
//	                     refused is tried again for a while, because a pod is ready a moment before kube-proxy knows it
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := probe(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func probe(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve(ctx)
	case len(args) > 2 && args[0] == "get":
		return getAll(ctx, args[1], args[2:])
	}
	return fmt.Errorf("no such command: %q", args)
}

func serve(ctx context.Context) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: ":8080", ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }),
	}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func getAll(ctx context.Context, times string, urls []string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	for _, url := range urls {
		for range n {
			answer, err := await(ctx, url)
			if err != nil {
				return err
			}
			fmt.Fprintln(os.Stdout, answer)
		}
	}
	return nil
}

// patience bounds one answer.
const patience = 10 * time.Second

// await gets a URL, and tries again for as long as connections are refused.
func await(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		answer, err := get(ctx, url)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-ticker.C:
		}
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody) //nolint:gosec // Getting what it is told to is what it is for.
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request) //nolint:gosec // As above.
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", url, response.Status))
	}
	return string(body), err
}
