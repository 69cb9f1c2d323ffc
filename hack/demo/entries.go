package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// entry is what the demo needs to know of one file.
type entry struct {
	file      string
	addresses []string
	bytes     string
}

// entries are the ServiceEntries in the folder, by host.
type entries map[string]entry

// readEntries reads the folder as istiod would. A file that goes between the listing and the reading is not there.
func readEntries() (entries, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	result := entries{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var object struct {
			Spec struct {
				Hosts     []string
				Endpoints []struct{ Address string }
			}
		}
		if err := yaml.Unmarshal(data, &object); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		e := entry{file: filepath.Base(name), bytes: string(data)}
		for _, endpoint := range object.Spec.Endpoints {
			e.addresses = append(e.addresses, endpoint.Address)
		}
		result[object.Spec.Hosts[0]] = e
	}
	return result, nil
}

func (e entries) equal(o entries) bool {
	return maps.EqualFunc(e, o, func(a, b entry) bool { return a.bytes == b.bytes })
}

func (e entries) endpoints() int {
	n := 0
	for _, entry := range e {
		n += len(entry.addresses)
	}
	return n
}

// String renders what a failed demo shows.
func (e entries) String() string {
	var parts []string
	for _, host := range slices.Sorted(maps.Keys(e)) {
		parts = append(parts, fmt.Sprintf("%s %v", host, e[host].addresses))
	}
	return strings.Join(parts, "; ")
}
