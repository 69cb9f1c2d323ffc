#!/usr/bin/env bash
# Refuses what no linter refuses: reminders in the code, tests that are skipped without a word, suppressions without a reason, and
# fixed sleeps. Looks at what git knows and what it would add.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bad=0
# refuse PATTERN MESSAGE PATHSPEC… prints the lines that match the extended regular expression.
refuse() {
  local pattern=$1 message=$2
  shift 2
  if git grep --untracked -nE "$pattern" -- "$@" ':!*/testdata/*' ':!hack/check-source.sh'; then
    echo "check-source: $message" >&2
    bad=1
  fi
}
code=('*.go' '*.sh' '*.java' 'Makefile' '.ci/*')
refuse '\b(TODO|FIXME|XXX)\b' 'finish it, or open an issue' "${code[@]}"
refuse '\.(Skip\(\)|SkipNow\()' 'say why the test is skipped: t.Skip("reason")' '*.go'
refuse '//nolint(:[a-z,]+)?[[:space:]]*$' 'say why: //nolint:name // reason' '*.go'
refuse '\btime\.Sleep\(' 'wait for what you wait for (in testing/synctest: <-time.After(d))' '*.go'
exit "$bad"
