package source_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// calls writes down what is named.
type calls []string

func (c *calls) Upsert(svc *model.Service) {
	*c = append(*c, fmt.Sprintf("upsert %s/%s %d", svc.Ref.Unit, svc.Ref.Name, len(svc.Instances)))
}
func (c *calls) Delete(ref model.Ref)        { *c = append(*c, "delete "+ref.Unit+"/"+ref.Name) }
func (c *calls) Skip(ref model.Ref, _ error) { *c = append(*c, "skip "+ref.Unit) }
func (c *calls) Synced()                     { *c = append(*c, "synced") }

// content makes a content of words: "unit/service*instances", or "unit!" for one that is unreadable.
func content(text string) source.Content {
	c := source.Content{Unreadable: map[string]error{}}
	for word := range strings.FieldsSeq(text) {
		if unit, failed := strings.CutSuffix(word, "!"); failed {
			c.Unreadable[unit] = errors.New("unclear")
			continue
		}
		place, _, _ := strings.Cut(word, "*")
		unit, name, _ := strings.Cut(place, "/")
		c.Services = append(c.Services, &model.Service{
			Ref: model.Ref{Source: "s.1", Unit: unit, Name: name}, Instances: make([]model.Instance, strings.Count(word, "*")+1),
		})
	}
	return c
}

// TestFollow: each content, and what is named when it comes after the ones before.
func TestFollow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		contents []string
		want     []string
	}{
		{"nothing", []string{""}, []string{"synced"}},
		{"no change", []string{"a/x b/y", "b/y a/x"}, []string{"upsert a/x 1", "upsert b/y 1", "synced"}},
		{"change", []string{"a/x", "a/x*"}, []string{"upsert a/x 1", "synced", "upsert a/x 2"}},
		{"comes and goes", []string{"a/x", "b/y"}, []string{"upsert a/x 1", "synced", "upsert b/y 1", "delete a/x"}},
		{"moves", []string{"a/x", "b/x"}, []string{"upsert a/x 1", "synced", "upsert b/x 1", "delete a/x"}},
		{"fails, and is as before", []string{"a/x b/y", "a! b/y", "a/x b/y"}, []string{
			"upsert a/x 1", "upsert b/y 1", "synced", "skip a", "upsert a/x 1",
		}},
		{"fails, and has lost a service", []string{"a/x a/y", "a!", "a/x"}, []string{
			"upsert a/x 1", "upsert a/y 1", "synced", "skip a", "upsert a/x 1", "delete a/y",
		}},
		{"fails, and is gone", []string{"a/x", "a!", ""}, []string{"upsert a/x 1", "synced", "skip a", "delete a/x", "delete a/"}},
		{"fails at the start, and is empty", []string{"a!", ""}, []string{"skip a", "synced", "delete a/"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got calls
			failure := errors.New("no more")
			rest := slices.Clone(tt.contents)
			err := source.Follow(t.Context(), &got, "s.1", func(context.Context) (source.Content, error) {
				if len(rest) == 0 {
					return source.Content{}, failure
				}
				next := rest[0]
				rest = rest[1:]
				return content(next), nil
			})
			if !errors.Is(err, failure) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, []string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestFollowEnds: once the context has ended, nothing is named any more, and its end is no error.
func TestFollowEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var got calls
	err := source.Follow(ctx, &got, "s.1", func(context.Context) (source.Content, error) {
		cancel()
		return content("a/x"), nil
	})
	if err != nil || len(got) > 0 {
		t.Errorf("error %v, calls %v", err, got)
	}
}
