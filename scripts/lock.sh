#!/bin/sh
# Renews requirements.lock: names and versions only. The lock pins torch 2.13.0; what torch's CUDA build brings besides
# is left to its own wheel, so that the same lock serves the CPU build.
set -eu
bin=$1
sed 's/"torch>=2.13,<2.16"/"torch==2.13.0"/' pyproject.toml > pyproject.lock.toml
trap 'rm -f pyproject.lock.toml' EXIT
mkdir -p build/lock && cp pyproject.lock.toml build/lock/pyproject.toml
"$bin/uv" pip compile --quiet --universal --python-version 3.11 --extra dev --no-emit-index-url --no-annotate \
    --no-header build/lock/pyproject.toml | grep -v -E '^(nvidia|cuda|triton)' > requirements.lock
