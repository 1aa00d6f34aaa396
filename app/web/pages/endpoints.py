"""The few endpoints that programs may call, by gradio_client or MCP. They read; nothing here spends or changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.labelling.label import LabelOrder
from app.web.frame import errors_shown


def build(services: Services) -> None:
    """Bind the endpoints to the app that is being built."""
    reads = _Reads(services)
    for work in (reads.projects, reads.standing, reads.quote, reads.selection, reads.query):
        gr.api(_in_words(work), api_name=work.__name__)


def _in_words(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same, whose errors a program is told in words, as a page is."""

    @wraps(work)
    def run(*values: Any, **named: Any) -> Any:
        with errors_shown():
            return work(*values, **named)

    return run


@dataclass(frozen=True)
class _Reads:
    services: Services

    def projects(self) -> list[dict[str, Any]]:
        """List the projects with their sizes and what they cost so far in US dollars."""
        return [{**row, "cost": float(row["cost"])} for row in self.services.standing.overview()]

    def standing(self, project: str) -> list[dict[str, Any]]:
        """Tell how far each step of a project is: to do, running, done or stale.

        Args:
            project: name of the project.
        """
        marks = self.services.standing.marks(self.services.projects.get(project))
        return [{"step": mark.name, "state": mark.state, "number": mark.number} for mark in marks]

    def quote(self, project: str) -> list[dict[str, Any]]:
        """Quote what labelling the rest of a project would cost, by teacher; nothing is asked.

        Args:
            project: name of the project.
        """
        rows = [vars(row) for row in self.services.quote.quote(project, LabelOrder())]
        money = ("cost_low", "cost_high")
        return [{k: float(v) if k in money and v is not None else v for k, v in row.items()} for row in rows]

    def selection(self, project: str, threshold: float) -> dict[str, Any]:
        """Tell what a threshold of confidence would keep, with the project's preset; nothing is stored.

        The preset is the paper's (equal weights of the teachers' scores), or the one for recordings where there are
        only recordings without scores.

        Args:
            project: name of the project.
            threshold: confidence from 0 to 1 that a sample needs.
        """
        preset = self.services.select.preset(project)
        config = preset.config.change({"threshold": threshold})
        return {"preset": preset.preset, **self.services.select.preview(project, config).counts}

    def query(self, project: str, query_id: str) -> dict[str, Any]:
        """Show a query with all its samples, the reason each was kept or not, and their cosine similarities.

        Args:
            project: name of the project.
            query_id: id of the query.
        """
        return vars(self.services.browse.detail(project, query_id))
