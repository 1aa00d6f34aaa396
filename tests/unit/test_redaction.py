"""No dress in which an endpoint may echo a key keeps it readable."""

from __future__ import annotations

import base64
import html
import json
import re
import string
import urllib.parse
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.redaction import HIDDEN, Redactor, redact

ALPHABET = string.ascii_letters + string.digits + "-_./+=~!$*:@"
keys = st.text(ALPHABET, min_size=10, max_size=80).filter(lambda key: len(set(key)) > 4)
around = st.text(max_size=40)
DRESSES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda key: json.dumps(key)[1:-1],
    "php": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "json in json": lambda key: json.dumps(json.dumps(key).replace("/", "\\/"))[1:-1],
    "unicode escapes": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "unicode escapes in capitals": lambda key: "".join(f"\\u{ord(c):04X}" for c in key),
    "some unicode escapes": lambda key: "".join(f"\\u{ord(c):04x}" if n % 3 == 0 else c for n, c in enumerate(key)),
    "unicode escapes in json": lambda key: json.dumps("".join(f"\\u{ord(c):04x}" for c in key))[1:-1],
    "python escapes": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "url": lambda key: urllib.parse.quote(key, safe=""),
    "all of a url": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "url twice": lambda key: urllib.parse.quote(urllib.parse.quote(key, safe="")),
    "html": lambda key: html.escape(key).replace("/", "&#x2F;"),
    "html by number": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "hex": lambda key: key.encode().hex(),
    "hex in capitals": lambda key: key.encode().hex().upper(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 for urls": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64 without padding": lambda key: base64.b64encode(key.encode()).decode().rstrip("="),
    "base64 escaped": lambda key: base64.b64encode(key.encode()).decode().replace("/", "\\/"),
    "base64 in lines": lambda key: base64.encodebytes(key.encode()).decode(),
    "base64 in lines, as json": lambda key: json.dumps(base64.encodebytes(key.encode()).decode())[1:-1],
    "base64 of a header": lambda key: base64.b64encode(f"Bearer {key}\r\n".encode()).decode(),
    "base64 behind one byte": lambda key: base64.b64encode(f"x{key}xx".encode()).decode(),
    "base64 behind two bytes": lambda key: base64.urlsafe_b64encode(f"xy{key}y".encode()).decode(),
}


def undress(text: str) -> list[str]:
    """What somebody who looks for a key would try: undo escapes, decode hex and base64."""
    found = [text]
    for _ in range(3):
        text = re.sub(r"\\+u\{?0*([0-9a-fA-F]{2})\}?", lambda m: chr(int(m[1], 16)), text)
        text = re.sub(r"\\+x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), text)
        text = html.unescape(urllib.parse.unquote(text)).replace("\\n", "").replace("\n", "").replace("\\", "")
        found.append(text)
    for joined in tuple(found):
        for run in re.findall(r"[0-9a-fA-F]{12,}", joined):
            found += [bytes.fromhex(run[skip:][: len(run[skip:]) // 2 * 2]).decode("latin-1") for skip in range(2)]
        for run in re.findall(r"[A-Za-z0-9+/_\-]{8,}", joined):
            for skip in range(4):
                piece = run[skip:].translate(str.maketrans("-_", "+/"))
                found.append(base64.b64decode(piece[: len(piece) // 4 * 4]).decode("latin-1"))
    return found


@settings(max_examples=80, deadline=None)
@given(key=keys, before=around, behind=around)
def test_no_dress_keeps_a_key(key: str, before: str, behind: str) -> None:
    for dress, wear in DRESSES.items():  # all with one key: what is dear is to learn one
        hidden = redact(f"{before} {wear(key)} {behind}", key)
        assert HIDDEN in hidden, dress
        assert not any(key in text for text in undress(hidden)), dress


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200), key=keys)
def test_a_text_without_the_key_stays_as_it_is(text: str, key: str) -> None:
    kept = redact(text, key)
    assert kept == text or any(key in found for found in undress(text))


@settings(max_examples=100, deadline=None)
@given(key=keys, before=around, behind=around)
def test_what_stands_around_a_plain_key_is_kept(key: str, before: str, behind: str) -> None:
    text = f"{before} | {key} | {behind}"
    assert redact(text, key) == text.replace(key, HIDDEN)


def test_short_and_missing_keys() -> None:
    assert redact("abc", None) == redact("abc", "") == redact("abc", "abc") == "abc"
    assert redact("my 7-by-7 ab12", "ab12") == "my 7-by-7 [key]"
    assert redact(base64.b64encode(b"ab12").decode(), "ab12") == base64.b64encode(b"ab12").decode()


def test_a_value_is_cleaned_of_every_key_it_may_hold() -> None:
    redactor = Redactor()
    redactor.add("sk-first/0123456789")
    redactor.add("sk-second-0123456789")
    redactor.add("")
    said = {"a": ["sk-first\\/0123456789", 3, None], "sk-second-0123456789": {"b": "c2stc2Vjb25kLTAxMjM0NTY3ODk="}}
    assert redactor.finds(json.dumps(said))
    assert redactor.clean(said) == {"a": [HIDDEN, 3, None], HIDDEN: {"b": HIDDEN}}
    assert "sk-" not in repr(redactor)
