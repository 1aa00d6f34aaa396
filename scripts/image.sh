#!/bin/sh
# Builds the image with docker where its daemon answers, else with buildah (as root or rootless); BUILDER names one.
# BUILD_FLAGS are handed on: --build-arg TORCH_BACKEND=cu128, --build-arg BASE=..., --volume ..., --network host.
# BASE_FROM=debian makes the base from Debian's packages with mmdebstrap, for places that reach no registry of images.
set -eu
name=${1:-tacit-studio}
if [ "${BUILDER:-docker}" = docker ] && docker info > /dev/null 2>&1; then
    exec docker build ${BUILD_FLAGS:-} --tag "$name" .
fi
command -v buildah > /dev/null || {
    echo "Neither docker (with a running daemon) nor buildah was found. On Debian: apt-get install buildah" >&2
    exit 1
}
if [ "${BASE_FROM:-}" = debian ]; then
    base=localhost/python-from-debian
    buildah inspect --type image "$base" > /dev/null 2>&1 || {
        root=$(mktemp --suffix .tar)
        trap 'rm -f "$root"' EXIT
        mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates,libgomp1 "${SUITE:-stable}" "$root"
        container=$(buildah from scratch)
        buildah add --quiet "$container" "$root" /
        buildah commit --quiet --rm "$container" "$base"
    }
    BUILD_FLAGS="${BUILD_FLAGS:-} --build-arg BASE=$base"
fi
# The format of docker's, since the other has no HEALTHCHECK.
[ "$(id -u)" = 0 ] && isolation=chroot || isolation=rootless
buildah build --isolation "$isolation" --format docker --layers ${BUILD_FLAGS:-} --tag "$name" .
