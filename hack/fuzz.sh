#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time, one after the other: fuzz.sh 20s. New targets are found by themselves.
# What a failing target found is written to its testdata/fuzz: commit it with the fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

duration=${1:?usage: fuzz.sh DURATION}
found=0
for file in $(git grep --untracked -lE '^func Fuzz[A-Z]' -- '*_test.go' ':!e2e/*'); do
  dir=./$(dirname "$file")
  while read -r target; do
    found=$((found + 1))
    echo "fuzz $dir $target for $duration"
    # Making an interesting input smaller takes up to a minute by default, in which nothing new is tried.
    go test -fuzzminimizetime 50x -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$dir" </dev/null
  done < <(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$file")
done
echo "fuzz: $found targets"
