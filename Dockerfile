# All binaries, in two small images: `docker build --target gateway .`, `docker build --target worker .`.
# Needs neither BuildKit nor network at run time. Where images cannot be pulled: scripts/images.

ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

# --- dependencies: a layer that changes with Cargo.lock alone ---
FROM ${RUST_IMAGE} AS build
WORKDIR /src
ENV CARGO_TERM_COLOR=never
# The toolchain is the image's; rust-toolchain.toml would have rustup fetch what only checks need.
COPY Cargo.toml Cargo.lock ./
COPY protocol/Cargo.toml protocol/
COPY telemetry/Cargo.toml telemetry/
COPY broker/Cargo.toml broker/
COPY gateway/Cargo.toml gateway/
COPY worker-sdk/Cargo.toml worker-sdk/
COPY examples/demo/Cargo.toml examples/demo/
COPY examples/library/Cargo.toml examples/library/
COPY examples/embedded/Cargo.toml examples/embedded/
COPY tests/Cargo.toml tests/
COPY bench/Cargo.toml bench/
# Empty sources stand in for ours: what is built here are the dependencies.
RUN set -e; \
    for crate in protocol telemetry broker gateway worker-sdk examples/demo examples/library \
        examples/embedded tests bench; do \
        mkdir -p $crate/src; : > $crate/src/lib.rs; echo 'fn main() {}' > $crate/src/main.rs; \
    done; \
    cargo build --release --locked -p sluice-gateway -p sluice-demo; \
    rm -rf protocol telemetry broker gateway worker-sdk examples tests bench

# --- our own code ---
COPY . .
# Cargo goes by times, and the files of a checkout may be older than the empty ones were.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
    && cargo build --release --locked -p sluice-gateway -p sluice-demo \
    && mkdir /out && cp target/release/sluice target/release/demo /out/

# --- what runs ---
FROM ${BASE_IMAGE} AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# No name is needed: a number is what Kubernetes' runAsNonRoot can check.
USER 65532:65532
WORKDIR /

FROM base AS worker
COPY --from=build /out/demo /usr/local/bin/demo
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 CMD ["demo", "health"]
ENTRYPOINT ["demo"]
LABEL org.opencontainers.image.title="sluice-demo" \
      org.opencontainers.image.description="A worker with one function for each thing that Sluice does" \
      org.opencontainers.image.source="https://github.com/sluice-gateway/sluice" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

FROM base AS gateway
COPY --from=build /out/sluice /usr/local/bin/sluice
EXPOSE 4000 4001
# SIGTERM drains: not ready, no new connections, calls in flight to their end.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 CMD ["sluice", "health"]
ENTRYPOINT ["sluice"]
CMD ["serve"]
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="An API gateway that dispatches client requests over NATS to workers" \
      org.opencontainers.image.source="https://github.com/sluice-gateway/sluice" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
