#!/usr/bin/env bash
# Writes the bill of materials of a binary, for GoReleaser, which calls it in its folder of results: sbom.sh BINARY DOCUMENT
set -euo pipefail
binary=$(realpath "$1") document=$(realpath -m "$2")
exec "${GO:-go}" -C "$(dirname "${BASH_SOURCE[0]}")" run . sbom -out "$document" "$binary"
