"""The process behind `engine.tasks.algebra`: a line of LaTeX in, a line with its canonical form out.

It ends when its input does, so nothing is left where its parent was killed.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import math_verify
import sympy  # type: ignore[import-untyped]

_LETTER = re.compile(r"x_\{?(\d+)\}?")
_DIGITS = 30
_ALMOST_NOTHING = sympy.Float("1e-20")


def canonical_form(latex: str) -> str:
    """A real number in decimals, or the expression as one cancelled fraction of polynomials; "" if it is neither."""
    parsed = math_verify.parse(f"${latex}$", parsing_timeout=None)
    expression = parsed[0] if parsed else None
    if not isinstance(expression, sympy.Expr) or expression.has(sympy.I):
        return ""
    if expression.free_symbols:
        expression = sympy.cancel(sympy.expand(expression.doit()))
        if expression.has(sympy.nan, sympy.zoo, sympy.oo):
            return ""
    return _decimals(expression) if not expression.free_symbols else _LETTER.sub(_letter, str(expression))


def _decimals(expression: Any) -> str:
    value = sympy.N(expression, _DIGITS)
    if (not value.is_Float and not value.is_Integer) or not value.is_finite:
        return ""
    return "0" if abs(value) < _ALMOST_NOTHING else str(value)


def _letter(match: re.Match[str]) -> str:
    return chr(int(match[1]))


def main() -> None:
    """Answer line by line; an empty line is answered at once."""
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        try:
            answer = canonical_form(line.strip()) if line.strip() else "ready"
        except Exception:  # noqa: BLE001 - sympy and ANTLR raise whatever they like
            answer = ""
        sys.stdout.write(f"{' '.join(answer.split())}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
