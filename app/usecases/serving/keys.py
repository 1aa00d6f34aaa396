"""The gateway's own keys, by which its callers are let in: random, shown once, stored as hashes.

A key holds 256 random bits, so one SHA-256 is enough: there is nothing to guess, as there is in a password.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from engine.errors import InputError, NotFound, StateError
from engine.lines import write_atomically

KEYS: Final = "keys.json"
_PREFIX = "tacit-"
_BYTES = 32
_MOST_NAME = 100


@dataclass(frozen=True)
class StoredKey:
    """A key as it is stored: whose it is, its SHA-256 in hex, when it was made."""

    name: str
    hash: str
    made: str


def make_key(folder: Path, name: str = "") -> str:
    """A new key for callers of the gateway in this folder, which nobody can read again.

    Without a name it is called by the first number that is free.

    Raises:
        InputError: if there is a key of that name, or it is too long.
        StateError: if the file of keys is damaged.
    """
    keys = read_keys(folder)
    taken = {key.name for key in keys}
    name = name.strip() or next(free for n in count(1) if (free := f"key {n}") not in taken)
    if len(name) > _MOST_NAME or not name.isprintable():
        raise InputError(f"a key's name has at most {_MOST_NAME} characters, all of them printable")
    if name in taken:
        raise InputError(f"there is a key {name!r} already: give another name, or revoke that one first")
    key = f"{_PREFIX}{secrets.token_urlsafe(_BYTES)}"
    made = datetime.now(UTC).isoformat(timespec="seconds")
    _write(folder, [*keys, StoredKey(name, _hash(key), made)])
    return key


def revoke_key(folder: Path, name: str) -> None:
    """Take a key back; a running gateway notices within a second.

    Raises:
        NotFound: if there is none of that name.
    """
    keys = read_keys(folder)
    left = [key for key in keys if key.name != name]
    if len(left) == len(keys):
        raise NotFound(f"there is no key {name!r}; there are: {', '.join(key.name for key in keys) or 'none'}")
    _write(folder, left)


def read_keys(folder: Path) -> list[StoredKey]:
    """The keys of a gateway.

    Raises:
        StateError: if their file is damaged: nobody is let in by guess.
    """
    path = folder / KEYS
    if not path.is_file():
        return []
    try:
        return [
            StoredKey(str(key["name"]), str(key["hash"]), str(key["made"])) for key in json.loads(path.read_bytes())
        ]
    except (OSError, ValueError, LookupError, TypeError):
        raise StateError(
            f"{path} is damaged: remove it, and make new keys by `tacit gateway-key {folder.name}`"
        ) from None


def find_owner(keys: Sequence[StoredKey], given: str) -> str | None:
    """The name of the key that was given; None if it is none of them. Takes as long whichever it is."""
    own, owner = _hash(given), None
    for key in keys:
        if secrets.compare_digest(own, key.hash):
            owner = key.name
    return owner


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _write(folder: Path, keys: Sequence[StoredKey]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / KEYS, [asdict(key) for key in keys])
    (folder / KEYS).chmod(0o600)
