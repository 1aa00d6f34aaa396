"""The pages as one gradio app; nothing runs at import."""

from __future__ import annotations

import gradio as gr

from app.pages import (
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
    teachers,
    train,
)
from app.pages.frame import Visibility, frame
from app.services import Services

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
    ("Jobs and spend", "/jobs", jobs.build),
)


def build_app(services: Services, visibility: Visibility = "private") -> gr.Blocks:
    """The app over an open workspace. Everything shown is read from the store when the page asks for it.

    Handlers answer to the pages only; with `undocumented` clients may call them too, as tests do.
    """
    with gr.Blocks(title="Tacit") as app, frame(services, app, "Projects", visibility) as made:
        projects.build(made)
        endpoints.build(services)
    for name, path, build in _PAGES:
        with app.route(name, path), frame(services, app, name, visibility) as made:
            build(made)
    return app
