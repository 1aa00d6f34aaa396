"""Projects, their teachers, and the texts of prompts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.config import ProjectConfig, read_config
from engine.errors import Conflict, InputError, NotFound
from engine.foreign import plain
from engine.values import Sampling, TeacherSpec, hash_id
from storage.db import Database, Row, Transaction

OF_VISITORS = re.compile(r"your copy [0-9a-f]{8}")
"""Names of visitors' copies, which are told to nobody else."""


@dataclass(frozen=True)
class Project:
    """A project as it is stored."""

    id: str
    config: ProjectConfig
    archived: bool = False

    @property
    def name(self) -> str:
        """Its name, unique in a workspace."""
        return self.config.name


def now() -> datetime:
    """The present time in UTC, without a zone, as the tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def newest(writer: Transaction, table: str, project_id: str) -> datetime:
    """The present time, or the moment behind a project's newest row: a clock that was set back makes nothing older."""
    last = writer.run(f"SELECT max(created_at) FROM {table} WHERE project_id = ?", [project_id])[0][0]
    return now() if last is None else max(now(), last + timedelta(microseconds=1))


class Projects:
    """Table family of projects."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def create(self, config: ProjectConfig) -> Project:
        """Add a project.

        Raises:
            InputError: if the name is taken, or holds what a terminal would obey.
        """
        if config.name != plain(config.name) or not config.name.isprintable():
            raise InputError("the project's name holds control characters; give it another name. Nothing was stored.")
        project = Project(hash_id("project", config.name), config)
        with self._db.write() as writer:
            if writer.run("SELECT 1 FROM projects WHERE name = ?", [config.name]):
                raise InputError(f"there is a project {config.name!r} already; choose another name")
            writer.run(
                "INSERT INTO projects (id, name, config, created_at) VALUES (?, ?, ?, ?)",
                [project.id, config.name, config.model_dump_json(), now()],
            )
        return project

    def get(self, name: str) -> Project:
        """A project by name.

        Raises:
            NotFound: if there is none.
        """
        rows = self._db.remembered(f"SELECT {_PROJECT} FROM projects WHERE name = ? OR id = ?", [name, name])
        if not rows:
            names = [project.name for project in self.all() if not OF_VISITORS.fullmatch(project.name)]
            known = ", ".join(names) or "none"
            raise NotFound(f"there is no project {name!r}; this workspace has: {known}")
        return _project(rows[0])

    def all(self) -> list[Project]:
        """All projects, oldest first."""
        return [_project(row) for row in self._db.remembered(f"SELECT {_PROJECT} FROM projects ORDER BY created_at")]

    def sizes(self, project_id: str) -> dict[str, Any]:
        """How large a project is. Keys: queries, samples, cost (US dollars that are known to be spent)."""
        return self._db.remembered(
            "SELECT (SELECT count(*) FROM queries WHERE project_id = ?) AS queries, "
            "(SELECT count(*) FROM samples WHERE project_id = ?) AS samples, "
            "(SELECT coalesce(sum(cost), 0) FROM attempts WHERE project_id = ?) AS cost",
            [project_id] * 3,
        )[0]

    def configure(self, project_id: str, **changes: Any) -> None:
        """Change settings of a project.

        Raises:
            ConfigError: if one can't be so; then nothing is stored.
        """
        with self._db.write() as writer:
            rows = writer.run("SELECT config FROM projects WHERE id = ?", [project_id])
            config = read_config(ProjectConfig, {**json.loads(rows[0][0]), **changes})
            writer.run("UPDATE projects SET config = ? WHERE id = ?", [config.model_dump_json(), project_id])

    def archive(self, project_id: str, away: bool) -> None:
        """Put a project away, or bring it back."""
        with self._db.write() as writer:
            writer.run("UPDATE projects SET archived = ? WHERE id = ?", [away, project_id])

    def remove(self, name: str) -> None:
        """Take back a project that nothing was put into yet."""
        with self._db.write() as writer:
            writer.run("DELETE FROM projects WHERE name = ? AND id NOT IN (SELECT project_id FROM queries)", [name])

    def put_teacher(self, project_id: str, spec: TeacherSpec, seen: str | None = None) -> None:
        """Add or replace a teacher. The spec names a key's variable, never a key.

        `seen` is the mark of what was there when whoever changes it looked ("": nothing); None where it doesn't matter.

        Raises:
            Conflict: if that has changed since; then nothing is stored.
        """
        with self._db.write() as writer:
            rows = writer.run("SELECT spec FROM teachers WHERE project_id = ? AND name = ?", [project_id, spec.name])
            if seen is not None and seen != (_mark(rows[0][0]) if rows else ""):
                raise Conflict(
                    f"{spec.name} was changed elsewhere after you opened it, or is there already. Nothing was "
                    "overwritten: choose it above to see it as it is now."
                )
            writer.run(
                "INSERT OR REPLACE INTO teachers VALUES (?, ?, ?)", [project_id, spec.name, json.dumps(asdict(spec))]
            )

    def teacher_rows(self, project_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The teachers as they are stored: the name of the row, and the settings unchecked."""
        rows = self._db.rows("SELECT name, spec FROM teachers WHERE project_id = ? ORDER BY name", [project_id])
        return [(row["name"], json.loads(row["spec"])) for row in rows]

    def teachers(self, project_id: str) -> list[TeacherSpec]:
        """The project's teachers by name."""
        rows = self._db.remembered("SELECT spec FROM teachers WHERE project_id = ? ORDER BY name", [project_id])
        specs = [json.loads(row["spec"]) for row in rows]
        return [TeacherSpec(**{**spec, "sampling": Sampling(**spec["sampling"])}) for spec in specs]

    def teacher_mark(self, project_id: str, name: str) -> str:
        """What tells one state of a teacher's settings from another; "" where there is none of that name."""
        row = self._db.row("SELECT spec FROM teachers WHERE project_id = ? AND name = ?", [project_id, name])
        return _mark(row["spec"]) if row else ""

    def remove_teacher(self, project_id: str, name: str) -> None:
        """Take a teacher off the list; its samples stay."""
        with self._db.write() as writer:
            writer.run("DELETE FROM teachers WHERE project_id = ? AND name = ?", [project_id, name])

    def prompts(self, project_id: str) -> list[tuple[int, str]]:
        """The project's own versions of the teachers' prompt, oldest first."""
        rows = self._db.rows(
            "SELECT version, text FROM project_prompts WHERE project_id = ? ORDER BY version", [project_id]
        )
        return [(row["version"], row["text"]) for row in rows]

    def add_prompt(self, project_id: str, text: str, seen: int) -> int:
        """Add the version after `seen`; returns its number.

        Raises:
            Conflict: if there is one already; then nothing is stored.
        """
        with self._db.write() as writer:
            sql = "SELECT coalesce(max(version), 1) FROM project_prompts WHERE project_id = ?"
            if writer.run(sql, [project_id])[0][0] != seen:
                raise Conflict(
                    "The prompt was changed elsewhere after you opened it. Nothing was overwritten and your text is "
                    "still in its box: open the newest version to see theirs."
                )
            writer.run("INSERT INTO project_prompts VALUES (?, ?, ?, ?)", [project_id, seen + 1, text, now()])
        return seen + 1

    def keep_prompt(self, hash_: str, name: str, text: str) -> None:
        """Keep the text of a prompt by its hash, so that an old sample stays explainable."""
        with self._db.write() as writer:
            writer.run("INSERT INTO prompts VALUES (?, ?, ?) ON CONFLICT DO NOTHING", [hash_, name, text])

    def kept_prompts(self, project_id: str) -> list[dict[str, Any]]:
        """Name and hash of the prompts that a project's labels, grades, compressions and checks were asked with."""
        return self._db.rows(
            "SELECT DISTINCT p.name, p.hash FROM prompts p JOIN attempts a ON a.prompt_hash = p.hash "
            "WHERE a.project_id = ? AND a.purpose IN ('label', 'grade', 'compress', 'check') ORDER BY ALL",
            [project_id],
        )


_PROJECT = "id, config, coalesce(archived, FALSE) AS archived"


def _mark(spec: str) -> str:
    return hash_id("teacher", spec)


def _project(row: Row) -> Project:
    return Project(row["id"], read_config(ProjectConfig, json.loads(row["config"])), row["archived"])
