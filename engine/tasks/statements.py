"""Where a text states its answer: answer lines, "the answer is ...", `#### 42`, `\\boxed{...}`; and which counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_NOUN = r"(?<!other )(?<!wrong )(?<!possible )(?<!incorrect )(?<!remaining )\b(?:answers?|ans)\b"
_ASIDE = r"(?:\s*\([^()\n]{0,60}\))?"
_WHICH = (
    r"(?:\s+(?:choice|option|letter))?"
    r"(?:\s+(?:to|for)\s+(?:this|the|that|your)\s+(?:[\w-]+\s+){0,3}?(?:question|problem|query|puzzle|riddle|equation))?"
)
_EMPHASIS = r"[*_`]{0,3}"
_BECOMES = r"\s*(?P<verb>(?:is|are|was)\b|(?:would|should|will)\s+be\b)?\s*(?P<colon>[:=])?"
_MARKER = re.compile(
    r"^[ \t*#_]{0,20}(?:final\s+)?answer[ \t*#_]{0,6}$(?P<heading>)"
    rf"|{_NOUN}{_EMPHASIS}{_ASIDE}{_WHICH}{_EMPHASIS}{_ASIDE}{_BECOMES}"
    r"|\b(?:correct|right|best|final)\s+(?:choice|option)\s*(?P<chosen>is\b\s*:?|:)"
    r"|(?P<tag>\[answer[^\]\n]{0,40}\])"
    r"|^[ \t]*\#{4}[ \t]*(?P<hash>(?=[^\s#]))"
    r"|(?P<boxed>\\boxed\s*\{)",
    re.IGNORECASE | re.MULTILINE,
)
_MARKED = re.compile(r"(?:[\s*`_]|\$\$?[^\S\n]*\n|\\\[|\\\(){0,20}([^\n]+)")
_HEADING = re.compile(
    r"\A(?:question|problem|step|example|part|explanation|conclusion|note|solution|q)\b", re.IGNORECASE
)
_LEAD_IN = re.compile(
    r"(?:\b(?:hence|so|thus|therefore|in conclusion)\b,?\s*)?(?:\bamong a through [b-h],?\s*)?(?:\b(?:the|my)\s+)?"
    r"(?:\b(?:final|correct|right|best)\s+)?[\s*#>_]*\Z",
    re.IGNORECASE,
)
_LEAD_IN_LENGTH = 80
_SAME_QUESTION = 40
_MOST_MARKERS = 200  # a text with more of them loops
_RUN_ON = re.compile(
    r"\n[^\S\n]*[#*]{0,4}[^\S\n]*"
    r"(?:(?:next )?(?:Q|Question|Problem|Human|User|Instruction)[^\S\n]*\d{0,4}[^\S\n]*[*]{0,2}:"
    r"|Q\d{1,3}[.)])"
    r"|<\|(?:im_start|im_end|endoftext|eot_id|end_of_text|start_header_id)\|>|</s>|\[/?INST\]|<(?:end|start)_of_turn>",
    re.IGNORECASE,
)
_UNSETTLING = re.compile(
    r"\d|\b(?:not|no|none|neither|either|or|and|both|all|any|wrong|incorrect|unclear|unknown)\b|n['’]t\b|\([A-Ja-j]\)|\b[B-J]\b",
    re.IGNORECASE,
)
_RETRACTED = re.compile(
    r"\b(?:wait\b[,.!-]|oops\b|hold on\b|on second thought|correction:|sorry\b|i made an? (?:mistake|error)"
    r"|let me (?:re-?(?:check|calculate|do|evaluate|consider|count|compute|think)|correct|fix)"
    r"|(?:my|the|this|that|above|previous) answer (?:is|was|seems|looks) (?:wrong|incorrect|not (?:right|correct))"
    r"|should (?:have been|actually be|be corrected)|(?:but|no), actually"
    r"|actually,? (?:the answer|it should|it is|no\b))",
    re.IGNORECASE,
)


_PRAISED = re.compile(r"(?:correct|right)\b", re.IGNORECASE)


class Statement(NamedTuple):
    """One place where an answer is stated: `text[start:end]`, the end being that of its line.

    `label` is what it gives as the answer. `mark` is how it is marked: "key" of an object, "is", "colon", "hash" or
    "boxed"; behind a colon a whole text may follow ("Answer: First ...").
    """

    label: str
    text: str = ""
    start: int = 0
    end: int = 0
    mark: str = "key"

    @property
    def before(self) -> str:
        """The text before it, without its lead-in ("So the")."""
        lead = _LEAD_IN.search(self.text, max(0, self.start - _LEAD_IN_LENGTH), self.start)
        return self.text[: lead.start() if lead else self.start]

    @property
    def after(self) -> str:
        """The text behind its line."""
        return self.text[self.end :]


def find_last_marker(text: str, start: int) -> int | None:
    """Where the line begins in which an answer is last marked as one, from a place on; None if nowhere."""
    *_, marker = [None, *_MARKER.finditer(text, start)]
    return text.rfind("\n", start, marker.start()) + 1 if marker else None


def find_statements(text: str, asked: str = "") -> list[Statement]:
    """All statements of an answer, in order. Whatever follows a question that the model asks itself does not count.

    The question that was `asked`, said again, is no such question.
    """
    text = text.strip()
    text = text[: _run_on(text, asked)]
    markers = [match for match in _MARKER.finditer(text) if _marks(match)][-_MOST_MARKERS:]
    statements: list[Statement] = []
    first, covered = 0, 0
    for index, marker in enumerate(markers):
        if index and text[markers[index - 1].end() : marker.start()].strip(" *_:"):
            first = index
        if marker.start() < covered and marker["boxed"]:
            continue
        following = next((m.start() for m in markers[index + 1 :] if not m["boxed"]), len(text))
        label, end = _label(text, marker, following)
        if not label or (marker["hash"] is not None and _HEADING.match(label)):
            continue
        covered = end
        statements.append(Statement(label, text, markers[first].start(), end, _mark(marker)))
    return statements


def _run_on(text: str, asked: str) -> int:
    """Where a question begins that nobody asked; the end of the text if none does."""
    known = " ".join(asked.split()).casefold()[:_SAME_QUESTION]
    for match in _RUN_ON.finditer(text, 1):
        said = " ".join(text[match.end() : match.end() + 4 * _SAME_QUESTION].split()).casefold().lstrip("*\"' ")
        if not known or not said.startswith(known):
            return match.start()
    return len(text)


def settle(statements: Sequence[Statement], read: Callable[[Statement], str | None]) -> tuple[Statement, str] | None:
    """The statement that counts, and what it says: the last that can be read.

    None if nothing can be read, if what is read is taken back later, or if a later statement that can't be read is more
    than a turn of phrase ("the answer is wrong because 10").
    """
    values = [read(statement) for statement in statements]
    readable = [index for index, value in enumerate(values) if value is not None]
    if not readable:
        return None
    if _several(statements, values):
        return None
    last = readable[-1]
    later = statements[last + 1 :]
    if later and len({values[index] for index in readable}) > 1:
        return None
    if any(_UNSETTLING.search(statement.label) and not _PRAISED.match(statement.label) for statement in later):
        return None
    statement, value = statements[last], values[last]
    _, more = first_sentence(statement.label)
    if value is None or _RETRACTED.search(more) or _RETRACTED.search(statement.after):
        return None
    return statement, value


_SENTENCE_END = re.compile(
    r"(?<=[^\s.!?])(?<!\bMr)(?<!\bDr)(?<!\bRs)(?<!\bMrs)(?<!\bMs)(?<!\bvs)[.!?][*_\"')]{0,3}\s+(?=[A-Z(\"'*#\[])"
)


def first_sentence(text: str) -> tuple[str, str]:
    """The first sentence of a line, and the rest."""
    end = _SENTENCE_END.search(text)
    return (text[: end.start() + 1], text[end.end() :]) if end else (text, "")


def _several(statements: Sequence[Statement], values: Sequence[str | None]) -> bool:
    """Whether `####`, which ends a text, gives several answers, or `\\boxed` does on one line."""
    for (one, value), (other, another) in zip(
        zip(statements, values, strict=True), zip(statements[1:], values[1:], strict=True), strict=False
    ):
        hashes = one.mark == other.mark == "hash"
        boxes = one.mark == other.mark == "boxed" and "\n" not in one.text[one.end : other.end]
        if (hashes or boxes) and value != another:
            return True
    return False


def _mark(marker: re.Match[str]) -> str:
    if marker["hash"] is not None:
        return "hash"
    if marker["boxed"]:
        return "boxed"
    return "is" if marker["verb"] or marker["chosen"] else "colon"


def _marks(match: re.Match[str]) -> bool:
    if not match[0].strip().lower().startswith(("answer", "ans")):
        return True
    return match["verb"] is not None or match["colon"] is not None or match["heading"] is not None


def _label(text: str, marker: re.Match[str], following: int) -> tuple[str, int]:
    """What a marker gives as the answer, and where its line ends."""
    if marker["boxed"]:
        inside, end = _balanced(text, marker.end())
        return inside.strip(), end
    marked = _MARKED.match(text, marker.end(), following)
    if marked is None:
        return "", marker.end()
    label = marked[1].strip().strip("*`_").strip()
    boxed = re.search(r"\\boxed\s*\{", text[marked.start(1) : marked.end(1)])
    if boxed:
        label, _ = _balanced(text, marked.start(1) + boxed.end())
    return label, marked.end(1)


def _balanced(text: str, start: int) -> tuple[str, int]:
    """What stands between a brace that opened before `start` and its end; nothing where it never closes."""
    depth = 1
    for match in re.compile(r"[{}]").finditer(text, start, start + 400):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return text[start : match.start()], match.end()
    return "", start
