# The image holds one static binary and nothing else. Base image, target and the tool that puts the list of
# crates into the binary (read by `cargo audit bin`, Trivy, Grype; empty: none) by argument:
#   docker build --build-arg BUILDER=registry.example/rust:1.95 --build-arg REVISION=$(git rev-parse HEAD) -t nadmit:0.1.0 .
ARG BUILDER=docker.io/library/rust:1.95-bookworm
FROM ${BUILDER} AS build
ARG TARGET=x86_64-unknown-linux-gnu
ARG CARGO_AUDITABLE=0.7.7
RUN if [ -n "${CARGO_AUDITABLE}" ]; then cargo install --locked cargo-auditable@${CARGO_AUDITABLE}; fi
WORKDIR /src
COPY . .
RUN TARGET=${TARGET} deploy/build-root.sh /root-fs

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="nadmit" \
      org.opencontainers.image.description="Admission control and address reservation for Kubernetes secondary networks" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
# Root's, but for what nadmit writes: the binary cannot change itself.
COPY --from=build /root-fs/nadmit /nadmit
COPY --from=build /root-fs/manifests /manifests
COPY --from=build --chown=65532:65532 /root-fs/certs /certs
COPY --from=build --chown=65532:65532 /root-fs/run/nadmit /run/nadmit
COPY --from=build --chown=65532:65532 /root-fs/var/lib/nadmit /var/lib/nadmit
USER 65532:65532
ENV NADMIT_LISTEN=0.0.0.0:8443 NADMIT_ADMIN_LISTEN=0.0.0.0:8081 NADMIT_LOG_FORMAT=json NADMIT_DATA_DIR=/var/lib/nadmit
EXPOSE 8443 8081
# Nothing but /certs and /var/lib/nadmit is written: docker run --read-only -v … works. In a cluster:
# deploy/base/deployment.yaml.
ENTRYPOINT ["/nadmit"]
CMD ["serve", "--manifests", "/manifests", "--cert-dir", "/certs"]
