"""The names that a server of this program answers to, and whether a page that asks is its own.

A stranger's page can let its name resolve to this machine (DNS rebinding), so that a browser takes the server for a
part of that page; the Host header still holds the stranger's name.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.errors import InputError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)\.?(?::(\d{1,5}))?")
_PORTS = {"http": 80, "https": 443}
_LOCAL = "localhost"


@dataclass(frozen=True)
class HostPort:
    """A host with its port, None where none is given. Hosts are lower case, IPv6 without brackets."""

    host: str
    port: int | None = None


@dataclass(frozen=True)
class Names:
    """The names that a server answers to.

    `given` are the operator's, `own` the machine's; with `addresses` any address in digits is one too: a stranger can
    aim a name of his own at this machine, but not an address.
    """

    own: frozenset[str] = frozenset()
    given: tuple[HostPort, ...] = ()
    addresses: bool = False

    def know(self, place: HostPort) -> bool:
        """Whether a request for this place is for the server."""
        if place.host in self.own or any(place.host == known.host for known in self.given):
            return True
        address = _address(place.host)
        return place.host == _LOCAL or (address is not None and (self.addresses or address.is_loopback))

    def same(self, origin: str, place: HostPort) -> bool:
        """Whether pages of an origin are the server's own: they come from the place asked, or from a name given."""
        try:
            url = urlsplit(origin)
            port = url.port or _PORTS[url.scheme]
        except (ValueError, KeyError):
            return False
        usual = _PORTS[url.scheme]
        return any(url.hostname == own.host and port == (own.port or usual) for own in (place, *self.given))


def read_names(host: str, given: Sequence[str]) -> Names:
    """The names of a server that is bound to `host`, those given with --allow-host, and a Space's own.

    Raises:
        InputError: if one can't be a name.
    """
    words = [word for one in given for word in re.split(r"[,\s]+", one) if word]
    words += [word for word in os.environ.get("SPACE_HOST", "").split(",") if word.strip()]
    places = []
    for word in words:
        place = read_place(word.strip())
        if place is None:
            raise InputError(
                f"--allow-host {word}: give a name as studio.example, or studio.example:8443. Nothing was started."
            )
        places.append(place)
    bound = host.strip("[]").lower()
    address = _address(bound)
    if bound == _LOCAL or (address is not None and address.is_loopback):
        return Names(frozenset(), tuple(places))
    name = socket.gethostname().lower()
    return Names(frozenset({bound, name, f"{name}.local"}), tuple(places), addresses=True)


def read_place(host: str) -> HostPort | None:
    """The place that a Host header names; None if it names none."""
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return None
    name, port = match[1].strip("[]"), match[2]
    if match[1].startswith("[") and _address(name) is None:
        return None
    return HostPort(name, int(port) if port else None)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_own(host: str) -> bool:
    """Whether a server that is bound to this host is reached from this machine alone."""
    address = _address(host.strip("[]"))
    return host == _LOCAL if address is None else address.is_loopback
