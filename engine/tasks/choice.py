"""Multiple choice: the label is the letter of an option."""

from __future__ import annotations

import re
import unicodedata

from engine.tasks.reply import find_answer_line, read_reply
from engine.types import ParsedReply, Query

_LETTERED = re.compile(r"\A\W*?\(?(?P<letter>[A-Za-z0-9])(?P<mark>\)|\.|:|$|(?=\s))\s*(?P<rest>.*)\Z", re.DOTALL)
_AROUND = " \t\r\n*`\"'"
_CALLED = re.compile(r"\A(?:choice|option)\s+(?=\(?[A-Za-z0-9]\b)", re.IGNORECASE)
_ARTICLE = re.compile(r"\A(?:an?|[Tt]he)\s+(?=\w)")
_ANOTHER = re.compile(r"\(?\b([A-Za-z0-9])\)")


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s\W_]+", " ", text).strip()


class ChoiceTask:
    """Questions with lettered choices, as CommonsenseQA."""

    name = "choice"
    factors = ("reasoning", "answer", "clarity")

    def render(self, query: Query) -> str:
        """The question, then one line a choice."""
        return "\n".join([query.text, *(f"({choice.letter}) {choice.text}" for choice in query.choices)])

    def parse(self, query: Query, text: str) -> ParsedReply | None:
        """Read a teacher's reply; None if it names no choice of this query."""
        reply = read_reply(text)
        if reply is None:
            label = self.normalise(query, text.strip())
            return None if label is None else ParsedReply("", label)
        label = self.normalise(query, reply.label)
        return None if label is None else ParsedReply(reply.rationale, label, reply.scores)

    def read_answer(self, query: Query, text: str) -> str | None:
        """The letter behind the last answer line, or the whole text if it is nothing but a choice."""
        marked = find_answer_line(text)
        return self.normalise(query, marked[1] if marked else text)

    def normalise(self, query: Query, label: str) -> str | None:
        """The letter meant by "(B)", "B. text", "b", "option B" or the option's own text, with an article or without.

        None where a letter and the text behind it contradict each other: nothing is guessed.
        """
        letters = {choice.letter.upper(): _fold(choice.text) for choice in query.choices}
        label = _CALLED.sub("", label.strip(_AROUND))
        match = _LETTERED.match(label.strip(_AROUND))
        lettered = match is not None and match["letter"].upper() in letters
        folded = _fold(label)
        bare = _fold(_ARTICLE.sub("", label))
        by_text = [letter for letter, text in letters.items() if text and text in (folded, bare)]
        if len(by_text) == 1 and not (lettered and len(folded) == 1):
            return by_text[0]
        if match is None or not lettered:
            return None
        letter, rest = match["letter"].upper(), _fold(match["rest"])
        if any(other.upper() != letter for other in _ANOTHER.findall(match["rest"])):
            return None
        told = {other: len(text) for other, text in letters.items() if text and f"{rest} ".startswith(f"{text} ")}
        return letter if not rest or (letter in told and told[letter] == max(told.values())) else None

    def verify(self, query: Query, label: str, gold: str) -> bool:
        """Whether both name the same choice."""
        mine = self.normalise(query, label)
        return mine is not None and mine == (self.normalise(query, gold) or gold.strip().upper())
