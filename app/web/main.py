"""The pages as one gradio app; nothing runs at import."""

from __future__ import annotations

import gradio as gr

from app.hosted_demo.policy import Own
from app.hosted_demo.visitors import WELCOME, Visitors
from app.services import Services
from app.web.fields import Pages
from app.web.frame import Visibility, frame
from app.web.pages import (
    compress,
    data,
    endpoints,
    evaluate,
    exports,
    jobs,
    label,
    playground,
    projects,
    select,
    study,
    teachers,
    train,
    welcome,
)

_PAGES = (
    ("Data", "/data", data.build),
    ("Teachers", "/teachers", teachers.build),
    ("Label", "/label", label.build),
    ("Select", "/select", select.build),
    ("Compress", "/compress", compress.build),
    ("Train", "/train", train.build),
    ("Evaluate", "/evaluate", evaluate.build),
    ("Playground", "/playground", playground.build),
    ("Exports", "/exports", exports.build),
)
_ALL = (*_PAGES, ("Study", "/study", study.build), ("Jobs and spend", "/jobs", jobs.build))
PATHS = ("", *(path.removeprefix("/") for _, path, _ in _ALL))
"""Where the pages of one's own studio are, in the order of the work; the first holds the projects."""
_KEEP_UPLOADS_S = (600, 3600)
_AT_ONCE = 16
"""How many tabs may wait for one and the same handler without waiting for each other."""


def build_app(services: Services, visibility: Visibility = "private") -> gr.Blocks:
    """The app over an open workspace. Everything shown is read from the store when the page asks for it.

    Handlers answer to the pages only; with `undocumented` clients may call them too, as tests do.
    """
    policy = Own(services)
    with (
        Pages(title="Tacit", analytics_enabled=False) as app,
        frame(policy, services, app, "Projects", visibility) as made,
    ):
        projects.build(made)
        endpoints.build(services)
    for name, path, build in _ALL:
        with app.route(name, path), frame(policy, services, app, name, visibility) as made:
            build(made)
    return app.queue(default_concurrency_limit=_AT_ONCE)


def build_demo(services: Services, visitors: Visitors, visibility: Visibility = "private") -> gr.Blocks:
    """The hosted demo: the same pages under the policy for visitors, a page of welcome first, no public endpoints."""
    blocks = Pages(title="Tacit", analytics_enabled=False, delete_cache=_KEEP_UPLOADS_S)
    with blocks as app, frame(visitors, services, app, WELCOME, visibility) as made:
        welcome.build(made, visitors)
    for name, path, build in _PAGES:
        with app.route(name, path), frame(visitors, services, app, name, visibility) as made:
            build(made)
    return app.queue(default_concurrency_limit=_AT_ONCE)
