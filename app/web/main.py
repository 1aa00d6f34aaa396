"""The pages as one gradio app; nothing runs at import."""

from __future__ import annotations

import os

import gradio as gr

from app.hosted_demo.policy import Limits, Own
from app.hosted_demo.visitors import WELCOME, Visitors
from app.services import Services
from app.web.fields import Pages
from app.web.frame import PageHead, Visibility, frame
from app.web.pages import (
    compress,
    data,
    endpoints,
    evaluate,
    exports,
    home,
    jobs,
    kit,
    label,
    overview,
    playground,
    save,
    select,
    study,
    teachers,
    train,
    welcome,
)

_HOME = PageHead("Home", "Move reasoning from every call into training, and get the same answers for less.")
_WELCOME = PageHead(WELCOME, "Move reasoning from every call into training, and get the same answers for less.")
_PAGES = (
    (PageHead("Overview", "Where the project stands, and what comes next."), "/overview", overview.build),
    (PageHead("Data", "The queries to distill from, and those held out to score on."), "/data", data.build),
    (PageHead("Teachers", "The models that answer your queries with their reasoning."), "/teachers", teachers.build),
    (PageHead("Label", "Every teacher answers every query that it has not answered yet."), "/label", label.build),
    (
        PageHead("Select", "Keep what is confident, and of each query the two rationales least alike."),
        "/select",
        select.build,
    ),
    (
        PageHead("Compress", "Short rationales that the student can follow: read, edit, approve."),
        "/compress",
        compress.build,
    ),
    (PageHead("Train", "The stages of a plan, one after the other, in the background."), "/train", train.build),
    (
        PageHead("Evaluate", "Students, teachers and baselines on the same held-out queries."),
        "/evaluate",
        evaluate.build,
    ),
    (
        PageHead("Save", "Ask the student first, and a teacher only where it is not sure: what that saves."),
        "/save",
        save.build,
    ),
    (
        PageHead("Playground", "Ask students and teachers the same thing, side by side."),
        "/playground",
        playground.build,
    ),
    (PageHead("Exports", "The training data and the student of a stage, to take with you."), "/exports", exports.build),
)
_ALL = (
    *_PAGES[:8],
    (PageHead("Study", "Several plans, several seeds, equal budgets: which one is better?"), "/study", study.build),
    *_PAGES[8:],
    (PageHead("Jobs and spend", "What runs and ran, and what it cost, over all projects."), "/jobs", jobs.build),
)
PATHS = ("", *(path.removeprefix("/") for _, path, _ in _ALL))
"""Where the pages of one's own studio are, in the order of the work; the first is Home."""
KIT = "TACIT_KIT"
"""The variable that adds a page with every part in every state, for whoever builds pages."""
_KEEP_UPLOADS_S = (600, 3600)
_AT_ONCE = 16
"""How many tabs may wait for one and the same handler without waiting for each other."""


def build_app(services: Services, visibility: Visibility = "private", with_login: bool = False) -> gr.Blocks:
    """The app over an open workspace. Everything shown is read from the store when the page asks for it.

    Handlers answer to the pages only; with `undocumented` clients may call them too, as tests do. Behind a login
    whoever asks is not the one whose machine this is.
    """
    policy = Own(services, Limits(servers=not with_login))
    with (
        Pages(title="Tacit", analytics_enabled=False) as app,
        frame(policy, services, app, _HOME, visibility) as made,
    ):
        home.build(made)
        endpoints.build(services)
    kit_too = ((PageHead("Kit", "Every part in every state."), "/kit", kit.build),) if os.environ.get(KIT) else ()
    for head, path, build in (*_ALL, *kit_too):
        with app.route(head.title, path), frame(policy, services, app, head, visibility) as made:
            build(made)
    return app.queue(default_concurrency_limit=_AT_ONCE)


def build_demo(services: Services, visitors: Visitors, visibility: Visibility = "private") -> gr.Blocks:
    """The hosted demo: the same pages under the policy for visitors, a page of welcome first, no public endpoints."""
    blocks = Pages(title="Tacit", analytics_enabled=False, delete_cache=_KEEP_UPLOADS_S)
    with blocks as app, frame(visitors, services, app, _WELCOME, visibility) as made:
        welcome.build(made, visitors)
    for head, path, build in _PAGES:
        with app.route(head.title, path), frame(visitors, services, app, head, visibility) as made:
            build(made)
    return app.queue(default_concurrency_limit=_AT_ONCE)
