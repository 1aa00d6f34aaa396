"""What stands around every page: top bar, rail of steps, head of the page, strip of running jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from app.usecases.labelling.waits import say_wait
from app.usecases.projects.status import Mark, RunningJob
from app.usecases.workspace.job_words import job_kind
from app.web.parts.icons import icon_html
from app.web.parts.links import Link, page_url
from engine.values import JobStatus
from engine.wording import counted, say_span

NAME = "Tacit"
_ICONS = {
    "Home": "home",
    "Welcome": "home",
    "Overview": "overview",
    "Data": "data",
    "Teachers": "teachers",
    "Label": "label",
    "Select": "select",
    "Compress": "compress",
    "Train": "train",
    "Evaluate": "evaluate",
    "Study": "study",
    "Save": "save",
    "Playground": "playground",
    "Exports": "exports",
    "Jobs and spend": "jobs",
}
_SAID = {"todo": "to do", "running": "running", "done": "done", "stale": "stale"}


@dataclass(frozen=True)
class TopBar:
    """What the top bar says: the open project and the others, what runs, what was spent."""

    title: str
    projects: Sequence[Link]
    running: Sequence[RunningJob] = ()
    spent: str = ""
    jobs: str = ""
    """Address of the page of jobs; "" where there is none."""


def topbar_html(bar: TopBar) -> str:
    """Wordmark, project switcher, running jobs, spend, and the switch of the theme."""
    menu = _menu_html(bar) if bar.title else ""
    pills = ""
    if bar.jobs:
        left = max((job.left_s for job in bar.running if job.left_s is not None), default=None)
        jobs = counted(len(bar.running), "job") if bar.running else "No jobs"
        jobs += f" · {say_span(left)} left" if left is not None else ""
        live = " live" if bar.running else ""
        pills = f"<a class='pill{live}' href='{escape(bar.jobs)}'>{icon_html('jobs')}{jobs}</a>".replace(
            "<svg", "<svg width='16' height='16'"
        )
        pills += f"<a class='pill spend' href='{escape(bar.jobs)}'>{escape(bar.spent)}</a>" if bar.spent else ""
    theme = (
        "<button type='button' class='icon-button' data-theme-switch aria-label='Switch between light and dark'>"
        f"{icon_html('moon', 'when-light')}{icon_html('sun', 'when-dark')}</button>"
    )
    return (
        "<a class='skip' href='#page'>Skip to the page</a><header class='topbar'>"
        f"<a class='wordmark' href='/'>{icon_html('mark')}{NAME}</a>{menu}<span class='space'></span>"
        f"{pills}{theme}</header>"
    )


def _menu_html(bar: TopBar) -> str:
    """The open project, and the others to go to."""
    links = ""
    for link in bar.projects:
        current = " aria-current='true'" if link.text == bar.title else ""
        links += f"<a href='{escape(link.href)}'{current}>{escape(link.text)}</a>"
    every = "<hr><a href='/'>All projects</a>" if bar.projects else "<a href='/'>First page</a>"
    title = escape(bar.title)
    named = f"<summary aria-label='Project {title}'><span>{title}</span>{icon_html('down')}</summary>"
    return (
        f"<span class='slash' aria-hidden='true'>/</span><details class='menu'>{named}"
        f"<div class='sheet'>{links}{every}</div></details>"
    )


def rail_html(marks: Sequence[Mark], project: str, here: str, title: str = "") -> str:
    """The steps of the work in their groups, the page one is on marked; on a narrow screen folded.

    `title`: what the project is called, for whoever hears the page.
    """
    lines = []
    for group, members in groupby(marks, key=lambda mark: mark.group):
        lines.append(f"<div class='group'>{escape(group)}</div>" if group else "")
        lines += [_rail_line(mark, project, here) for mark in members]
    fold = (
        "<input type='checkbox' id='rail-fold' class='fold' aria-label='Show all pages'>"
        f"<label for='rail-fold' class='fold'>{escape(here)}{icon_html('down')}</label>"
    )
    label = f"Steps of {title}" if title else "Steps"
    return f"{fold}<nav class='rail' data-project='{escape(title)}' aria-label='{escape(label)}'>{''.join(lines)}</nav>"


def _rail_line(mark: Mark, project: str, here: str) -> str:
    current = " aria-current='page'" if mark.name == here else ""
    href = escape(page_url(mark.path, project) if project else mark.path)
    state = ""
    if mark.step:
        said = _SAID[mark.state]
        state = f"<span class='state {mark.state}' role='img' title='{said}' aria-label='{said}'></span>"
    number = f"<span class='number' title='{escape(mark.number)}'>{escape(mark.number)}</span>" if mark.number else ""
    return (
        f"<a href='{href}'{current}>{icon_html(_ICONS.get(mark.name, 'link'), 'of')}"
        f"<span class='name'>{escape(mark.name)}</span>{number}{state}</a>"
    )


def head_html(title: str, lead: str, following: Link | None = None) -> str:
    """The page's one h1, a line about it, and a way onwards."""
    way = ""
    if following:
        way = f"<a class='button next' href='{escape(following.href)}'>{escape(following.text)}{icon_html('next')}</a>"
    said = f"<div><h1>{escape(title)}</h1><p>{escape(lead)}</p></div>"
    return f"<div class='page-head' id='page' tabindex='-1'>{said}{way}</div>"


def strip_html(jobs: Sequence[RunningJob], trouble: str = "", here: str = "") -> str:
    """What runs at this moment, anywhere in the workspace, and what is wrong with the watch over it.

    Jobs of the project `here` are marked: studio.js tells when one of them is over.
    """
    if not jobs and not trouble:
        return ""
    lines = [f"<div class='notice bad' role='alert'>{escape(trouble)}</div>"] if trouble else []
    for job in jobs:
        title = job_kind(job.kind).title
        share = f"{job.done:,} of {job.of:,}" if job.of else ""
        left = f"{say_span(job.left_s)} left" if job.left_s is not None else ""
        waits = "queued" if job.status == JobStatus.QUEUED else ""
        asked = [say_wait(teacher, wait) for teacher, wait in job.waits.items()]
        what = " · ".join(filter(None, (f"{job.project}: {title}", waits, *asked, job.text)))
        now = ""
        if asked:
            said = f"Go on now with {title} of {job.project}"
            now = f"<button type='button' class='button small' data-now='{escape(job.id)}' aria-label='{escape(said)}'>"
            now += "Go on now</button>"
        mine = f" data-mine='{escape(job.id)}' data-title='{escape(title)}'" if here and job.project == here else ""
        lines.append(
            f"<div class='job'{mine}><span class='what'>{escape(what)}</span>{bar_html(job.done, job.of)}"
            f"<span class='far'>{escape(' · '.join(filter(None, (share, left))))}</span>"
            f"{now}<button type='button' class='button small' data-cancel='{escape(job.id)}' "
            f"aria-label='Cancel {escape(title)} of {escape(job.project)}'>Cancel</button></div>"
        )
    return f"<div class='strip' aria-live='polite'>{''.join(lines)}</div>"


def bar_html(done: int | None, of: int | None) -> str:
    """A bar of progress; none where it is not known how much there is."""
    if not of or done is None:
        return ""
    share = min(100.0, 100 * done / of)
    return (
        f"<div class='bar' role='progressbar' aria-label='progress' aria-valuenow='{share:.0f}' "
        "aria-valuemin='0' aria-valuemax='100'>"
        f"<span style='width:{share:.1f}%'></span></div>"
    )
