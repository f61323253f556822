"""What `batchd service` puts where: units, users, folders, a first configuration. Touches nothing."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import batchd
from batchd.core.errors import ConfigError

#: What every shipped file calls the program, the root and the rest; `_local` puts the real ones in.
PROGRAM, SPOOL = "/usr/bin/batchd", "/var/spool/batchd"
DROPINS = ("10-spool-group", "40-notify-reload", "60-root-directory", "70-egress-proxy")
_INSTANCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,50}")  # what systemd takes without escaping
_MARK = re.compile(r"# placed by batchd service, sha256 of what follows: ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True)
class File:
    """One file, where the service will see it."""

    path: Path
    text: str
    is_theirs: bool = False  #: a configuration: written once, and from then on its operator's


@dataclass(frozen=True, slots=True)
class Service:
    """Which service: the machine's, one of several, or a person's."""

    program: str
    prefix: Path | None = None  #: of a package ("/usr"); None is this machine's own, below /etc
    instance: str | None = None
    home: Path | None = None  #: of whom it is for; None is for everybody
    config_home: Path | None = None  #: theirs, where it is not ~/.config

    @property
    def unit(self) -> str:
        """What `systemctl` calls it."""
        return f"batchd@{self.instance}" if self.instance else "batchd"

    @property
    def root(self) -> Path:
        """Where inbox/, outbox/ and var/ lie."""
        if self.home is not None:
            return self.home / "batchd"
        return Path(f"{SPOOL}-{self.instance}" if self.instance else SPOOL)

    @property
    def configuration(self) -> Path:
        """The file with its settings."""
        return self._settings / f"{self.instance or 'batchd'}.toml"

    @property
    def key(self) -> Path:
        """The file that LoadCredential= reads."""
        if self.home is not None:
            return self._settings / "openai-api-key"
        name = f"{self.instance}.openai-api-key" if self.instance else "openai-api-key"
        return self._settings / "credentials" / name

    @property
    def sysusers(self) -> Path:
        """Who systemd-sysusers is to make."""
        return self._below("sysusers.d") / "batchd.conf"

    @property
    def tmpfiles(self) -> Path:
        """What systemd-tmpfiles is to make."""
        return self._below("tmpfiles.d") / f"{self.unit.replace('@', '-')}.conf"

    @property
    def units(self) -> Path:
        """Where units lie."""
        if self.home is not None:
            return self._config_home / "systemd" / "user"
        return self._below("systemd") / "system"

    @property
    def _config_home(self) -> Path:
        assert self.home is not None
        return self.config_home or self.home / ".config"

    @property
    def _settings(self) -> Path:
        return Path("/etc/batchd") if self.home is None else self._config_home / "batchd"

    def _below(self, folder: str) -> Path:
        return Path("/etc") / folder if self.prefix is None else self.prefix / "lib" / folder

    def files(self, dropins: tuple[str, ...] = ()) -> list[File]:
        """Return all there is to place. Raises `ConfigError` for an instance that can't be one."""
        if self.instance is not None and not _INSTANCE.fullmatch(self.instance):
            raise ConfigError(
                f"--instance {self.instance}: may have letters, digits, '_', '.' and '-', and"
                " begins with a letter, a digit or '_'"
            )
        found = [File(self.units / self._unit_file, self._local(shipped(self._unit_name)))]
        for name in dropins:
            folder = self.units / f"{self.unit}.service.d"
            found.append(
                File(folder / f"{name}.conf", self._local(shipped(f"dropins/{name}.conf")))
            )
        if self.home is None:
            found.append(File(self.sysusers, shipped("sysusers.d/batchd.conf")))
            found.append(File(self.tmpfiles, self._local(shipped("tmpfiles.d/batchd.conf"))))
        return [*found, File(self.configuration, self._first_configuration(), is_theirs=True)]

    @property
    def _unit_name(self) -> str:
        return "batchd.user.service" if self.home is not None else self._unit_file

    @property
    def _unit_file(self) -> str:
        return "batchd@.service" if self.instance else "batchd.service"

    def _local(self, text: str) -> str:
        """Put this machine's names in the place of the shipped ones."""
        text = text.replace(PROGRAM, self.program)
        # In the template it is %i that says which one.
        return (
            text
            if self.instance is None or "%i" in text
            else re.sub(rf"{SPOOL}(?=[\s/])", f"{SPOOL}-{self.instance}", text)
        )

    def _first_configuration(self) -> str:
        text = shipped("batchd.toml", kind="config")
        assert '\nroot = "."\n' in text
        text = text.replace('\nroot = "."\n', f"\nroot = {json.dumps(str(self.root))}\n", 1)
        # Under systemd there is a journal: whoever is on call asks it by job.
        return text.replace('\ntarget = "auto"\n', '\ntarget = "journal"\n', 1)


def shipped(name: str, *, kind: str = "systemd") -> str:
    """Read a file that came with the program: in a wheel, or in a checkout."""
    package = Path(batchd.__file__).parent
    places = (package / "_shipped" / kind, package.parent / kind)
    folder = next((place for place in places if place.is_dir()), places[0])
    return (folder / name).read_text(encoding="utf-8")


def marked(text: str) -> str:
    """The text with a line in front by which it is known again, and known to be as we wrote it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"# placed by batchd service, sha256 of what follows: {digest}\n{text}"


def is_as_placed(text: str) -> bool:
    """Whether a file is one of ours that nobody has changed since."""
    mark = _MARK.match(text)
    if mark is None:
        return False
    return hashlib.sha256(text[mark.end() :].encode()).hexdigest() == mark[1]
