"""What of this process's environment a process that it starts is given.

The environment of a server holds keys of providers, tokens, passwords of databases. A worker reads files of strangers,
runs what packages bring and leaves its crash in a log; it is given what the libraries below it read, and nothing that
is named like a secret. Keys that a job's own work needs are named by its payload.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

PASSED_ON = "TACIT_WORKER_VARIABLES"
"""The operator's own list of further variables that workers need, with commas between."""
_ROOT = Path(__file__).resolve().parents[1]
_NAMES = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP", "TERM"),
        *("VIRTUAL_ENV", "CONDA_PREFIX", "CC", "CXX", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    )
)
_BEGINNINGS = (
    *("LC_", "PYTHON", "XDG_", "TACIT_", "COVERAGE_", "COV_CORE_", "MALLOC_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "UCX_", "HIP_", "ROCR_", "HSA_", "ROCM_"),
    *("OMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "NUMEXPR_"),
    *("TORCH", "PYTORCH_", "TRITON_", "ACCELERATE_", "TRANSFORMERS_", "TOKENIZERS_", "SAFETENSORS_"),
    *("HF_", "HUGGINGFACE_", "SENTENCE_TRANSFORMERS_", "ARROW_", "RAY_", "MASTER_", "SLURM_"),
)
_SECRET = re.compile(r"(^|_)(TOKENS?|KEYS?|SECRETS?|PASS|PASSWD|PASSWORDS?|CREDENTIALS?|AUTH|WEBHOOK)$")


def environment_for(keys: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a process that finds this package from any folder, with the keys of these variables."""
    named = {*re.split(r"[,\s]+", os.environ.get(PASSED_ON, "")), *keys}
    given = {name: value for name, value in os.environ.items() if name in named or _is_plain(name)}
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**given, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _is_plain(name: str) -> bool:
    return (name in _NAMES or name.startswith(_BEGINNINGS)) and _SECRET.search(name.upper()) is None
