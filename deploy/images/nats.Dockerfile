# Stands in for the official image of the same name: same entry point, same paths.
ARG BASE_IMAGE=sluice-base
FROM ${BASE_IMAGE}
COPY nats-server /usr/local/bin/nats-server
EXPOSE 4222 8222
USER 65532:65532
ENTRYPOINT ["nats-server"]
