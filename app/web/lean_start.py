"""A quicker start: what gradio does for editors while it is imported is left out.

Seen in gradio 6.31: `gradio.component_meta` writes an interface file (.pyi) beside each class of its own, for which it
parses the class's module and renders a template, at every start.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

_FILE_OF = inspect.getfile


def import_gradio() -> None:
    """Import gradio, which writes nothing into its installation: half of its time goes into interface files.

    To be called before any other import of gradio; later it does nothing.
    """
    inspect.getfile = _hide_gradio  # type: ignore[assignment]
    try:
        importlib.import_module("gradio")
    finally:
        inspect.getfile = _FILE_OF


def _hide_gradio(of: Any) -> str:
    """As `inspect.getfile`, but gradio's classes have no file: then no interface file is written beside it."""
    if isinstance(of, type) and of.__module__.partition(".")[0] == "gradio":
        raise OSError(f"{of.__qualname__} gets no interface file")
    return _FILE_OF(of)
