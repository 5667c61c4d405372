# The image holds one static binary and nothing else. Base image and target by argument:
#   docker build --build-arg BUILDER=registry.example/rust:1.95 -t nadmit .
ARG BUILDER=docker.io/library/rust:1.95-bookworm
FROM ${BUILDER} AS build
ARG TARGET=x86_64-unknown-linux-gnu
WORKDIR /src
COPY . .
# Static glibc: no libc is needed in the image.
RUN RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --profile dist --locked --target ${TARGET} \
 && mkdir -p /root-fs/var/lib/nadmit /root-fs/manifests /root-fs/certs \
 && cp target/${TARGET}/dist/nadmit /root-fs/nadmit

FROM scratch
LABEL org.opencontainers.image.title="nadmit" \
      org.opencontainers.image.description="Admission control for Kubernetes secondary networks" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chown=65532:65532 /root-fs/ /
USER 65532:65532
ENV NADMIT_LISTEN=0.0.0.0:8443 NADMIT_ADMIN_LISTEN=0.0.0.0:8081 NADMIT_LOG_FORMAT=json
EXPOSE 8443 8081
ENTRYPOINT ["/nadmit"]
CMD ["serve", "--manifests", "/manifests", "--cert-dir", "/certs"]
