"""What handlers and pages ask before they work or are laid out; on one's own machine everything is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from app.services import Services
from app.usecases.playground.answers import MOST_QUERY
from app.usecases.projects.status import Mark
from storage.projects import Project

Offer = Literal["everywhere", "in a copy", "nowhere"]
"""Where a handler may be asked for: on any project, on a visitor's own copy only, or not at all."""


@dataclass(frozen=True)
class Limits:
    """What pages offer no more than; `preset` and `kept_as` may be None: no limit, and nothing kept."""

    preset: str | None = None
    """The only preset of a training, without changes of its settings and on the packaged student."""
    query: int = MOST_QUERY
    """Characters of a query in the playground."""
    servers: bool = True
    """Whether a page may start a server on this machine, for whoever sits at it."""
    kept_as: str | None = None
    """Name under which a visitor's browser keeps the key of the copy, so that any page finds it again."""


class AccessPolicy(Protocol):
    """Who may see and do what."""

    @property
    def limits(self) -> Limits:
        """What pages offer no more than."""
        ...

    def find(self, address: str | None) -> Project | None:
        """The project that an address names, as far as whoever names it may see it; else one that may be shown."""
        ...

    def open(self, name: str | None) -> Project | None:
        """As `find`, for the name that a handler was given."""
        ...

    def resolve(self, address: Any) -> Any:
        """The name of the project that an address names: the address itself, but for visitors' copies.

        Raises:
            Forbidden: if there is no such copy any more.
        """
        ...

    def address(self, project: Project) -> str:
        """What names a project in addresses of pages."""
        ...

    def title(self, name: str) -> str:
        """What a project is called above its steps."""
        ...

    def note(self, address: str, project: Project | None, page: str) -> str:
        """What is said above a page, as HTML; "" if nothing is."""
        ...

    def choose_marks(self, marks: Sequence[Mark]) -> list[Mark]:
        """Of a project's steps those that have a page here."""
        ...

    def switchable(self) -> list[str]:
        """Names of the projects that the top bar leads to, oldest first; none where there are no others to see."""
        ...

    def choose_systems(self, project: Project, systems: dict[str, str]) -> dict[str, str]:
        """Of those who can be asked in the playground, by name, those who answer here."""
        ...

    def goes_on(self, project: str, run: str | None) -> bool:
        """Whether a run of a project may go on, or be done again from a step on."""
        ...

    def sees(self, project: str, of: str) -> bool:
        """Whether somebody who looks at `project` may see what runs in the project `of`."""
        ...

    def offers(self, module: str, handler: str) -> Offer:
        """Where a handler may be asked for."""
        ...

    def check(self, module: str, handler: str, values: Sequence[Any]) -> None:
        """Before a handler works on values, of which the first is the project's address.

        Raises:
            Forbidden: if this is not allowed here.
        """
        ...


@dataclass(frozen=True)
class Own:
    """On one's own machine everything is allowed."""

    services: Services
    limits: Limits = Limits()

    def find(self, address: str | None) -> Project | None:
        """The project of that name, if there is one; the newest where none is named."""
        return self.services.standing.find_project(address)

    def open(self, name: str | None) -> Project | None:
        return self.find(name)

    def resolve(self, address: Any) -> Any:
        """Its name as it is."""
        return address

    def address(self, project: Project) -> str:
        return project.name

    def title(self, name: str) -> str:
        return name

    def note(self, address: str, project: Project | None, page: str) -> str:
        return ""

    def choose_marks(self, marks: Sequence[Mark]) -> list[Mark]:
        return list(marks)

    def switchable(self) -> list[str]:
        return self.services.projects.names()

    def choose_systems(self, project: Project, systems: dict[str, str]) -> dict[str, str]:
        return systems

    def goes_on(self, project: str, run: str | None) -> bool:
        return True

    def sees(self, project: str, of: str) -> bool:
        return True

    def offers(self, module: str, handler: str) -> Offer:
        return "everywhere"

    def check(self, module: str, handler: str, values: Sequence[Any]) -> None:
        """Nothing is refused."""
