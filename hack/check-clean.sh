#!/usr/bin/env bash
# Fails when the checkout differs from its last commit: after `make generate tidy` that means that something generated is stale.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

changed=$(git status --porcelain)
[ -z "$changed" ] && exit 0
git --no-pager diff
printf 'check-clean: these files differ from the last commit; commit them, or what make generate tidy made of them:\n%s\n' "$changed" >&2
exit 1
