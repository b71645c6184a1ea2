# The images of the Dockerfile at the root, around binaries that the host has built (scripts/images).
ARG BASE_IMAGE=sluice-base
FROM ${BASE_IMAGE} AS base
USER 65532:65532
WORKDIR /

FROM base AS worker
COPY demo /usr/local/bin/demo
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 CMD ["demo", "health"]
ENTRYPOINT ["demo"]
LABEL org.opencontainers.image.title="sluice-demo" org.opencontainers.image.licenses="MIT OR Apache-2.0"

FROM base AS gateway
COPY sluice /usr/local/bin/sluice
EXPOSE 4000 4001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 CMD ["sluice", "health"]
ENTRYPOINT ["sluice"]
CMD ["serve"]
LABEL org.opencontainers.image.title="sluice" org.opencontainers.image.licenses="MIT OR Apache-2.0"
