"""Stands in for a cluster: the askers of Ray's jobs ask their blocks in threads of the worker, and these write shards.

`python -m tests.fakes.ray_threads FOLDER` is the real worker of a job, but for the cluster that it asks on.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.jobs import ray_label, worker
from engine.jobs.backends.local import LocalBackend
from engine.jobs.spec import RayLabelJob, read_spec


def ask_in_threads(job: RayLabelJob, items: list[dict[str, Any]], shards: Path, flag: Path) -> None:
    """Ask all blocks, two at a time, and write each as a shard when it is answered, as Ray Data does."""
    lines = [json.dumps(item, ensure_ascii=False) for item in items]
    size = min(job.block, -(-len(lines) // job.workers))
    blocks = [lines[begin : begin + size] for begin in range(0, len(lines), size)]

    def ask(block: list[str]) -> None:
        rows = ray_label.BlockAsker(job.model_dump_json(), str(flag))({"item": block})
        name = f"{abs(hash(block[0])):x}.parquet"
        pq.write_table(pa.table(rows), shards / f"{name}.part")
        (shards / f"{name}.part").replace(shards / name)

    with ThreadPoolExecutor(job.workers) as pool:
        list(pool.map(ask, blocks))


class RayThreads(LocalBackend):
    def command(self, bundle: Path, devices: int) -> list[str]:
        if isinstance(read_spec(bundle), RayLabelJob):
            return [sys.executable, "-m", "tests.fakes.ray_threads", str(bundle)]
        return super().command(bundle, devices)


if __name__ == "__main__":
    ray_label._ask_on_ray = ask_in_threads
    sys.exit(worker.main(Path(sys.argv[1])))
