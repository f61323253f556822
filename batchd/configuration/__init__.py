"""From a file, the environment and `--set` to `Settings`; what is wrong is said all at once.

`sources` knows where a value may stand, `values` what it may be, `credentials` where the key is.
Relative paths (`folders.root`, `openai.api_key_file`) count from the current directory, not from
the file: with the default root "." a checkout is a root, whichever file configures it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batchd.configuration.credentials import api_key, base_url, key_from
from batchd.configuration.sources import (
    find_file,
    from_environment,
    from_file,
    from_overrides,
)
from batchd.configuration.values import DEFAULTS, Given, assemble, check, unfitting
from batchd.core.errors import ConfigError
from batchd.core.tasks import merged
from batchd.settings import Provenance, Settings

__all__ = ["Loaded", "api_key", "base_url", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where they come from."""

    settings: Settings
    source: Path | None  #: the file; None where there is none. tasks/ lies beside it
    #: "batches.max_open" -> "config/batchd.toml, line 12"; what is not here is a default
    origins: Mapping[str, str]
    again: Callable[[], Loaded]  #: the same, read once more; raises `ConfigError`
    cwd: Path
    is_named: bool = False  #: whether a command line has named the file or a setting

    @property
    def tasks(self) -> Path:
        """Where the task files lie: beside the configuration file, or where that would be."""
        beside = self.source or self.cwd / "config" / "batchd.toml"
        return self.cwd / beside.parent / "tasks"

    def provenance(self, environment: Mapping[str, str]) -> Provenance:
        """Return where it all comes from, the key as well; never the key."""
        return Provenance(
            file=str(self.source) if self.source else None,
            key_from=key_from(self.settings, environment),
            origins=self.origins,
        )


def load(
    config: Path | None, overrides: Sequence[str], environment: Mapping[str, str], cwd: Path
) -> Loaded:
    """`--set` before the environment before the file before the defaults.

    A value that something stronger overrides is checked all the same: it will be the one that
    counts on the day the other is gone.
    """
    problems: list[str] = []
    source = find_file(config, environment=environment, cwd=cwd)
    given = [
        *(from_file(source, cwd=cwd, problems=problems) if source else ()),
        *from_environment(environment),
        *from_overrides(overrides, problems=problems),
    ]
    values, origins = _settle(given, cwd=cwd, problems=problems)
    problems += unfitting(values, origins)
    if problems:
        raise ConfigError("\n".join(problems))
    again = partial(load, config, overrides, environment, cwd)
    is_named = bool(config or overrides)
    return Loaded(assemble(values), source, origins, again, cwd, is_named)


def _settle(
    given: Iterable[Given], *, cwd: Path, problems: list[str]
) -> tuple[dict[str, object], dict[str, str]]:
    """The last word for each setting, and who had it. Tables grow, everything else is replaced."""
    values: dict[str, object] = {
        name: cwd / default if name == "folders.root" and isinstance(default, Path) else default
        for name, default in DEFAULTS.items()
    }
    origins: dict[str, str] = {}
    for one in given:
        try:
            name, value = check(one, cwd=cwd)
        except ValueError as problem:
            problems.append(f"{one.where}: {problem}")
            continue
        before = values[name]
        is_table = isinstance(before, dict) and isinstance(value, dict)
        values[name] = merged(before, value) if is_table else value  # type: ignore[arg-type]
        origins[name] = one.where
    return values, origins
