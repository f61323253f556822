"""Answers as programs read them: the shape of `--json`. It only ever grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from batchd.control.jobs import Room
from batchd.control.presence import Presence
from batchd.control.spend import budget_as_dict
from batchd.control.status import Status
from batchd.control.why import Answer
from batchd.core.findings import Finding, worst
from batchd.core.hiding import redact, without_password
from batchd.core.names import printable
from batchd.settings import Provenance, Settings
from batchd.spool.folders import Folders

SCHEMA = 1

DEFAULT = "the default"  #: who has set what nobody has set


def setting_of(name: str, settings: Settings, origins: Mapping[str, str]) -> dict[str, Any]:
    """Return a setting's value, and who has set it."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    value = str(value) if isinstance(value, Path) else value
    return {"name": name, "value": value, "origin": origins.get(name, DEFAULT)}


def config_as_dict(settings: Settings, provenance: Provenance, *, source: str) -> dict[str, Any]:
    """`batchd config show --json`. Never a key."""
    found = [setting_of(name, settings, provenance.origins) for name in names_of(settings)]
    for setting in found:
        setting["value"] = _without_secrets(setting["value"])
    return {
        "schema": SCHEMA,
        "file": provenance.file,
        "key_from": provenance.key_from,
        "settings": found,
        "source": source,
    }


def settings_said(told: Mapping[str, Any]) -> Settings:
    """Return the settings that `config_as_dict` told, but for what is secret in them.

    Of a daemon of another version those that both know; the others are the defaults. Raises
    `msgspec.ValidationError`.
    """
    values = {one["name"]: one["value"] for one in told["settings"]}
    sections = {
        section.name: {
            key: values[name]
            for key in section.type.__struct_fields__
            if (name := f"{section.name}.{key}") in values
        }
        for section in msgspec.structs.fields(Settings)
    }
    return msgspec.convert(sections, Settings, dec_hook=lambda kind, value: kind(value))


def findings_as_dict(found: Sequence[Finding]) -> dict[str, Any]:
    """`batchd config check --json` and `batchd doctor --json`."""
    told = [asdict(one) | {"text": redact(one.text)} for one in found]
    return {"schema": SCHEMA, "result": str(worst(found)), "findings": told}


def names_of(settings: Settings) -> list[str]:
    """Return the names of all settings, section by section."""
    sections = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return [f"{name}.{key}" for name, of in sections.items() for key in of.__struct_fields__]


def _without_secrets(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return redact(without_password(value) if "://" in value else value)


def answer_as_dict(
    answer: Answer,
    settings: Settings,
    origins: Mapping[str, str],
    daemon: Presence,
    *,
    source: str,
) -> dict[str, Any]:
    """`batchd why --json`."""
    reason = answer.reason
    return {
        "schema": SCHEMA,
        "standing": reason.standing,
        "code": reason.code,
        "sentence": printable(reason.sentence),
        "facts": dict(reason.facts),
        "setting": setting_of(reason.setting, settings, origins) if reason.setting else None,
        "path": answer.path,
        "job": answer.job,
        "name": answer.name,
        "claimed_at": _rfc3339(answer.claimed_at),
        "shard": answer.shard,
        "batch": answer.batch,
        "older": list(answer.older),
        "daemon": _daemon(daemon),
        "source": source,
    }


def status_as_dict(found: Status, folders: Folders, *, source: str) -> dict[str, Any]:
    """`batchd status --json`."""
    batches = [asdict(one) | {"opened_at": _rfc3339(one.opened_at)} for one in found.batches]
    return {
        "schema": SCHEMA,
        "root": str(folders.root),
        "daemon": _daemon(found.daemon),
        "inbox": {**found.inbox, "trouble": found.inbox_trouble, "tasks": found.inbox_tasks},
        "paused": dict(found.room.pauses),
        "jobs": {"on_their_way": found.jobs, "ended": found.ended},
        "batches": {"max_open": found.room.batches.max_open, "open": batches},
        "admission": _admission(found.room),
        "health": [
            asdict(one) | {"since": _rfc3339(one.since), "severity": str(one.severity)}
            for one in found.health
        ],
        "waits": [asdict(one) | {"sentence": printable(one.sentence)} for one in found.waits],
        "last_problem": found.problem,
        "budget": budget_as_dict(found.spending, found.limits) if found.spending else None,
        "source": source,
    }


def _admission(room: Room) -> dict[str, Any]:
    """What is queued of the models that have a limit, and of those at work."""
    most, queued = room.limits.all_tokens(), room.load.tokens
    return {
        "created_within_the_hour": room.created.number,
        "max_per_hour": room.limits.max_per_hour,
        "tokens": {
            model: {"queued": queued.get(model, 0), "limit": most.get(model)}
            for model in {**most, **queued}
        },
    }


def _daemon(daemon: Presence) -> dict[str, Any]:
    return {
        "running": daemon.is_running,
        "pid": daemon.pid,
        "since": _rfc3339(daemon.since),
        "version": daemon.version,
        "watcher": daemon.watcher,
    }


def _rfc3339(at: float | None) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None
