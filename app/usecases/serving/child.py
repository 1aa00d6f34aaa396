"""A gateway that the studio starts for its user: a process of its own that ends with the studio, however that ends.

It holds the reading end of a pipe whose other end is the studio's alone. The system closes that end with the studio,
killed or not, and the gateway, told so by `--with-parent`, stops.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from app.usecases.serving.folder import gateway_folder, make_name, read_about
from app.usecases.serving.keys import make_key, read_keys, revoke_key
from app.usecases.teachers.connections import Keys, key_variable
from app.usecases.workspace.context import Context
from engine.environment import environment_for
from engine.errors import StateError
from engine.serving.policy import Policy, TeacherRung, write_policy
from engine.teachers.providers import HOSTED

KEY_NAME = "studio"
"""Whose key it is, among the gateway's own: of whoever pressed the button."""
_POLICY, _LOG = "policy.json", "studio.log"
_STOPPING_S, _KILLING_S = 12.0, 5.0
_TAIL, _MOST_WORDS = 4_000, 600
State = Literal["none", "starting", "open", "ended"]


@dataclass(frozen=True)
class ChildState:
    """How the gateway that the studio started for a project stands.

    `address` is that of its API, once it is open; `models` the names that it answers to; `words` the last ones of one
    that ended by itself.
    """

    state: State
    address: str = ""
    models: tuple[str, ...] = ()
    words: str = ""

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self.state in ("starting", "open")


@dataclass
class _Child:
    """One started gateway: its process, its folder, and when it was started, in seconds since 1970."""

    process: subprocess.Popen[bytes]
    folder: Path
    started: float
    models: tuple[str, ...]

    def look(self) -> ChildState:
        if (code := self.process.poll()) is not None:
            return ChildState("none") if code in (0, -15) else ChildState("ended", words=_last_words(self.folder))
        about = read_about(self.folder)
        fresh = float(about.get("started") or 0) >= self.started and about.get("address")
        return ChildState("open", f"{about['address']}/v1", self.models) if fresh else ChildState("starting")

    def stop(self) -> None:
        """SIGTERM lets answers under way be given out; what does not end by that is killed."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOPPING_S)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(_KILLING_S)
        if self.process.stdin is not None:
            self.process.stdin.close()


@dataclass
class ChildGatewayService:
    """Use cases of gateways that run as long as the studio does, one a project."""

    context: Context
    keys: Keys
    _children: dict[str, _Child] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self, project_name: str, policy: Policy, port: int = 0, max_cost: Decimal | None = None) -> str:
        """Start a gateway on a policy, on this machine's own address; it is open a little later.

        Args:
            port: 0: any free one.
            max_cost: US dollars that the teacher may cost, over all starts; None: no limit.

        Returns:
            A new key for callers, which nobody can read again; the one of the start before is no longer accepted.

        Raises:
            StateError: if the one of the project runs already.
            KeyMissing, KeyRefused: if the teacher's key is not here, or not for its address.
        """
        name = self.context.projects.get(project_name).name
        environment = environment_for() | self._find_key(policy)
        with self._lock:
            if self.look(name).runs:
                raise StateError("The gateway runs already: stop it before you start another one.")
            folder = gateway_folder(self.context.workspace, make_name(name))
            folder.mkdir(parents=True, exist_ok=True)
            write_policy(policy, folder / _POLICY)
            if any(key.name == KEY_NAME for key in read_keys(folder)):
                revoke_key(folder, KEY_NAME)
            key = make_key(folder, KEY_NAME)
            command = [sys.executable, "-m", "app", "gateway", str(folder / _POLICY), "--with-parent"]
            command += ["--port", str(port), "--name", folder.name, "--workspace", str(self.context.workspace)]
            command += [] if max_cost is None else ["--max-cost", str(max_cost)]
            self._let_go(name)
            started = time.time()
            with (folder / _LOG).open("wb") as log:
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment
                )
            self._children[name] = _Child(process, folder, started, policy.systems)
        return key

    def _let_go(self, name: str) -> None:
        """Forget one that has ended."""
        child = self._children.pop(name, None)
        if child is not None and child.process.stdin is not None:
            child.process.stdin.close()

    def _find_key(self, policy: Policy) -> dict[str, str]:
        """The teacher's key in its variable, typed in here or of the environment; of a teacher that needs one."""
        last = policy.rungs[-1]
        if not isinstance(last, TeacherRung) or last.teacher is None or last.teacher.provider not in HOSTED:
            return {}
        spec = last.teacher.to_spec()
        variable, key = key_variable(spec), self.keys.find(spec)
        return {variable: key} if variable and key else {}

    def look(self, project_name: str) -> ChildState:
        """How a project's gateway stands."""
        with self._lock:
            child = self._children.get(project_name)
            return child.look() if child else ChildState("none")

    def stop(self, project_name: str) -> None:
        """Stop a project's gateway, if it runs; returns once it has ended. Its key is taken back."""
        with self._lock:
            child = self._children.pop(project_name, None)
        if child is None:
            return
        child.stop()
        if any(key.name == KEY_NAME for key in read_keys(child.folder)):
            revoke_key(child.folder, KEY_NAME)

    def close(self) -> None:
        """Stop all: the studio ends."""
        with self._lock:
            names = list(self._children)
        stopping = [threading.Thread(target=self.stop, args=(name,), daemon=True) for name in names]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()


def _last_words(folder: Path) -> str:
    """What a gateway printed last."""
    try:
        with (folder / _LOG).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(line.removeprefix("tacit: ") for line in lines[-4:])[-_MOST_WORDS:]
