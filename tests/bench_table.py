"""What the benchmarks measured: printed row by row, and put into a page with the machine's description."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROWS = "TACIT_BENCH_ROWS"
"""The environment variable that names the file of rows, which all processes of a run add to."""
BEGIN = "<!-- written by `make bench` -->"
END = "<!-- end of what `make bench` wrote -->"
_FORMATS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}
_PACKAGES = ("torch", "transformers", "trl", "duckdb", "numpy")


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        part: the heading that it stands under.
        what: what was done.
        value: the figure with its unit.
        peak_gb: the most memory that its process had until then, GiB; None where it tells nothing.
        note: what it compares to.
    """

    part: str
    what: str
    value: str
    peak_gb: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Part:
    """The measurements under one heading."""

    name: str

    def add(self, what: str, value: str, peak_gb: float | None = None, note: str = "") -> None:
        """Print a row, and keep it where a run collects them."""
        peak = "" if peak_gb is None else f"{peak_gb:.2f} GB"
        print(f"{what:66} {value:>18} {peak:>9}  {note}", flush=True)
        if os.environ.get(ROWS):
            with Path(os.environ[ROWS]).open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(Row(self.name, what, value, peak_gb, note))) + "\n")

    def measure(self, what: str, work: Callable[[], Any], note: str = "") -> float:
        """Time one call by the clock, add its row, return seconds."""
        began, spent = time.perf_counter(), time.process_time()
        work()
        seconds, spent = time.perf_counter() - began, time.process_time() - spent
        said = f"{spent:.2f} s of processor time" if seconds >= 1 else ""
        self.add(what, say_seconds(seconds), measure_peak(), "; ".join(filter(None, (note, said))))
        return seconds


def say_seconds(seconds: float) -> str:
    """Seconds with as many digits as tell something."""
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.3f} s"


def measure_peak() -> float:
    """The most memory of this program so far, GiB.

    On Linux `ru_maxrss` would count what its parent had before it started this.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def read_rows(file: Path) -> list[Row]:
    """The rows that a run collected."""
    return [Row(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def describe_machine(load: float) -> str:
    """Processor, memory, system and versions in one sentence each. `load`: the load average before the run began."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{date.today():%-d %B %Y}, in one run, the load average before it {load:.1f}. {os.cpu_count()} cores of "
        f"{_name_processor()}, {memory:.0f} GiB of memory, {platform.system()} {platform.machine()}, "
        f"{_name_accelerator()}. Python {platform.python_version()}, {versions}."
    )


def _name_processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    formats = ", ".join(name for flag, name in _FORMATS.items() if flag in flags)
    return " with ".join(filter(None, (model or platform.processor() or "an unnamed processor", formats)))


def _name_accelerator() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no accelerator"


def render(rows: Sequence[Row], machine: str) -> str:
    """The rows as Markdown, a table a part, in the order in which parts came first."""
    lines = [machine, ""]
    for part in dict.fromkeys(row.part for row in rows):
        lines += [f"### {part}", "", "| what | measured | peak | |", "|---|---|---|---|"]
        for row in rows:
            if row.part == part:
                peak = "" if row.peak_gb is None else f"{row.peak_gb:.2f} GB"
                cells = (row.what, row.value, peak, row.note)
                lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def write_page(page: Path, text: str) -> None:
    """Put `text` between the page's two marks.

    Raises:
        ValueError: if the page has not exactly one of each, in their order.
    """
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"{page} must hold one line {BEGIN} and one line {END} behind it")
    page.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", "utf-8")
