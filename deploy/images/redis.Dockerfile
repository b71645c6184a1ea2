# Stands in for the official image of the same name: same entry point, same paths.
ARG BASE_IMAGE=sluice-base
FROM ${BASE_IMAGE}
EXPOSE 6379
USER 65532:65532
WORKDIR /data
CMD ["redis-server"]
