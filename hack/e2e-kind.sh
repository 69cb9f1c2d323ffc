#!/usr/bin/env bash
# Runs TestInstall of e2e/node in a cluster that kind makes, with the istiod of Istio's own charts: e2e-kind.sh. The registries run on this
# machine, and pods reach them by its address in Docker's network "kind": so this needs Linux, with docker, kind, kubectl, helm and go.
#
#   KIND_CLUSTER   name of the cluster to make (registry-bridge-e2e)
#   KIND_IMAGE     image of its nodes, and so the version of Kubernetes (the default of kind)
#   ISTIO_VERSION  version of Istio's charts (that of Istio's API in e2e/go.mod)
#   KEEP           anything but empty: the cluster stays
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${KIND_CLUSTER:-registry-bridge-e2e}
istio=${ISTIO_VERSION:-$(go -C e2e list -m -f '{{.Version}}' istio.io/client-go)}
istio=${istio#v}
charts=https://istio-release.storage.googleapis.com/charts
# The names by which the test knows them; see e2e/node/main_test.go.
image=registry-bridge.lab/registry-bridge
tags=(test next)

for tool in docker kind kubectl helm go make; do
  command -v "$tool" >/dev/null || { echo "e2e-kind: $tool is missing" >&2; exit 1; }
done
if kind get clusters 2>/dev/null | grep -qxF -- "$name"; then
  echo "e2e-kind: there is a cluster $name already: kind delete cluster --name $name, or set KIND_CLUSTER" >&2
  exit 1
fi

work=$(mktemp -d)
cleanup() {
  if [ -n "${KEEP:-}" ]; then
    echo "e2e-kind: the cluster $name stays; its kubeconfig is $work/kubeconfig"
    return
  fi
  kind delete cluster --name "$name" >/dev/null 2>&1 || true
  rm -rf -- "$work"
}
trap cleanup EXIT

kind create cluster --name "$name" --kubeconfig "$work/kubeconfig" --wait 3m ${KIND_IMAGE:+--image "$KIND_IMAGE"}
export KUBECONFIG=$work/kubeconfig

arch=$(go env GOARCH)
for tag in "${tags[@]}"; do
  make image IMAGE="$image" TAG="$tag" ARCHS="$arch"
  kind load image-archive --name "$name" "out/image/registry-bridge-linux-$arch.tar"
done

helm install istio-base base --repo "$charts" --version "$istio" --namespace istio-system --create-namespace --wait
helm install istiod istiod --repo "$charts" --version "$istio" --namespace istio-system --wait --timeout 5m

# The first IPv4 gateway of the network is this machine.
address=$(docker network inspect kind --format '{{range .IPAM.Config}}{{println .Gateway}}{{end}}' | grep -m1 -E '^[0-9]+(\.[0-9]+){3}$')
go -C e2e test -count=1 -timeout 20m -v -run '^TestInstall$' ./node -kubeconfig "$KUBECONFIG" -address "$address"
