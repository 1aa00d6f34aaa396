"""Writes app/shipped/demo.tacit.zip: the demo project as the demo's own recipe computes it, with adapters.

`make shipped-demo` runs the whole recipe first (under an hour); a workspace that has run it is used as it is.
Adapters are kept in float16, rounded to 9 bits of mantissa: those of the stages, and of the student that the verdict
says to ship. Those of the other baselines are left out: their scores stay.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import safetensors.torch
import torch

from app.cli.console import EventBars, err
from app.demo import run_demo
from app.hosted_demo.shipped_project import SHIPPED
from app.recipe import FULL
from app.services import open_services
from app.usecases.evaluation.verdicts import groups_of, judge

MOST_BYTES = 20_000_000


def main(workspace: Path) -> None:
    """Run the recipe, or go on with it, then write the file."""
    with open_services(workspace) as services, EventBars() as bars, tempfile.TemporaryDirectory() as folder:
        found = next((run for run in services.context.runs.all() if run.plan == FULL.plan), None)
        if found is None or found.status != "finished":
            found = run_demo(services, FULL, lambda line: err.print(line), bars).run
        keep: set[str | None] = {name for name, group in groups_of(found).items() if group == "stage"}
        verdict = judge(services.context, found)
        if verdict:
            keep.add(verdict.ship)
        whole = services.carry.export(FULL.project, Path(folder) / "whole.zip", with_runs=True)
        small = Path(folder) / "small.zip"
        shrink(whole, small, keep)
        if small.stat().st_size > MOST_BYTES:
            sys.exit(f"it has {small.stat().st_size:,} bytes; at most {MOST_BYTES:,} are shipped")
        SHIPPED.parent.mkdir(exist_ok=True)
        shutil.copyfile(small, SHIPPED)
    err.print(f"{SHIPPED}: {SHIPPED.stat().st_size:,} bytes")


def shrink(whole: Path, small: Path, keep: set[str | None]) -> None:
    """Leave out the adapters that are not to be kept, and write the weights of the others in float16."""
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for item in source.infolist():
            parts = item.filename.split("/")
            if parts[0] == "adapters" and parts[2] not in keep:
                continue
            data = source.read(item)
            if item.filename.endswith(".safetensors"):
                weights = {name: round_weight(weight) for name, weight in safetensors.torch.load(data).items()}
                data = safetensors.torch.save(weights, metadata={"format": "pt"})
            target.writestr(item.filename, data)


def round_weight(weight: torch.Tensor) -> torch.Tensor:
    """A weight in float16 with 9 bits of mantissa: the last of 10 is 0, which packs a twentieth smaller."""
    bits = weight.half().contiguous().view(torch.int16)
    return ((bits + (bits & 1)) & ~1).view(torch.float16)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
