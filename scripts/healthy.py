"""Says by its exit code whether the studio at an address answers."""

from __future__ import annotations

import sys
import urllib.request

if __name__ == "__main__":
    try:
        sys.exit(urllib.request.urlopen(sys.argv[1], timeout=5).status != 200)
    except OSError as error:
        sys.exit(f"no answer: {error}")
