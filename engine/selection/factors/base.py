"""What a factor of confidence is that selection computes itself, beside those that teachers report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from engine.registry import Registry
from engine.selection.arrays import Floats, Ints


@dataclass(frozen=True)
class Scored:
    """Samples that a factor scores. What is dear to read is read when it is called for.

    Attributes:
        query: index of the query, int64 (N,).
        teacher: index of the teacher, int64 (N,).
        label: code of the label, equal within a query exactly where the normalised labels are equal, int64 (N,).
        label_space: how many labels a query can have.
        texts: the rationales, in the order of the samples.
        evidence: by name what else is known of each sample, (N,), NaN where nothing is.
    """

    query: Ints
    teacher: Ints
    label: Ints
    label_space: Callable[[], int]
    texts: Callable[[], Iterable[str]]
    evidence: Callable[[], Mapping[str, Floats]] = dict

    def find(self, name: str) -> Floats:
        """What is known by a name, (N,); all NaN where nothing is."""
        return self.evidence().get(name, np.full(len(self.query), np.nan))


@dataclass(frozen=True)
class Factor:
    """A factor m_l: its title, a line of help, and scores in [0, 1] of samples, (N,), NaN where nothing is known.

    `votes`: it says how far teachers agree, so a query that one teacher alone answered has none. `evidence`: the name
    of what it reads that is known of a sample beside its label and scores; "" where it reads nothing of the kind.
    """

    title: str
    help: str
    score: Callable[[Scored], Floats]
    votes: bool = False
    evidence: str = ""


FACTORS: Registry[Factor] = Registry("factors", "factor")
