"""`batchd init [DIR]`: the folders of a root, a README in each, a configuration and tasks to begin
with.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from shlex import join, quote

import click

from batchd.cli.exits import Exit, complain
from batchd.cli.task_readmes import readme_of
from batchd.configuration import load
from batchd.configuration.shipped import shipped
from batchd.configuration.sources import find_file
from batchd.core.errors import ConfigError
from batchd.core.names import is_task_name, printable
from batchd.core.tasks import Task
from batchd.settings import Defaults
from batchd.spool.folders import Folders, keep_strangers_out, make_drop_folder
from batchd.spool.placing import PART, make_folder, move, place, remove_folder
from batchd.spool.recipes import Recipes
from batchd.spool.task_folders import is_real

README = "README.txt"
_NEXT = """
next:{go}
  export OPENAI_API_KEY=...       or openai.api_key_file in {config}
  batchd run
  cp FILE.jsonl {inbox}           requests; or a table into the folder of a task:
  cp FILE.csv {inbox}/TASK
where is it, and why: batchd status, and batchd why FILE"""
_ELSEWHERE = """
its settings are {its}, and its tasks lie in tasks/ beside them"""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is to be there."""

    path: Path
    what: str
    make: Callable[[], object]


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The settings of a root whose settings lie elsewhere, such as a service's.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option(
    "--acl",
    "user",
    metavar="USER",
    help="Let this user, whom the daemon runs as, read files whatever the umask of who makes them (a default ACL).",
)
def init(folder: Path | None, config: Path | None, dry_run: bool, user: str | None) -> int:
    """Make a root: folders, a README in each, a configuration and tasks to begin with.

    DIR (the current folder, if not given) holds them. Each task file in its config/tasks/ has its
    drop folder in inbox/; where there is no config/tasks/ yet, the ready ones are put there. What is
    there already stays as it is, so that it can be done again at any time. Of a service's root the
    settings and tasks are those of the service, wherever they lie.
    """
    root, its = _root_and_settings(folder, config)
    own = root / "config" / "batchd.toml"
    keep_strangers_out()
    # Looked at before anything is made: the first step makes all folders.
    tasks = _tasks_to_be(its)
    steps = [*_steps(root, its), *_task_steps(root, its, tasks)]
    for step, is_there in [(step, os.path.lexists(step.path)) for step in steps]:
        _take(step, root, is_there=is_there, dry_run=dry_run)
    done = user is None or _allow(user, Folders(root), dry_run=dry_run)
    for hint in _hints(Folders(root)):
        complain(hint)
    if not dry_run:
        click.echo(printable_lines(_next(root) if its == own else _ELSEWHERE.format(its=its)))
    return Exit.OK if done else Exit.PARTLY


def _next(root: Path) -> str:
    config, inbox = root / "config" / "batchd.toml", quote(str(root / "inbox"))
    # There every command finds the settings, and the root, by itself.
    go = "" if root == Path.cwd() else f"\n  cd {quote(str(root))}"
    return _NEXT.format(go=go, config=config, inbox=inbox)


def _root_and_settings(folder: Path | None, config: Path | None) -> tuple[Path, Path]:
    """Return the root that is meant, and the file with its settings: its own, or a service's.

    Without this, `init` on a service's root would make settings and tasks that no daemon reads.
    """
    root = (folder or Path()).absolute()
    if config is not None:
        loaded = load(config, [], {}, Path.cwd())
        assert loaded.source is not None
        its = loaded.settings.folders.root
        if folder is not None and its.resolve() != root.resolve():
            raise ConfigError(f"--config {config} is about {its}, not {root}: name one of the two")
        return its, loaded.source
    own = root / "config" / "batchd.toml"
    found = find_file(None, environment=os.environ, cwd=root)
    return root, found if found is not None and _is_about(found, root) else own


def _is_about(file: Path, root: Path) -> bool:
    try:
        loaded = load(file, [], {}, file.parent)
    except ConfigError:
        return False  # whoever runs with it is told
    return loaded.settings.folders.root.resolve() == root.resolve()


def printable_lines(text: str) -> str:
    """Keep line breaks, escape the rest."""
    return "\n".join(map(printable, text.splitlines()))


def _steps(root: Path, config: Path) -> Iterator[Step]:
    folders = Folders(root)
    for path in (folders.inbox, folders.staging, folders.outbox, folders.var, folders.work):
        yield Step(path, "a folder", folders.prepare)
    for path in (folders.inbox, folders.outbox, folders.var):
        text = files("batchd.cli").joinpath("readmes", f"{path.name}.txt").read_bytes()
        yield Step(path / README, "what belongs there", _writes(path / README, text))
    text = shipped("config", "batchd.toml").read_bytes()
    yield Step(config, "every setting, with its default", _writes(config, text))


def _tasks_to_be(config: Path) -> Recipes:
    """The root's own task files; where it has none, those that are put there."""
    own = config.parent / "tasks"
    return Recipes(own if own.is_dir() else shipped("config", "tasks"), Defaults())


def _task_steps(root: Path, config: Path, tasks: Recipes) -> Iterator[Step]:
    own, names = config.parent / "tasks", list(filter(is_task_name, tasks.names()))
    # Once and as a whole: a ready task that somebody took out is not wanted.
    yield Step(own, f"{len(names)} tasks ready to use", partial(_copy_folder, tasks.folder, own))
    for name in names:
        folder, task = root / "inbox" / name, tasks.get(name)
        if os.path.lexists(folder) and not is_real(folder):
            continue  # somebody's file, or a link, which could lead anywhere
        text = readme_of(name, task if isinstance(task, Task) else None).encode()
        yield Step(folder / README, "a task's drop folder", partial(_drop_folder, folder, text))


def _copy_folder(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}{PART}")
    remove_folder(part)
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        copy = part / file.relative_to(source)
        make_folder(copy.parent)
        place(copy, file.read_bytes())
    if target.parent.stat().st_mode & stat.S_IROTH:  # /etc: another user's daemon reads it
        for path in (part, *part.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    move(part, target)


def _drop_folder(folder: Path, readme: bytes) -> None:
    make_drop_folder(folder)
    place(folder / README, readme)


def _writes(path: Path, content: bytes) -> Callable[[], object]:
    def write() -> None:
        make_folder(path.parent)
        place(path, content)

    return write


def _take(step: Step, root: Path, *, is_there: bool, dry_run: bool) -> None:
    is_below = step.path.is_relative_to(root)
    name = printable(str(step.path.relative_to(root) if is_below else step.path))
    if is_there:
        click.echo(f"kept   {name}")
        return
    if not dry_run:
        step.make()
    click.echo(f"{'would make' if dry_run else 'made'}   {name}  ({step.what})")


def _hints(folders: Folders) -> Iterator[str]:
    """What an older or handmade root lacks; nobody's modes are changed behind their back."""
    for path in (folders.inbox, folders.outbox):
        if path.is_dir() and not path.stat().st_mode & stat.S_ISGID:
            yield f"what comes into {path} does not get its group: chmod g+s {path}"


def _allow(user: str, folders: Folders, *, dry_run: bool) -> bool:
    """Where a folder has a default ACL, the umask of whoever makes a file in it does not count.

    Of use for programs with a umask of 077, and for them only: a file that is made 0600 on purpose
    (`cp` of such a one) keeps a mask of nothing, and one that was moved in has no ACL at all.
    """
    command = ["setfacl", "-m", f"u:{user}:rwx,d:u:{user}:rwX", str(folders.inbox)]
    if dry_run:
        click.echo(f"would run   {join(command)}")
        return True
    if shutil.which(command[0]) is None:
        complain(f"there is no setfacl here (package acl); with it: {join(command)}")
        return False
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        complain(f"{join(command)} failed: {done.stderr.strip()}")
        return False
    click.echo(f"made   a default ACL for {printable(user)} on inbox/")
    return True
