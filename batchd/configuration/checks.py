"""The stages of `config check`: syntax, values, tasks, folders, notices, key, API. Each is tried."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from shlex import quote

from batchd.configuration import Loaded, api_key, base_url, load
from batchd.configuration.credentials import REMEDY, files_with_key
from batchd.configuration.notice_checks import notices
from batchd.configuration.sources import find_file, from_file
from batchd.core.errors import ConfigError, RemoteDenied, RemoteError
from batchd.core.findings import Finding, ok, warning, wrong
from batchd.core.hiding import without_password
from batchd.core.words import size
from batchd.settings import Settings
from batchd.spool.apart import must_be_apart
from batchd.spool.folders import Folders
from batchd.spool.placing import sync_folder
from batchd.store.mounts import must_be_local

_PROVIDER, _ADDRESS = "the provider's own address", "https://api.openai.com/v1"


class Checks:
    """One look at a configuration. `loaded` is there once the values are good."""

    def __init__(
        self,
        config: Path | None,
        overrides: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self._config = config
        self._overrides = overrides
        self._environment = environment
        self._cwd = cwd
        self.loaded: Loaded | None = None

    def all(self, *, is_offline: bool) -> Iterator[Finding]:
        """Find everything; what builds on what is wrong is left out."""
        yield from self.values()
        if self.loaded is not None:
            yield from tasks(self.loaded)
            yield from folders(self.loaded)
            root = self.loaded.settings.folders.root.resolve()
            yield from notices(self.loaded.settings, root=root)
            yield from self.provider(is_offline=is_offline)

    def values(self) -> Iterator[Finding]:
        """Look at syntax and values."""
        fix = "correct the file; batchd config show tells what counts, config/batchd.toml explains"
        try:
            file = find_file(self._config, environment=self._environment, cwd=self._cwd)
        except ConfigError as error:
            yield wrong("syntax", str(error), fix)
            return
        problems: list[str] = []
        if file is not None:
            list(from_file(file, cwd=self._cwd, problems=problems))
        yield from (wrong("syntax", problem, fix) for problem in problems)
        if not problems:
            yield ok("syntax", f"{file}" if file else "no file; the defaults count")
            yield from self._values(fix)

    def _values(self, fix: str) -> Iterator[Finding]:
        try:
            self.loaded = load(self._config, self._overrides, self._environment, self._cwd)
        except ConfigError as error:
            yield from (wrong("values", problem, fix) for problem in str(error).splitlines())
        else:
            yield ok("values", f"{len(self.loaded.origins)} set, the others are the defaults")

    def provider(self, *, is_offline: bool) -> Iterator[Finding]:
        """Look at the key, and whether the provider takes it."""
        assert self.loaded is not None
        settings = self.loaded.settings
        try:
            key = api_key(settings, self._environment)
            address = base_url(settings, self._environment)
        except ConfigError as error:
            what = str(error).removesuffix(REMEDY).rstrip(":; ")
            yield wrong("key", what, REMEDY if what != str(error) else "set openai.api_key_file")
            return
        yield from _key(settings, self._environment)
        if not is_offline:
            yield from _api(settings, key=key, address=address)


def tasks(loaded: Loaded) -> Iterator[Finding]:
    """Look at each task file. A broken one keeps its own files waiting, and nobody else's."""
    from batchd.spool.recipes import Broken, Recipes  # late: its templates need a library

    recipes = Recipes(loaded.tasks, loaded.settings.defaults)
    found = {name: recipes.get(name) for name in recipes.names()}
    broken = [task for task in found.values() if isinstance(task, Broken)]
    for mistake in (mistake for task in broken for mistake in task.problems):
        place = f"{mistake.file}, line {mistake.line}" if mistake.line else f"{mistake.file}"
        yield warning("tasks", f"{place}: {mistake.message}", mistake.remedy)
    if found and not broken:
        yield ok("tasks", f"{len(found)} in {recipes.folder}, each of them can be used")


def folders(loaded: Loaded) -> Iterator[Finding]:
    """Look at where the folders lie, and rename a file through them."""
    place = Folders(loaded.settings.folders.root.resolve())
    laws: tuple[Callable[[], None], ...] = (
        lambda: must_be_apart(place, config=loaded.source, tasks=loaded.tasks),
        lambda: must_be_local(place.var),
    )
    for must_hold in laws:
        try:
            must_hold()
        except ConfigError as error:
            move = "move it, or set folders.root"
            yield from (wrong("folders", problem, move) for problem in str(error).splitlines())
    try:
        missing = [path for path in (place.staging, place.outbox, place.work) if not path.is_dir()]
    except PermissionError as error:
        fix = "ask as root (sudo), or as somebody of the group of inbox/"
        yield wrong("folders", f"{error.filename} is closed to this user, {_me()}", fix)
        return
    if missing:
        paths = ", ".join(map(str, missing))
        yield wrong("folders", f"not there: {paths}", f"batchd init {quote(str(place.root))}")
        return
    yield from _renamed(place)
    yield from _room(place, loaded.settings)


def _renamed(place: Folders) -> Iterator[Finding]:
    """A file's whole way, with all its fsyncs."""
    name = f".batchd-check-{os.getpid()}"
    way = [folder / name for folder in (place.staging, place.work, place.outbox)]
    try:
        _write(way[0])
        crossed = [there for here, there in pairwise(way) if _moved(here, there)]
    except OSError as error:
        yield _not_renamed(error, place)
    else:
        yield ok("folders", f"a file went from inbox through var/work to outbox ({place.root})")
        for there in crossed:
            text = f"{there.parent} is on another file system: files are copied, not renamed"
            yield warning("folders", text, "put inbox/, outbox/ and var/ on one file system")
    finally:
        for path in way:
            path.unlink(missing_ok=True)


def _moved(here: Path, there: Path) -> bool:
    """Whether it had to be copied."""
    try:
        here.rename(there)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _write(there)
        return True
    sync_folder(there.parent)
    return False


def _write(path: Path) -> None:
    with path.open("xb") as file:
        file.write(b"batchd config check")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _not_renamed(error: OSError, place: Folders) -> Finding:
    where = error.filename2 or error.filename or place.root
    fix = f"chown -R {_me()} {quote(str(Path(str(where)).parent))}"
    return wrong("folders", f"{where}: {error.strerror}", fix)


def _me() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _room(place: Folders, settings: Settings) -> Iterator[Finding]:
    free, least = place.free_bytes(), settings.folders.min_free_bytes
    if free < least:
        text = f"{size(free)} are free, and below {size(least)} no file is taken"
        yield wrong("disk", text, "make room, or lower folders.min_free_bytes")
    else:
        yield ok("disk", f"{size(free)} are free; files are taken down to {size(least)}")


def _key(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    found = files_with_key(settings, environment)
    if not found:
        text = "OPENAI_API_KEY is used: every child process and /proc/PID/environ has it"
        yield warning("key", text, "put it into a file of mode 0600, and set openai.api_key_file")
        return
    file, said = found[0]
    if (mode := file.stat().st_mode) & 0o007:
        text = f"{said} may be read by everybody (mode {mode & 0o777:04o})"
        yield warning("key", text, f"chmod o= {quote(str(file))}")
    else:
        yield ok("key", said)


def _api(settings: Settings, *, key: str, address: str | None) -> Iterator[Finding]:
    from batchd.configuration.reaching import reach  # late: the SDK is slow to import

    where = without_password(address) if address else _PROVIDER
    try:
        reach(settings, api_key=key, base_url=address)
    except RemoteDenied as denied:
        fix = "make a new key at the provider, and put it where this one is"
        yield wrong("api", f"{where} does not take the key: {denied}", fix)
    except (RemoteError, ConfigError) as error:
        curl = f"curl -sS {quote(where if address else _ADDRESS)}"
        fix = f"is the address right (openai.base_url)? {curl}; --offline skips this"
        yield wrong("api", f"{where} did not list batches: {error}", fix)
    else:
        yield ok("api", f"{where} lists batches")
