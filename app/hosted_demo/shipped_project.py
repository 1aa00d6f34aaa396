"""The finished demo project that comes with the program, so that every page has something true to show."""

from __future__ import annotations

from pathlib import Path

from app.services import Services

SHIPPED = Path(__file__).parents[1] / "shipped" / "demo.tacit.zip"
"""Made by `make shipped-demo`."""
NAME = "demo"


def bring_demo(services: Services) -> bool:
    """Put the demo project into a workspace that never had a project; whether it did."""
    if services.projects.names() or not SHIPPED.is_file():
        return False
    bring_shipped(services, NAME)
    return True


def bring_shipped(services: Services, name: str) -> None:
    """Put the demo project into a workspace under a name.

    Raises:
        InputError: if the name is taken.
    """
    services.carry.bring(SHIPPED, name)
