# Stands in for the official image of the same name: same paths, same signal.
ARG BASE_IMAGE=sluice-base-servers
FROM ${BASE_IMAGE}
EXPOSE 4000
USER 65532:65532
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
