"""Overview: where does my project stand, and what comes next?"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from app.usecases.projects.overview import Overview
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.code import commands_html
from app.web.parts.links import Link, button_html
from app.web.parts.messages import empty_html
from app.web.parts.pipeline import Narrowing, funnel_html
from app.web.parts.tiles import Tile, tiles_html, verdict_html
from storage.projects import Project


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame)
    shown = lay_html()
    frame.fill([shown], do.show)


@dataclass(frozen=True)
class _Handlers:
    """What the page shows."""

    frame: Frame

    def show(self, project: Project | None) -> str:
        """The verdict beside what comes next, what is stale, the funnel and the numbers that matter."""
        if project is None:
            return empty_html(
                "No project yet", "A project holds queries, teachers and students.", Link("Create one", "/", "")
            )
        seen = self.frame.services.overview.read(project)
        address = self.frame.policy.address(project)
        return (
            f"<div class='standing'>{_verdict_html(seen, address)}{_next_html(seen, address)}</div>"
            f"{_stale_html(seen, address)}{_facts_html(seen)}{_funnel_html(seen, address)}"
            f"{_commands_html(seen, project.name)}"
        )


def _verdict_html(seen: Overview, address: str) -> str:
    ways = [Link("See the evidence", "/evaluate", address)] if seen.scored else []
    return verdict_html(seen.verdict, seen.reason, seen.sure, *ways)


def _next_html(seen: Overview, address: str) -> str:
    following = seen.following
    button = button_html(Link(following.page, following.path, address), primary=True, icon="next")
    return (
        f"<section class='card onwards' aria-label='Next step'><div class='quiet'>Next step</div>"
        f"<p>{escape(following.what)}</p>{button}</section>"
    )


def _stale_html(seen: Overview, address: str) -> str:
    """What no longer fits to what came before it, each with the way to put it right."""
    lines = []
    for one in seen.stale:
        way = Link(one.way, one.path, address)
        lines.append(
            f"<div class='notice warn stale' role='status'>{escape(one.text)} "
            f"<a href='{escape(way.href)}'>{escape(way.text)}</a></div>"
        )
    return "".join(lines)


def _funnel_html(seen: Overview, address: str) -> str:
    steps = [
        Narrowing(level.title, level.count, level.lost, Link("", level.path, address).href, level.more)
        for level in seen.levels
    ]
    return f"<section class='card' aria-label='From queries to stages'>{funnel_html(steps)}</section>"


def _commands_html(seen: Overview, name: str) -> str:
    """What tells the same in a terminal: the projects with what they hold, the newest run's result, the ledger."""
    result = [["tacit", "runs", "show", seen.run[:8]]] if seen.run else []
    return commands_html([["tacit", "projects", "list"], *result, ["tacit", "spend", name]])


def _facts_html(seen: Overview) -> str:
    return tiles_html([Tile(fact.value, fact.label, fact.note) for fact in seen.facts])
