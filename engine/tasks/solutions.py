"""Gold labels that files give as a worked solution: GSM8K's `#### 18`, MetaMathQA's `The answer is: 18`."""

from __future__ import annotations

import re

_HASHES = re.compile(r"^####[^\S\n]*(\S[^\n]*)\s*\Z", re.MULTILINE)
_STATED = "The answer is:"


def find_result(solution: str) -> str:
    """What a solution ends in: behind its last `The answer is:`, or on a last line behind `####`; else all of it."""
    stated = solution.rpartition(_STATED)[2].strip() if _STATED in solution else ""
    hashes = _HASHES.search(solution)
    return stated or (hashes[1].strip() if hashes else solution.strip())
