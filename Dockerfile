# syntax=docker/dockerfile:1
# For those who build images with Docker. Releases are built by `make image`, which needs none; this file is not run in CI.
#
#	docker buildx build --platform linux/amd64,linux/arm64 -t registry-bridge .
#
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
RUN make release-binaries licenses ARCHS="$TARGETARCH"

FROM scratch
ARG TARGETARCH
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/LICENSE /src/out/THIRD_PARTY_NOTICES /licenses/
COPY --from=build /src/out/linux-$TARGETARCH/registry-bridge /
USER 65532:65532
ENV PATH=/
ENTRYPOINT ["/registry-bridge"]
