"""An app process to be killed: labels with one teacher behind a provider on loopback.

`python -m tests.fakes.paid_label WORKSPACE URL QUERIES` labels until done, taking up what an earlier process left.
"""

from __future__ import annotations

import sys
from pathlib import Path

from app.services import open_services
from engine.config import ProjectConfig
from engine.errors import NotFound
from engine.values import make_query
from tests.fakes.slow_label import finish

PROJECT = "paid"
IN_FLIGHT = 4


def main(workspace: Path, url: str, queries: int) -> None:
    with open_services(workspace) as services:
        try:
            project = services.context.projects.get(PROJECT)
        except NotFound:
            project = services.data.create_project(ProjectConfig(name=PROJECT, task="custom"))
            services.data.add_queries(project.id, [make_query(f"query {n}?") for n in range(queries)], {})
            teacher = {"name": "ann", "provider": "openai", "model": "m", "endpoint": f"{url}/v1"}
            more = {"key_variable": "LOOPBACK_KEY", "concurrency": IN_FLIGHT, "input_price": 1, "output_price": 2}
            services.teachers.add(PROJECT, teacher | more)
        finish(services, project)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
