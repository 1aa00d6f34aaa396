"""Teachers that are programs: they solve the demo's puzzles from the text, each by its own method, and err by hash.

They never see a gold label. A slip, a malformed reply and the self-scores all follow from a hash of teacher and query,
so two runs give the same replies.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass

from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.prompts import UNSOUND
from engine.puzzles import METHODS, Solution, solve_puzzle
from engine.values import Purpose, Reply, TeacherSpec

_SLIPS = {"forward": 0.06, "eliminate": 0.10, "tabulate": 0.14}
_MALFORMED = 0.03
_CARELESS = 0.5
"""Of its grades, those for which it does not work the question out again."""
_FACTORS = ("reasoning", "answer", "clarity")
_WORD = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class ScriptedTeacher:
    """One of the three methods as a teacher."""

    method: str

    @property
    def spec(self) -> TeacherSpec:
        """Its fixed configuration."""
        return TeacherSpec(self.method, "scripted", f"puzzles-{self.method}", concurrency=1)

    @property
    def live(self) -> bool:
        """It answers whatever it is asked."""
        return True

    async def ask(self, request: Request) -> Reply:
        """Solve, rewrite, check or grade, by the request's purpose.

        Raises:
            TeacherError: unknown_query if the query is none of the puzzles.
        """
        started = time.perf_counter()
        try:
            kind, solution = solve_puzzle(request.query.text, self.method)
        except ValueError as error:
            raise TeacherError(ErrorKind.UNKNOWN_QUERY, str(error)) from error
        if request.purpose is Purpose.COMPRESS:
            text = self._rewrite(solution, request)
        elif request.purpose is Purpose.CHECK:
            rationale = request.variables.get("rationale")
            text = self._alone(kind, solution, request) if rationale is None else self._follow(solution, rationale)
        elif request.purpose is Purpose.GRADE:
            text = self._grade(kind, solution, request)
        else:
            text = self._answer(kind, solution, request)
        return Reply(text, text, latency_s=time.perf_counter() - started)

    def _chance(self, *parts: object) -> float:
        """A number in [0, 1) that the parts and the method decide."""
        digest = hashlib.sha256(repr((self.method, *parts)).encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56

    def _answer(self, kind: str, solution: Solution, request: Request) -> str:
        about = (request.query.text, request.draw)
        slipped = self._slips(kind, *about)
        if slipped:
            solution = _slip(solution, int(self._chance("which", *about) * len(solution.distractors)))
        rationale = " ".join(step.full for step in solution.steps)
        reply = {"rationale": rationale, "label": solution.answer, "scores": self._scores(slipped, *about)}
        text = json.dumps(reply)
        malformed = self._chance("malformed", *about)
        if malformed >= _MALFORMED:
            return text
        forms = (text[: len(text) // 3], rationale, "")
        return forms[int(malformed / _MALFORMED * len(forms))]

    def _slips(self, kind: str, *about: object) -> bool:
        return self._chance("slip", *about) < _SLIPS[self.method] * (0.5 + self._chance("rate", kind))

    def _alone(self, kind: str, solution: Solution, request: Request) -> str:
        """The answer to the query alone; another wording of the question, so other slips than when labelling."""
        return json.dumps({"label": self._solve_again("alone", kind, solution, request)})

    def _solve_again(self, wording: str, kind: str, solution: Solution, request: Request) -> str:
        """The answer of the method under another wording of the question, with slips of that wording."""
        about = (wording, request.query.text)
        slipped = self._slips(kind, *about)
        which = int(self._chance("which", *about) * len(solution.distractors))
        return solution.distractors[which] if slipped else solution.answer

    def _grade(self, kind: str, solution: Solution, request: Request) -> str:
        """Its grade of an answer, by what the request shows and its own method; it knows neither gold nor its slips.

        It works the question out again, with slips of its own, or half of the time just reads its reasoning, which it
        then believes. Good: the answer it comes to is the one given, and the reasoning leads there. Poor: neither.
        """
        given, rationale = request.variables["label"], request.variables["rationale"]
        led_to = _find_last(solution, rationale)
        careless = self._chance("careless", request.query.text, request.draw) < _CARELESS
        own = led_to if careless else self._solve_again("grade", kind, solution, request)
        agrees, follows = own == given, led_to == given
        grade = "Good" if agrees and follows else "Medium" if agrees or follows else "Poor"
        reason = f"Working it out again gives {own}." if not careless else f"The reasoning leads to {led_to}."
        return json.dumps({"reason": reason, "grade": grade})

    def _scores(self, slipped: bool, *about: object) -> dict[str, float]:
        """Self-scores: high where the answer is right, often high where it is wrong, as of real models."""
        mood = self._chance("mood", *about)
        spread = 0.22 if slipped else 0.08
        scores = {}
        for factor in _FACTORS:
            own = self._chance(factor, *about)
            width = 0.06 if factor == "clarity" else spread
            scores[factor] = round(1 - width * (0.6 * mood + 0.4 * own) ** 1.5, 3)
        return scores

    def _rewrite(self, solution: Solution, request: Request) -> str:
        """Say the steps in few words: all that are needed, and of the others those the student has in mind that fit.

        A sound text of the student is a model of length: half of its words are filled up.
        """
        label, student = request.variables["label"], request.variables.get("student_rationale", "")
        if label != solution.answer and label in solution.distractors:
            solution = _slip(solution, solution.distractors.index(label))
        *steps, last = solution.steps
        said = set(_WORD.findall(student.lower()))
        sound = bool(said) and not student.startswith(UNSOUND)
        kept = {step.short for step in steps if step.needed}
        spent = sum(len(_WORD.findall(text)) for text in (*kept, last.short))
        optional = [step for step in steps if not step.needed and sound]
        for step in sorted(optional, key=lambda step: -_overlap(step.short, said)):
            spent += len(_WORD.findall(step.short))
            if spent <= len(_WORD.findall(student)) // 2:
                kept.add(step.short)
        chosen = [step.short for step in steps if step.short in kept]
        return json.dumps({"rationale": "; ".join([*chosen, last.short]), "label": solution.answer})

    def _follow(self, solution: Solution, rationale: str) -> str:
        """The candidate answer that the reasoning names last."""
        last = _find_last(solution, rationale)
        return "It leads nowhere." if last is None else json.dumps({"label": last})


def _find_last(solution: Solution, rationale: str) -> str | None:
    """The candidate answer that a text names last; None if it names none."""
    places = {
        answer: match.start()
        for answer in (solution.answer, *solution.distractors)
        for match in re.finditer(rf"\b{re.escape(answer)}\b", rationale)
    }
    return max(places, key=lambda a: places[a]) if places else None


def _slip(solution: Solution, which: int) -> Solution:
    """The same solution with a wrong answer in its last step."""
    wrong = solution.distractors[which]
    last = solution.steps[-1]
    pattern = rf"\b{re.escape(solution.answer)}\b"
    ending = type(last)(re.sub(pattern, wrong, last.full), re.sub(pattern, wrong, last.short))
    others = tuple(d for d in solution.distractors if d != wrong)
    return Solution((*solution.steps[:-1], ending), wrong, (solution.answer, *others))


def _overlap(short: str, said: set[str]) -> float:
    words = _WORD.findall(short.lower())
    return sum(word in said for word in words) / max(1, len(words))


SCRIPTED_TEACHERS = tuple(ScriptedTeacher(method) for method in METHODS)
