"""The dress of labels: Unicode, LaTeX and Markdown around what is meant, taken off without changing it."""

from __future__ import annotations

import re
import unicodedata

MAX_LABEL = 200
_VULGAR = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = re.compile(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SPACED_GROUPS = re.compile(r"(?<=\d)(?:\\,|\\ |[\u00a0\u2009\u202f])(?=\d{3}(?!\d))")
_WRAPPED = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|mathrm|mathbf|mathit|operatorname|emph|mbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)(\d))")
_EXPONENT = re.compile(r"\^\s*\{\s*(-?\d+)\s*\}")
_SYNONYMS = (
    (re.compile(r"\\(?:left|right|displaystyle|limits)\b|\\[!;:]|\\[()\[\]]"), " "),
    (re.compile(r"\\(?:cdot|times|ast)\b|[×·⋅∗]"), "*"),
    (re.compile(r"\\div\b|[÷∕⁄]"), "/"),
    (re.compile(r"\\(?:approx|equiv|simeq)\b|[≈≅≃]"), "≈"),
    (re.compile(r"\^\s*\{?\s*(?:\\circ|∘)\s*\}?|\\degree\b|°"), " degrees "),
    (re.compile(r"degrees \s*(?:\\(?:text|mathrm)\s*\{\s*)?[CF]\b\}?"), "degrees "),
    (re.compile(r"\\([%$&#])"), r"\1"),
    (re.compile(r"\\,|\\ |\\quad\b|~"), " "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\b(Rs|approx|ca)\.\s*(?=\d)", re.IGNORECASE), r"\1 "),
    (re.compile(r"[\u2212\u2010\u2011\ufe63\uff0d]|(?<![A-Za-z])[\u2013](?=\s*[\d(.$])"), "-"),
    (re.compile(r"(?<![\w)])\*\*(?=\S)|(?<=\S)\*\*(?![\w(])|(?<=\w)\*\*(?=\s|$|[.,])|`|(?<![\w)])__|__(?!\w)"), " "),
)
_MATH_DOLLARS = re.compile(r"(\${1,2})([^$\n]*[^$\s][^$\n]*)\1(?!\s?\d)")
_ENCLOSED = re.compile(r"\A\s*(?:\"(.*)\"|“(.*)”|'(.*)'|\[([^\[\]]*)\]|\{([^{}]*)\})\s*[.,]?\s*\Z", re.DOTALL)


def plain(text: str) -> str:
    """A label in plain characters: "\\boxed{\\frac{1}{2}\\text{ km}}" is "((1)/(2)) km", "2½" is "2 1/2".

    Only what cannot change the meaning goes: emphasis, math delimiters, quotes, spacing commands, synonyms of signs.
    """
    text = _VULGAR.sub(_as_fraction, text)
    text = _RAISED.sub(lambda match: f"^({match.group().translate(_SUPERSCRIPTS)})", text)
    text = _SPACED_GROUPS.sub(",", text)
    text = unicodedata.normalize("NFKC", text)
    text = _EXPONENT.sub(r"^(\1)", text)
    for _ in range(4):
        text = _WRAPPED.sub(r" \1 ", text)
        text = _FRACTION.sub(lambda match: f"(({match[1] or match[3]})/({match[2] or match[4]}))", text)
    for pattern, plainer in _SYNONYMS:
        text = pattern.sub(plainer, text)
    text = _MATH_DOLLARS.sub(r" \2 ", text).strip()
    enclosed = _ENCLOSED.match(text)
    if enclosed:
        text = next(part for part in enclosed.groups() if part is not None)
    return text.strip()


def _as_fraction(match: re.Match[str]) -> str:
    return " " + unicodedata.normalize("NFKC", match.group()).replace("\u2044", "/") + " "


def unwrap(text: str) -> str:
    """The text without LaTeX around whole words, math delimiters and emphasis, for labels that are words."""
    for _ in range(3):
        text = _WRAPPED.sub(r" \1 ", text)
    return re.sub(r"\$|\\[()\[\]]|\*\*|`", " ", text).strip()
