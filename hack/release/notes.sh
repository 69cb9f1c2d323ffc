#!/usr/bin/env bash
# Prints the section of a version in CHANGELOG.md, without its heading: notes.sh v1.2.3
set -euo pipefail
version=${1#v}
notes=$(awk -v heading="## [$version]" 'index($0, "## [") == 1 { on = index($0, heading) == 1; next } on && !/^\[[^]]*\]: /' \
  "$(dirname "${BASH_SOURCE[0]}")/../../CHANGELOG.md")
[ -n "$notes" ] || { echo "notes: CHANGELOG.md has no section for $version" >&2; exit 1; }
printf '%s\n' "$notes"
