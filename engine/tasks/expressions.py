"""The grammar of labels that are real expressions but no plain number: "3x + 2", "2\\sqrt{2}", "\\frac{\\pi}{4}".

What it accepts is written out anew as LaTeX without a choice of reading, and is small: bounds on letters, terms,
degrees and digits are checked while it is read. Equations, lists, intervals, complex numbers and words are no label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from engine.tasks.notation import MAX_LABEL, plain

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?!,\d)(?:\.\d+)?|\.\d+)|(?P<letters>[A-Za-z]+)"
    r"|(?P<greek>[αβγδθλμφωπ])|(?P<command>\\[A-Za-z]+)|(?P<sign>\*\*|[-+*/^(){}\[\]√=])"
)
_GREEK_NAMES = ("alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "phi", "omega")
_GREEK = dict(zip("αβγδθλμφω", _GREEK_NAMES, strict=True))
_FUNCTIONS = {"sin", "cos", "tan", "log", "ln", "exp"}
_SHORT_WORDS = (
    "ad ah am an as at be by cc cm ct do dm eg ft gb go ha he hi hp hr id ie if in is it kb kg km lb mb me mg mi ml mm "
    "mr ms my nd no of oh ok on or oz pc pm qt rd so st th to up us vs we yd"
)
_OPEN_NAMES = re.compile(r"\A\s*[A-Za-z](?:\s*\(\s*[A-Za-z]\s*\))?\s*=\s*(?P<right>[^=]+)\Z")
_MAX_TERMS, _MAX_DEGREE, _MAX_EXPONENT, _MAX_DEPTH, _MAX_LETTERS, _MAX_DIGITS = 200, 24, 20, 12, 4, 18
_MAX_BITS = 512


class Expression(NamedTuple):
    """A label that is an expression: its text without its dress, and its LaTeX for computer algebra.

    In the LaTeX the letters are `x_{code point}`, since parsers take some letters and cases for others.
    """

    text: str
    latex: str


class _RefusedError(Exception):
    """The text is no expression of the grammar."""


@dataclass(frozen=True)
class _Part:
    """A part of an expression, with upper bounds for how large it is when it is multiplied out."""

    latex: str
    terms: int = 1
    degree: int = 0
    bits: int = 0
    powers: int = 0
    whole: int | None = None
    form: str = "product"

    def __post_init__(self) -> None:
        if self.terms > _MAX_TERMS or self.degree > _MAX_DEGREE or self.bits > _MAX_BITS:
            raise _RefusedError

    @property
    def factor(self) -> str:
        """Its LaTeX as a factor: a sum in parentheses."""
        return f"({self.latex})" if self.form == "sum" else self.latex

    @property
    def base(self) -> str:
        """Its LaTeX as what is raised to a power: in parentheses unless it is one sign."""
        return self.latex if self.form == "sign" else f"({self.latex})"


def read_expression(text: str) -> Expression | None:
    """The expression that a label is; None if the grammar does not know it. Takes time linear in the text."""
    if len(text) > MAX_LABEL:
        return None
    text = plain(text).rstrip(" .,;")
    named = _OPEN_NAMES.match(text)
    right = named["right"].strip() if named else text
    if named and text[: named.start("right")].strip()[0] in re.sub(r"\\[A-Za-z]+", "", right):
        return None
    try:
        return Expression(right, _Parser(right).parse().latex)
    except _RefusedError:
        return None


def _negative(part: _Part) -> _Part:
    whole = None if part.whole is None else -part.whole
    return _Part(f"-{part.factor}", part.terms, part.degree, part.bits, part.powers, whole, "sum")


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.place = self.depth = 0
        self.letters: set[str] = set()
        self.beyond = False  # whether it is more than arithmetic, which is the business of `engine.tasks.numbers`
        self._split(text)

    def parse(self) -> _Part:
        part = self._sum()
        if self.place != len(self.tokens) or len(self.letters) > _MAX_LETTERS or not (self.beyond and self._works()):
            raise _RefusedError
        return part

    def _works(self) -> bool:
        """Whether there is more than letters side by side, which may be anything."""
        return any(kind in ("number", "command") or piece in {*"+-*/^√π", "**"} for kind, piece in self.tokens)

    def _split(self, text: str) -> None:
        place, spaced = 0, False
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise _RefusedError
            place = match.end()
            kind, piece = str(match.lastgroup), match.group()
            if kind == "letters":
                if len(piece) > 1 and spaced and self.tokens and self.tokens[-1][0] == "number":  # "12 qt"
                    raise _RefusedError
                self._split_letters(piece)
            elif kind != "space":
                self.tokens.append((kind, piece))
            spaced = kind == "space"

    def _split_letters(self, piece: str) -> None:
        """A function, a constant, or letters that are multiplied; never a word."""
        if piece in _FUNCTIONS | {"sqrt", "pi"}:
            self.tokens.append(("command", f"\\{piece}"))
            return
        spelt = (
            len(piece) == 1
            or (len(piece) == 2 and piece.lower() not in _SHORT_WORDS.split())
            or set(piece) <= set("xyz")
        )
        if not spelt:
            raise _RefusedError
        self.tokens += [("letter", letter) for letter in piece]

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def _take(self, *pieces: str) -> str | None:
        piece = self._peek()[1]
        if piece not in pieces:
            return None
        self.place += 1
        return piece

    def _expect(self, piece: str) -> None:
        if not self._take(piece):
            raise _RefusedError

    def _sum(self) -> _Part:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _RefusedError
        part = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            part = _Part(
                f"{part.latex}{sign}{other.factor}",
                part.terms + other.terms,
                max(part.degree, other.degree),
                max(part.bits, other.bits) + 1,
                max(part.powers, other.powers),
                form="sum",
            )
        self.depth -= 1
        return part

    def _product(self) -> _Part:
        part = self._factor()
        while True:
            kind, piece = self._peek()
            if piece in ("*", "/"):
                self.place += 1
                other = self._factor()
            elif kind in ("letter", "greek", "command") or piece in ("(", "{", "√"):
                piece, other = "*", self._power()
            else:
                return part
            fraction = piece == "/"
            both = f"\\frac{{{part.latex}}}{{{other.latex}}}" if fraction else f"{part.factor} \\cdot {other.factor}"
            part = self._multiplied(both, part, other)

    def _multiplied(self, latex: str, part: _Part, other: _Part) -> _Part:
        powers = max(part.powers, other.powers)
        return _Part(latex, part.terms * other.terms, part.degree + other.degree, part.bits + other.bits, powers)

    def _factor(self) -> _Part:
        if sign := self._take("-", "+"):
            if self._peek()[1] in ("-", "+"):
                raise _RefusedError
            part = self._power()
            return part if sign == "+" else _negative(part)
        return self._power()

    def _power(self) -> _Part:
        base = self._atom()
        if not self._take("^", "**"):
            return base
        exponent = self._exponent()
        latex = f"{{{base.base}}}^{{{exponent.latex}}}"
        if exponent.whole is None:
            self.beyond = True
            if exponent.powers or exponent.degree > 2 or exponent.bits > 8 or base.powers > 1:
                raise _RefusedError
            return _Part(latex, base.terms, base.degree + exponent.degree + 1, base.bits * 4 + exponent.bits, 2)
        times = abs(exponent.whole)
        if times > _MAX_EXPONENT:
            raise _RefusedError
        return _Part(latex, base.terms**times, base.degree * times, base.bits * times, base.powers + 1)

    def _exponent(self) -> _Part:
        return _negative(self._atom()) if self._take("-") else self._atom()

    def _atom(self) -> _Part:
        kind, piece = self._peek()
        self.place += 1
        if kind == "number":
            return self._number(piece)
        if kind == "letter":
            return self._letter(piece)
        if kind == "greek":
            return self._command("pi") if piece == "π" else self._letter(_GREEK[piece])
        if piece in ("(", "{"):
            part = self._sum()
            self._expect(")" if piece == "(" else "}")
            return part
        if piece == "√":
            return self._root(self._atom(), "")
        if kind == "command":
            return self._command(piece[1:])
        raise _RefusedError

    def _command(self, name: str) -> _Part:
        if name == "pi":
            self.beyond = True
            return _Part("\\pi", form="sign")
        if name in _GREEK_NAMES:
            return self._letter(name)
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            above, below = self._group(), self._group()
            return self._multiplied(f"\\frac{{{above.latex}}}{{{below.latex}}}", above, below)
        if name == "sqrt":
            order = ""
            if self._take("["):
                kind, order = self._peek()
                self.place += 1
                if kind != "number" or order not in {"2", "3", "4", "5", "6"}:
                    raise _RefusedError
                self._expect("]")
            return self._root(self._atom(), order)
        if name in _FUNCTIONS:
            self.beyond = True
            if self._peek()[1] not in ("(", "{"):  # "sin x^2" may be either
                raise _RefusedError
            part = self._atom()
            return _Part(f"\\{name}{{({part.latex})}}", 1, part.degree + 1, part.bits * 2, part.powers + 1)
        raise _RefusedError

    def _group(self) -> _Part:
        self._expect("{")
        part = self._sum()
        self._expect("}")
        return part

    def _root(self, part: _Part, order: str) -> _Part:
        self.beyond = True
        if part.bits > _MAX_BITS // 4:
            raise _RefusedError
        return _Part(f"\\sqrt{f'[{order}]' if order else ''}{{{part.latex}}}", part.terms, part.degree, part.bits, 1)

    def _number(self, piece: str) -> _Part:
        whole, _, decimals = piece.replace(",", "").partition(".")
        if len(whole + decimals) > _MAX_DIGITS:
            raise _RefusedError
        value = int(whole + decimals)
        if not decimals:
            return _Part(str(value), bits=value.bit_length(), whole=value, form="sign")
        return _Part(f"\\frac{{{value}}}{{{10 ** len(decimals)}}}", bits=value.bit_length() + 4 * len(decimals))

    def _letter(self, name: str) -> _Part:
        if name in ("i", "I"):
            raise _RefusedError
        self.beyond = True
        if name == "e":
            return _Part("e", form="sign")
        self.letters.add(name)
        code = ord(name) if len(name) == 1 else ord({word: sign for sign, word in _GREEK.items()}[name])
        return _Part(f"x_{{{code}}}", degree=1, form="sign")
