"""Brings a project's file into a workspace: `python -m tests.fakes.bringing FILE WORKSPACE`.

Prints what is told, the MiB that this process and its children took for it, and the projects there are then.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from app.services import open_services
from engine.errors import InputError


def main(file: Path, workspace: Path) -> None:
    with open_services(workspace) as services:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        told = "made"
        try:
            services.carry.bring(file, "brought")
        except InputError as error:
            told = str(error)
        names = [row["name"] for row in services.standing.overview()]
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps([told, (own - before + child) // 1024, names]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
