"""The tour: six stops over a finished project. The address says at which one somebody is, so Back and a link work."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from app.web.parts.icons import icon_html
from app.web.parts.links import page_url


@dataclass(frozen=True)
class Stop:
    """One page of the tour, and what to look at there."""

    page: str
    path: str
    text: str


STOPS = (
    Stop(
        "Label",
        "/label",
        "Teachers answered queries that nobody had labelled, each with its reasoning. The price is told before anybody "
        "is asked.",
    ),
    Stop(
        "Select",
        "/select",
        "Only confident samples are kept, and of each query the two rationales that are least alike. Every sample "
        "carries the reason why it was kept or not.",
    ),
    Stop(
        "Compress",
        "/compress",
        "After the first stage the student writes rationales of its own, and teachers shorten theirs to what it could "
        "follow. Open one to compare the three.",
    ),
    Stop(
        "Train",
        "/train",
        "A small student learned full reasoning, then short reasoning, then answers only: one stage after the other, "
        "with its loss.",
    ),
    Stop(
        "Evaluate",
        "/evaluate",
        "Students, teachers and baselines on queries that nobody trained on, with intervals: which student to ship, "
        "and what it saves.",
    ),
    Stop("Playground", "/playground", "Ask a student yourself, and read its tokens and seconds under the answer."),
)


def tour_url(number: int, project: str) -> str:
    """The address of a stop, counted from 1."""
    href = page_url(STOPS[number - 1].path, project)
    return f"{href}{'&' if '?' in href else '?'}tour={number}"


def tour_html(number: int, page: str, project: str) -> str:
    """The bar above a page at a stop of the tour; "" where the page is not that stop's."""
    if not 1 <= number <= len(STOPS) or STOPS[number - 1].page != page:
        return ""
    stop, last = STOPS[number - 1], number == len(STOPS)
    back = ""
    if number > 1:
        back = f"<a class='button small' href='{escape(tour_url(number - 1, project))}'>{icon_html('previous')}Back</a>"
    end = page_url("/", project)
    on = (end, "Finish") if last else (tour_url(number + 1, project), "Next")
    skip = "" if last else f"<a class='button small' href='{escape(end)}'>Skip the tour</a>"
    return (
        f"<nav class='tour' aria-label='Tour, stop {number} of {len(STOPS)}'>"
        f"<div><b>Tour {number} of {len(STOPS)}: {escape(stop.page)}</b><p>{escape(stop.text)}</p></div>"
        f"<div class='buttons'>{back}"
        f"<a class='button primary small' href='{escape(on[0])}'>{on[1]}{icon_html('next')}</a>{skip}</div></nav>"
    )
