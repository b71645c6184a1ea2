# Stands in for the official image of the same name: same entry point, same paths.
ARG BASE_IMAGE=sluice-base-servers
FROM ${BASE_IMAGE}
EXPOSE 6379
RUN mkdir -p /data && chown 999:1000 /data
USER 999:1000
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
