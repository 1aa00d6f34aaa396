"""One teacher's samples alone, whatever their confidence."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from engine.errors import ConfigError
from engine.selection.rules.base import RULES, Rule, Stage, State

_NAME: Final = "one-teacher"


class OneTeacher(Rule):
    """Keep the samples of one teacher."""

    title: ClassVar[str] = "one teacher"
    help: ClassVar[str] = "Keeps the samples of one teacher, as the ablation without the others."
    stage: ClassVar[Stage] = Stage.ASKING

    kind: Literal["one-teacher"] = _NAME
    name: str = Field("", title="Which teacher", description="empty: the first by name", max_length=60)

    def apply(self, state: State) -> State:
        """Reject the others' samples.

        Raises:
            ConfigError: if no sample is of a teacher of that name.
        """
        names = state.samples.sources
        if self.name and self.name not in names:
            raise ConfigError(
                f"no sample is of a teacher {self.name!r}; there are {', '.join(names) or 'none by name'}"
            )
        chosen = names.index(self.name) if self.name else 0
        return state.reject(state.samples.teacher != chosen)


RULES.add(_NAME, OneTeacher)
