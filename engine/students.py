"""Whether a student can be had, before anything is queued for it: packaged, a folder, in the Hub's cache, on the Hub.

Imports neither torch nor transformers: the worker loads the model, here only its files are looked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.config import StudentConfig
from engine.errors import ConfigError
from engine.packaged import packaged_student_file, packaged_student_folder
from engine.places import check, is_open

_WEIGHTS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model")
_PATIENCE_S = 10.0


def find_student(student: StudentConfig) -> bool:
    """Whether a student is on this machine; False: it is named as on the Hub, and not in its cache. Asks nobody.

    Raises:
        ConfigError: if it can't be a student: no such folder, no model in it, no name that the Hub could know; or a
            folder where none may be named.
        MissingPart: if the packaged student is asked for and its package is not installed.
    """
    model = student.model
    check(model)
    if model == "packaged":
        return (packaged_student_folder() / "config.json").is_file() or packaged_student_file().is_file()
    if Path(model).is_dir():
        _check_folder(Path(model))
        return True
    if Path(model).is_absolute() or model.startswith((".", "~")) or Path(model).exists():
        hint = "write its whole path, without ~" if model.startswith("~") else "give the folder that holds config.json"
        raise ConfigError(f"there is no folder {model}; {hint}, or the id of a model on the Hub. Nothing was started.")
    return _is_cached(student)


def _check_folder(folder: Path) -> None:
    hint = "name a folder with config.json, weights and a tokenizer. Nothing was started."
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ConfigError(f"{folder} holds an adapter, no whole model: merge it first, or {hint}")
        raise ConfigError(f"{folder} has no config.json: {hint}")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ConfigError(f"the config.json of {folder} names no model_type: {hint}")
    if not any(folder.glob("*.safetensors")) and not any((folder / name).is_file() for name in _WEIGHTS):
        raise ConfigError(f"{folder} has no weights (*.safetensors): {hint}")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ConfigError(f"{folder} has no tokenizer: {hint}")


def _is_cached(student: StudentConfig) -> bool:
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - only where a model of the Hub is named
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

    def has(name: str) -> bool:
        return isinstance(try_to_load_from_cache(student.model, name, revision=student.revision), (str, Path))

    try:
        return has("config.json") and any(map(has, _WEIGHTS))
    except HFValidationError:
        raise ConfigError(
            f"{student.model} is neither a folder nor an id that a model on the Hub can have, as OWNER/NAME. Nothing "
            "was started."
        ) from None


def check_student(student: StudentConfig) -> None:
    """Make sure that a student can be had; of one that is not on this machine the Hub is asked.

    Raises:
        ConfigError: as `find_student`, or if the Hub does not have it, does not give it, or can't be asked.
        MissingPart: as `find_student`.
    """
    if find_student(student):
        return
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.errors import (  # noqa: PLC0415
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = student.model
    if constants.HF_HUB_OFFLINE:
        raise ConfigError(
            f"{name} is not on this machine, and the Hub is not to be asked (HF_HUB_OFFLINE is set). Nothing was "
            "started."
        )
    url = hf_hub_url(name, "config.json", revision=student.revision)
    try:
        get_hf_file_metadata(url, timeout=_PATIENCE_S)
        return
    except GatedRepoError:
        problem = f"the Hub gives {name} only to those who accepted its terms: accept them there, and set HF_TOKEN"
    except RepositoryNotFoundError:
        problem = f"the Hub has no model {name}, or it is private and HF_TOKEN does not open it"
    except RevisionNotFoundError:
        problem = f"the Hub's {name} has no revision {student.revision}"
    except EntryNotFoundError:
        problem = f"the Hub's {name} has no config.json, so it is no whole model"
    except Exception as error:  # noqa: BLE001 - whatever stands between here and the Hub
        problem = f"{name} is not on this machine, and the Hub could not be asked ({type(error).__name__})"
    raise ConfigError(f"{problem}. Nothing was started.")


def read_model_config(student: StudentConfig) -> dict[str, Any] | None:
    """The `config.json` of a student that is on this machine; None where there is none to be read. Asks nobody."""
    if not is_open(student.model):
        return None
    if student.model == "packaged":
        place: Any = packaged_student_folder() / "config.json"
    elif Path(student.model).is_dir():
        place = Path(student.model) / "config.json"
    else:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - only where a model of the Hub is named
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415

        try:
            place = try_to_load_from_cache(student.model, "config.json", revision=student.revision)
        except HFValidationError:
            return None
    try:
        config = json.loads(Path(place).read_text("utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return config if isinstance(config, dict) else None
