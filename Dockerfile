# The engine as a small image, and as another target the gateway: static, without a shell, not root, the root file
# system read-only.
#
#   docker build -t landfall-engine .                           # or buildx --platform linux/amd64,linux/arm64
#   docker run --read-only --memory 2g -p 8470:8470 -v landfall:/var/lib/landfall -v ./engine.yaml:/etc/landfall/engine.yaml:ro landfall-engine
#
#   docker build -t landfall-edge --target edge .
#   docker run --read-only --memory 384m -v gateway:/var/lib/landfall -v ./edge.yaml:/etc/landfall/edge.yaml:ro landfall-edge
#
# The daemons write below /var/lib/landfall only, as user 65532. In a configuration say status: 127.0.0.1:8481 (gateway:
# 8471), or the health check has nobody to ask; what is to be reached from outside the container listens on 0.0.0.0.
# They keep below four fifths of --memory, and state how much that is.
#
# Podman and buildah: add --format docker, or the image has no health check. A buildah that does not know BUILDPLATFORM
# (1.28) builds for another architecture with --build-arg BUILDPLATFORM=linux/amd64 --platform linux/arm64.

FROM --platform=$BUILDPLATFORM golang:1.26.11 AS build
ARG TARGETARCH
ARG VERSION=container
ARG SOURCE_DATE_EPOCH=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY decoders decoders
COPY edge edge
COPY engine engine
COPY sinks sinks
RUN CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -buildid= -X main.version=$VERSION -X landfall/cmd/internal/cli.built=$SOURCE_DATE_EPOCH" \
      -o /built/ ./cmd/landfall-engine ./cmd/landfall-edge && \
    mkdir -p /out/var/lib/landfall /out/etc/landfall /out/etc/ssl/certs && \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ && \
    chown 65532:65532 /out/var/lib/landfall

FROM scratch AS edge
COPY --from=build /out /
COPY --from=build /built/landfall-edge /usr/bin/
USER 65532:65532
VOLUME /var/lib/landfall
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/usr/bin/landfall-edge", "health", "--ready"]
CMD ["/usr/bin/landfall-edge", "run"]

FROM scratch
COPY --from=build /out /
COPY --from=build /built/landfall-engine /usr/bin/
USER 65532:65532
VOLUME /var/lib/landfall
EXPOSE 8470
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/usr/bin/landfall-engine", "health", "--ready"]
CMD ["/usr/bin/landfall-engine", "run"]
