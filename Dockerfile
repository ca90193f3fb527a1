# The image of vernegate: one static binary, and what has to come with it: CA certificates,
# the licences of what is linked (the build ends if one does not fit Apache-2.0), and a list
# of that. "make image" builds it; so does any builder of Dockerfiles, from the root of the
# repository.

# Where images cannot be pulled, any other with Go, a shell and the CA certificates of the
# public does as well. A digest behind the tag (@sha256:…) pins it.
ARG GO_IMAGE=docker.io/library/golang:1.26

# What lists what the binary is made of, as the linker recorded it.
ARG SBOM=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION
ARG SBOM
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.linkedVersion=$VERSION -X main.linkedCommit=$REVISION" \
      -o /out/vernegate ./cmd/vernegate && \
    go run "$SBOM" bin -json -std -noserial -notimestamp -version "$VERSION" -output /out/sbom.cdx.json /out/vernegate && \
    mkdir /out/licenses && cp LICENSE /out/licenses/ && \
    (cd release && go run ./licences/collect -source .. /out/vernegate) > /out/licenses/THIRD_PARTY_LICENSES.txt

FROM scratch
ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="vernegate" \
      org.opencontainers.image.description="A TLS gate in front of an unmodified MQTT broker" \
      org.opencontainers.image.source="https://github.com/vernegate/vernegate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
# For a certificate-acl or a health URL with https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
USER 65532:65532
EXPOSE 8883 9883 8885
ENTRYPOINT ["/vernegate"]
