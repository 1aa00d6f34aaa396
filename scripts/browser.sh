#!/bin/sh
# Sees to it that there is a Chromium for the browser stories: Debian's, installed where that is possible.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing chromium (Debian's package)" >&2
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } \
        >/dev/null
    exit 0
fi
echo "The browser stories need Chromium: run 'sudo apt-get install chromium', or put a Chrome on the PATH." >&2
exit 1
