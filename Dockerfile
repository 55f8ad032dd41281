# The agent, the webhook and the sidecar: one image, one program.
#
#   docker build -t meshcache:0.1.0 .
#
# BASE is any Debian 12+ or Ubuntu 24.04+ image with apt; the packages' versions are its own, Python's
# packages are those of constraints.txt.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
# The compiler and headers are for pyfuse3 alone, which comes as source.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      gcc libfuse3-dev pkg-config python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE MANIFEST.in ./
COPY meshcache ./meshcache
COPY agent ./agent
COPY fuse ./fuse
COPY gossip ./gossip
RUN python3 -m venv /opt/meshcache \
 && /opt/meshcache/bin/pip install --no-cache-dir -c constraints.txt . \
 && find /opt/meshcache -name __pycache__ -prune -exec rm -rf {} + \
 && /opt/meshcache/bin/python -m compileall -q /opt/meshcache/lib

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates fuse3 python3 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65532 -g 65532 /var/cache/meshcache /run/meshcache /meshcache
COPY --from=build /opt/meshcache /opt/meshcache
ENV PATH=/opt/meshcache/bin:$PATH \
    PYTHONUNBUFFERED=1
# Agents and the webhook need no rights. A sidecar that mounts is given root by its pod.
USER 65532:65532
EXPOSE 7440 7441
ENTRYPOINT ["meshcache"]
CMD ["agent"]
