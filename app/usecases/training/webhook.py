"""Tells an address that the operator named that a run has finished or failed."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from engine.errors import ConfigError

VARIABLE = "TACIT_WEBHOOK"
_TIMEOUT_S = 5.0
_LOG = logging.getLogger(__name__)


@dataclass
class Webhook:
    """Where it is told, "" for nowhere. The address may hold a secret, so no message or log holds it."""

    url: str = ""
    failed: threading.Event = field(default_factory=threading.Event)

    def tell(self, message: dict[str, Any]) -> None:
        """Post a message as JSON, in a thread of its own; whether it arrives holds nothing up."""
        if self.url:
            threading.Thread(target=self._post, args=(message,), daemon=True, name="webhook").start()

    def _post(self, message: dict[str, Any]) -> None:
        try:
            with httpx2.stream(
                "POST", self.url, json=message, timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False
            ) as response:
                why = "" if response.status_code < 300 else f"it answered with status {response.status_code}"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            why = type(error).__name__
        if why and not self.failed.is_set():
            self.failed.set()
            _LOG.warning("%s was not told of a run: %s. Further failures are not logged.", VARIABLE, why)


def read_webhook() -> Webhook:
    """The webhook of $TACIT_WEBHOOK.

    Raises:
        ConfigError: if it is set and no web address.
    """
    url = os.environ.get(VARIABLE, "").strip()
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if url and not known:
        raise ConfigError(f"{VARIABLE} is no web address: give one as https://example.org/hook, or unset it")
    return Webhook(url)
