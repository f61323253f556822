"""`batchd service`: put the units in place from an installed package, and take them away again."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from batchd.cli.exits import Exit, complain
from batchd.cli.service_files import DROPINS, File, Service, is_as_placed, marked
from batchd.cli.service_program import installed, must_be_within_reach, parts_of
from batchd.core.errors import BatchdError

_DONE = {
    "write": "wrote",
    "update": "updated",
    "replace": "replaced",
    "make": "made",
    "run": "ran",
    "remove": "removed",
}
_RUNNING_SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)


class Target:
    """Where it goes, whether anything is really done, and who says so."""

    def __init__(self, service: Service, *, root: Path | None, is_dry: bool) -> None:
        self.service, self._root, self._is_dry = service, root, is_dry

    @property
    def is_here(self) -> bool:
        """Whether this machine, as it runs, is meant."""
        return self._root is None

    def path(self, file: Path) -> Path:
        """Where a file lies while a package is built."""
        return file if self._root is None else self._root / file.relative_to("/")

    def do(self, verb: str, what: str, work: Callable[[], object]) -> None:
        """Do one thing and say so, or say what would be done."""
        if self._is_dry:
            click.echo(f"would {verb} {what}")
            return
        work()
        click.echo(f"{_DONE[verb]} {what}")

    def run(self, *command: str) -> None:
        """Run one of systemd's programs, where it is there; else say what is to be done by hand."""
        if not self.is_here:
            return
        if shutil.which(command[0]) is None:
            click.echo(f"there is no {command[0]} here: do by hand what {command[-1]} says")
            return
        self.do("run", shlex.join(command), lambda: _run(command))


def _run(command: tuple[str, ...]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BatchdError(
            f"{shlex.join(command)} failed: {ran.stderr.strip() or ran.stdout.strip()}"
        )


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option(
            "--user", is_flag=True, help="For yourself alone: inbox and outbox in ~/batchd."
        ),
        click.option(
            "--instance",
            metavar="NAME",
            help="One of several: batchd@NAME, with a root of its own.",
        ),
        click.option(
            "--prefix",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="For packages: units below DIR/lib instead of /etc, such as /usr.",
        ),
        click.option(
            "--root",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="For packages: take DIR for /, and run nothing.",
        ),
        click.option("--dry-run", is_flag=True, help="Only say what would be done."),
        click.option("--force", is_flag=True, help="Also files that were changed by hand."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def service() -> None:
    """Put the systemd units in place, or take them away."""


@service.command()
@_options
@click.option(
    "--with",
    "dropins",
    type=click.Choice(DROPINS),
    multiple=True,
    help="A drop-in as well. May be given several times.",
)
@click.option(
    "--program", metavar="PATH", help="What the unit starts, if not the batchd that runs."
)
def install(*, dropins: tuple[str, ...], program: str | None, force: bool, **where: Any) -> int:
    """Install the service: unit, user, groups, folders, a first configuration.

    Nothing is started, and no file that was changed by hand is replaced (that takes --force, and
    keeps the old one beside it). What there is left to do is said at the end.
    """
    target = _target(_program(program, where), **where)
    if not _may(target, where):
        return Exit.PERMISSION
    files = target.service.files(dropins)
    changed = [file for file in files if not file.is_theirs and _is_changed(target.path(file.path))]
    if changed and not force:
        for file in changed:
            complain(f"{file.path} is not as batchd placed it: left alone")
        complain("nothing was done. --force replaces them, and keeps the old ones as FILE.old")
        return Exit.REFUSED
    for file in files:
        _place(file, target)
    _prepare(target)
    if target.is_here:
        _say_what_is_next(target.service)
    return Exit.OK


@service.command()
@_options
def uninstall(*, force: bool, **where: Any) -> int:
    """Take the units away again. Files, settings, keys and the user stay.

    A running service is stopped first: what it was about is gone on with when it is back.
    """
    target = _target("batchd", **where)
    if not _may(target, where):
        return Exit.PERMISSION
    files = [file for file in target.service.files(DROPINS) if not file.is_theirs]
    there = [file for file in files if target.path(file.path).exists()]
    if not there:
        complain(f"{target.service.unit} is not installed: there is no {files[0].path}")
        return Exit.NOT_FOUND
    manager = ("systemctl", "--user") if target.service.home else ("systemctl",)
    if target.is_here and _RUNNING_SYSTEMD.is_dir():
        target.run(*manager, "disable", "--now", f"{target.service.unit}.service")
    for file in _unshared(there, target):
        _take_away(file, target, force=force)
    if target.is_here and _RUNNING_SYSTEMD.is_dir():
        target.run(*manager, "daemon-reload")
    _say_what_stays(target.service)
    return Exit.OK


def _target(
    program: str,
    *,
    user: bool,
    instance: str | None,
    prefix: Path | None,
    root: Path | None,
    dry_run: bool,
) -> Target:
    if user and (instance or prefix):
        raise click.UsageError("--user goes with neither --instance nor --prefix")
    config_home = os.environ.get("XDG_CONFIG_HOME", "")
    chosen = Service(
        program,
        prefix=prefix,
        instance=instance,
        home=Path.home() if user else None,
        config_home=Path(config_home) if config_home.startswith("/") else None,
    )
    return Target(chosen, root=root, is_dry=dry_run)


def _program(given: str | None, where: dict[str, Any]) -> str:
    """What the unit starts: tried, where it is on this machine."""
    if given is not None:
        return given
    if where["prefix"] is not None:
        return str(where["prefix"] / "bin" / "batchd")
    program = installed()
    must_be_within_reach(parts_of(program), of_everybody=not where["user"])
    return str(program)


def _may(target: Target, where: dict[str, Any]) -> bool:
    if not target.is_here or target.service.home or where["dry_run"] or os.geteuid() == 0:
        return True
    complain(
        "a service of the machine takes root: sudo, as in sudo batchd service install. For yourself"
        " alone: batchd service install --user"
    )
    return False


def _is_changed(path: Path) -> bool:
    try:
        return not is_as_placed(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return False


def _place(file: File, target: Target) -> None:
    path = target.path(file.path)
    text = file.text if file.is_theirs else marked(file.text)
    if file.is_theirs and path.exists():
        click.echo(f"kept {file.path}: it is yours")
    elif path.exists() and path.read_text(encoding="utf-8", errors="replace") == text:
        click.echo(f"{file.path} is up to date")
    elif _is_changed(path):
        what = f"{file.path}; the changed one is {path.name}.old"
        target.do("replace", what, lambda: _set_aside(path, text))
    else:
        verb = "update" if path.exists() else "write"
        target.do(verb, str(file.path), lambda: _write(path, text))


def _set_aside(path: Path, text: str) -> None:
    path.replace(path.with_name(f"{path.name}.old"))
    _write(path, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(0o644)
    part.replace(path)


def _prepare(target: Target) -> None:
    """Make user, groups and folders."""
    service = target.service
    if service.home is None:
        target.run("systemd-sysusers", str(service.sysusers))
        target.run("systemd-tmpfiles", "--create", str(service.tmpfiles))
    elif not target.path(service.root).exists():
        make = lambda: target.path(service.root).mkdir(mode=0o750, parents=True)
        target.do("make", str(service.root), make)


def _unshared(files: Iterable[File], target: Target) -> list[File]:
    """What no other instance needs."""
    own, service = target.path(target.service.tmpfiles), target.service
    others = own.parent.exists() and any(path != own for path in own.parent.glob("batchd*.conf"))
    shared = {service.sysusers, service.units / "batchd@.service"}
    return [file for file in files if not (others and file.path in shared)]


def _take_away(file: File, target: Target, *, force: bool) -> None:
    path = target.path(file.path)
    if _is_changed(path) and not force:
        click.echo(f"left {file.path}: it was changed by hand (--force takes it away)")
        return
    target.do("remove", str(file.path), path.unlink)
    if path.parent.name.endswith(".service.d") and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _say_what_is_next(service: Service) -> None:
    systemctl = "systemctl --user" if service.home else "systemctl"
    click.echo("\nNext:")
    click.echo(f"  {service.configuration} has the settings")
    if not service.key.exists():
        click.echo(f"  install -m 600 /dev/stdin {service.key}    (paste the key, then Ctrl-D)")
    click.echo(f"  {systemctl} daemon-reload")
    click.echo(f"  {systemctl} enable --now {service.unit}")
    if service.home is None:
        click.echo("  usermod -aG batchd-submit NAME    (for each who drops files)")
    else:
        click.echo("  loginctl enable-linger    (to have it run while you are logged out)")
    user = "--user-unit" if service.home else "-u"
    click.echo(f"Then drop a file into {service.root / 'inbox'}; journalctl {user} {service.unit}")


def _say_what_stays(service: Service) -> None:
    click.echo("\nThese stay, and are yours to remove:")
    click.echo(f"  {service.root}    files, results, and what is at the provider (var/)")
    click.echo(f"  {service.configuration}")
    click.echo(f"  {service.key}")
    if service.home is None:
        click.echo("  the user batchd and the group batchd-submit, whose those files are")
