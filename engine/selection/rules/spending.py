"""Teacher dollars: only the queries that so much money would have paid for.

Methods that ask one teacher or several are comparable at equal spending only: one teacher's answers to three times as
many queries cost what three teachers' answers to each do.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.errors import ConfigError
from engine.selection.arrays import Bools, Floats, SelectionInput
from engine.selection.rules.base import COSTS, RULES, Rule, Stage, State
from engine.values import COST
from engine.wording import counted

_NAME: Final = "spending"


class Spending(Rule):
    """Keep queries, in an order that no one chose, until their samples cost so much.

    Which samples count is what earlier rules of asking left: after `one-teacher` that teacher's alone. The order of
    queries is that of their samples' hashes, the same whoever is asked, so that a smaller sum keeps a part of what a
    larger one keeps. Requests that gave no sample are not counted.
    """

    title: ClassVar[str] = "teacher dollars"
    help: ClassVar[str] = "Keeps as many queries as so many US dollars pay teachers for, in an order by hash."
    stage: ClassVar[Stage] = Stage.ASKING
    needs: ClassVar[frozenset[str]] = frozenset({COSTS})

    kind: Literal["spending"] = _NAME
    most_usd: float = Field(1.0, gt=0, le=1e9, title="US dollars for teachers")

    def apply(self, state: State) -> State:
        """Reject the samples of all queries from the first one on that is not paid for.

        Raises:
            ConfigError: if what some sample cost is not known.
        """
        samples, asked = state.samples, state.stays
        cost = np.where(asked, read_costs(samples, asked), 0.0)
        queries = int(samples.query.max(initial=-1)) + 1
        by_query = np.bincount(samples.query, weights=cost, minlength=queries)
        first = np.full(queries, np.iinfo(np.int64).max)
        np.minimum.at(first, samples.query, samples.order)
        ranked = np.argsort(first)
        paid = np.empty(queries, dtype=bool)
        paid[ranked] = np.cumsum(by_query[ranked]) <= self.most_usd * (1 + 1e-9)
        return state.reject(~paid[samples.query])


def read_costs(samples: SelectionInput, asked: Bools) -> Floats:
    """US dollars of each sample, (N,).

    Raises:
        ConfigError: if that of some `asked` one (N,) is not known.
    """
    cost = samples.find(COST)
    unknown = int((np.isnan(cost) & asked).sum())
    if unknown:
        raise ConfigError(
            f"what {counted(unknown, 'sample')} cost is not known, so no budget of teacher dollars can be held: give "
            "the teachers prices and label again, or choose another budget"
        )
    return cost


RULES.add(_NAME, Spending)
