package translate_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

func unquote(t *testing.T, text string) string {
	t.Helper()
	s, err := strconv.Unquote(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (in *instanceIn) compile(t *testing.T, src *translate.Source) []model.Instance {
	t.Helper()
	inst := model.Instance{
		ID: in.At, Address: in.Address, Ports: in.Ports, Weight: src.DefaultWeight, Health: health(t, in.Health),
		Locality: model.Locality{Region: in.Region, Zone: in.Zone, Subzone: in.Subzone}, Metadata: in.Metadata, Problem: in.Problem,
	}
	if in.Weight != nil {
		inst.Weight = *in.Weight
	}
	if in.At == "" {
		inst.ID = in.Address
	} else if in.Problem == "" {
		protocol, rest, ok := strings.Cut(in.At, "://")
		if !ok {
			protocol, rest = "", in.At
		}
		at := strings.LastIndexByte(rest, ':')
		port, err := strconv.ParseUint(rest[at+1:], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		inst.Address = strings.Trim(rest[:at], "[]")
		inst.Ports = append(inst.Ports, model.Port{Protocol: protocol, Number: uint32(port)})
	}
	all := []model.Instance{inst}
	for i := 1; i < in.Count; i++ {
		addr, err := netip.ParseAddr(all[i-1].Address)
		if err != nil {
			t.Fatal(err)
		}
		next := inst
		next.Address = addr.Next().String()
		next.ID = fmt.Sprintf("%s+%d", inst.ID, i)
		all = append(all, next)
	}
	return all
}

func health(t *testing.T, text string) model.Health {
	t.Helper()
	for h := model.Healthy; h <= model.Disabled; h++ {
		if text == "" || h.String() == text {
			return h
		}
	}
	t.Fatalf("no health %q", text)
	return 0
}
