package sourcetest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// toyAnswerTime is how long an answer may take, toyMaxAnswer how large it may be, in bytes.
	toyAnswerTime = 5 * time.Second
	toyMaxAnswer  = 1 << 20
)

// toySource watches a registry that is asked by a line of text over TCP:
//
//	LIST <token>   ->   OK                            or DENIED
//	                    <service> <host> <port> <weight>, a line for each instance
//	                    END
type toySource struct {
	id          model.SourceID
	addr, token string
	interval    time.Duration
}

// Run implements source.Source.
func (s *toySource) Run(ctx context.Context, sink source.Sink) error {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	first := true
	next := func(ctx context.Context) (source.Content, error) {
		if !first {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return source.Content{}, ctx.Err()
			}
		}
		first = false
		lines, err := s.list(ctx)
		if err != nil {
			return source.Content{}, err
		}
		return toyContent(s.id, lines), nil
	}
	if err := source.Follow(ctx, sink, s.id, next); err != nil {
		return fmt.Errorf("toy: %w", err)
	}
	return nil
}

// list asks once, and returns the lines of a complete answer. An error has a class, and never holds the token.
func (s *toySource) list(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, toyAnswerTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
	defer conn.Close()
	// A connection does not know the context: its end is the end of the connection.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := fmt.Fprintf(conn, "LIST %s\n", s.token); err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
	answer := bufio.NewScanner(io.LimitReader(conn, toyMaxAnswer))
	answer.Scan()
	switch answer.Text() {
	case "OK":
	case "DENIED":
		return nil, fmt.Errorf("%w: denied", source.ErrUnauthorized)
	case "":
		return nil, fmt.Errorf("%w: no answer", source.ErrUnavailable)
	default:
		return nil, fmt.Errorf("%w: it begins with neither OK nor DENIED", source.ErrMalformed)
	}
	var lines []string
	for answer.Scan() {
		if answer.Text() == "END" {
			slices.Sort(lines) // Another order is no news.
			return lines, nil
		}
		lines = append(lines, answer.Text())
	}
	return nil, fmt.Errorf("%w: the answer is cut off", source.ErrUnavailable)
}

// toyContent makes services of lines. It is pure.
func toyContent(id model.SourceID, lines []string) source.Content {
	var content source.Content
	services := map[string]*model.Service{}
	ids := map[string]bool{}
	for i, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		svc := services[name]
		if svc == nil {
			svc = &model.Service{Ref: model.Ref{Source: id, Unit: name, Name: name}}
			services[name] = svc
			content.Services = append(content.Services, svc)
		}
		inst := toyInstance(rest)
		if inst.Problem == "" && ids[name+" "+inst.ID] {
			inst.Problem = reason.Problem(reason.DuplicateEndpoint, "the line before has the same place")
		}
		if inst.Problem != "" {
			inst.ID = "line " + strconv.Itoa(i)
		}
		ids[name+" "+inst.ID] = true
		svc.Instances = append(svc.Instances, inst)
	}
	return content
}

// toyInstance reads "<host> <port> <weight>". What makes no sense is a Problem: the other instances are as good as before.
func toyInstance(text string) model.Instance {
	var host string
	var port, weight uint32
	if n, err := fmt.Sscanf(text, "%s %d %d", &host, &port, &weight); n != 3 || err != nil {
		return model.Instance{Problem: reason.Problem(reason.MalformedName, "the line is not <service> <host> <port> <weight>")}
	}
	if port == 0 || port > 65535 {
		return model.Instance{Address: host, Problem: reason.Problem(reason.PortOutOfRange, fmt.Sprintf("port %d", port))}
	}
	return model.Instance{
		ID: net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)), Address: host, Ports: []model.Port{{Number: port}}, Weight: weight,
	}
}
