#!/usr/bin/env bash
# Build the image, with or without buildx. usage: docker/build.sh [TAG] [docker build options]
#     docker/build.sh frostline:cpu
#     docker/build.sh frostline:cu130 --build-arg ACCELERATOR=cu130
# CA_BUNDLE and PIP_CONF name files that pip needs on this machine while it builds; they do not stay in the image.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-frostline:cpu}
shift || true
# a client newer than 20.10 builds with BuildKit only where it has buildx; Debian's own has it built in
docker=docker
docker buildx version >/dev/null 2>&1 || { [ -x /usr/bin/docker ] && docker=/usr/bin/docker; }
commit=$(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
DOCKER_BUILDKIT=1 "$docker" build --progress=plain --file docker/Dockerfile --tag "$tag" \
  --secret "id=ca,src=${CA_BUNDLE:-/dev/null}" --secret "id=pip,src=${PIP_CONF:-/dev/null}" \
  --build-arg "VERSION=$version" --build-arg "COMMIT=$commit" "$@" .
