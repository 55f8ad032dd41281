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
      binutils gcc libfuse3-dev pkg-config python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE MANIFEST.in ./
COPY meshcache ./meshcache
COPY agent ./agent
COPY fuse ./fuse
COPY gossip ./gossip
RUN python3 -m venv /opt/meshcache \
 && /opt/meshcache/bin/pip install --no-cache-dir -c constraints.txt . \
 && /opt/meshcache/bin/pip check \
 && /opt/meshcache/bin/pip uninstall -q -y setuptools pip
# What never runs here goes: tests, debugging symbols, and botocore's descriptions of services other than S3 and
# those that give credentials for it (roles, web identities, single sign-on).
WORKDIR /opt/meshcache/lib
RUN find . -depth -type d \( -name tests -o -name _tests -o -name __pycache__ \) -exec rm -rf {} + \
 && find . -path '*/botocore/data/*' -prune -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc \
      -exec rm -rf {} + \
 && find . -name '*.so' ! -path '*/numpy/*' ! -path '*.libs/*' -exec strip --strip-unneeded {} + \
 && ../bin/python -m compileall -q .

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates fuse3 python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old \
 && install -d -o 65532 -g 65532 /var/cache/meshcache /run/meshcache /meshcache
COPY --from=build /opt/meshcache /opt/meshcache
ENV PATH=/opt/meshcache/bin:$PATH \
    PYTHONUNBUFFERED=1
# Agents and the webhook need no rights. A sidecar that mounts is given root by its pod.
USER 65532:65532
EXPOSE 7440 7441
ENTRYPOINT ["meshcache"]
CMD ["agent"]
