"""Lists every package that Tacit needs here with its version and its licence, as the package itself states it.

Exits with 1 where a package states none, or one that asks more of who passes the program on than its own does.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "tacit-studio"
_NO_CLASS = re.compile(r"^(License :: )?(OSI Approved :: )?")
_STRONG = re.compile(r"\b(A?GPL|GNU (Affero )?General|SSPL|BUSL|Commons Clause)", re.IGNORECASE)


def needed(name: str, extras: frozenset[str] = frozenset()) -> list[Distribution]:
    """A package and all it needs on this machine, each once; those that are not installed are left out."""
    waiting, seen, found = [(name, extras)], set(), dict[str, Distribution]()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            package = distribution(one[0])
        except PackageNotFoundError:
            continue
        found[one[0]] = package
        for line in package.requires or ():
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *one[1])):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))
    return list(found.values())


def licence(package: Distribution) -> str:
    """As the package states it: its expression, its classifiers, its text, or how the file of its licence begins."""
    about = package.metadata
    if about.get("License-Expression"):
        return str(about["License-Expression"])
    classes = [text for text in about.get_all("Classifier") or () if text.startswith("License ::")]
    named = [name for text in classes if (name := _NO_CLASS.sub("", text)) and name != "OSI Approved"]
    text = str(about.get("License") or "").strip()
    if named or text:
        return ", ".join(named) or text.splitlines()[0][:80]
    files = [path for path in package.files or () if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
    lines = [line.strip() for path in files for line in path.read_text().splitlines() if line.strip()]
    return f"{lines[0]} (its file)" if lines else ""


if __name__ == "__main__":
    extras = frozenset(sys.argv[1:])
    rows = sorted((canonicalize_name(one.metadata["Name"]), one.version, licence(one)) for one in needed(ROOT, extras))
    for name, version, stated in rows:
        print(f"{name}\t{version}\t{stated or 'not stated'}")
    odd = [name for name, _, stated in rows if not stated or _STRONG.search(stated)]
    if odd:
        sys.exit(f"{len(rows)} packages; to be looked at by a person: {', '.join(odd)}")
