#!/bin/sh
# Sees to it that there is a bubblewrap, which gives a process a small disk or one that can't be written: Debian's package,
# installed where that is possible.
set -eu
if command -v bwrap >/dev/null 2>&1; then exit 0; fi
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing bubblewrap (Debian's package)" >&2
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends bubblewrap; } \
        >/dev/null
    exit 0
fi
echo "These tests need bubblewrap: run 'sudo apt-get install bubblewrap'." >&2
exit 1
