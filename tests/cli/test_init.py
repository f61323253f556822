"""`batchd init`: a root from nothing, and nothing changed where one is."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from batchd.cli.exits import Exit
from batchd.configuration import load
from batchd.configuration.shipped import shipped
from tests.cli.places import Shell, shell_in

PLACES = ("inbox", "inbox/.tmp", "outbox", "var", "var/work")


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    return shell_in(tmp_path / "here", monkeypatch, capsys)


def test_it_makes_the_folders_a_readme_in_each_and_a_configuration(shell, tmp_path):
    root = tmp_path / "new"

    said = shell("init", str(root))

    assert said.code == Exit.OK
    assert all((root / place).is_dir() for place in PLACES)
    assert stat.S_IMODE((root / "inbox").stat().st_mode) == 0o2770
    assert stat.S_IMODE((root / "outbox").stat().st_mode) == 0o2750
    for place in ("inbox", "outbox", "var"):
        text = (root / place / "README.txt").read_text()
        assert 5 <= len(text.splitlines()) <= 10
    loaded = load(root / "config" / "batchd.toml", [], {}, root)
    assert loaded.settings.folders.root == root
    assert all(f"made   {name}  (" in said.out for name in PLACES)
    assert "made   config/batchd.toml" in said.out
    assert f"next:\n  cd {root}\n" in said.out
    assert "  batchd run\n" in said.out


def test_doing_it_again_changes_nothing(shell):
    shell("init")
    Path("config/batchd.toml").write_text("[batches]\nmax_open = 3\n")
    Path("inbox/README.txt").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}

    said = shell("init")

    assert said.code == Exit.OK
    assert "made" not in said.out
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")}.keys() == before.keys()
    assert Path("config/batchd.toml").read_text() == "[batches]\nmax_open = 3\n"
    assert Path("inbox/README.txt").read_text() == "mine"


def test_a_dry_run_makes_nothing_and_says_everything(shell):
    said = shell("init", "root", "--dry-run", "--acl", "somebody")

    assert said.code == Exit.OK
    assert not Path("root").exists()
    for name in (*PLACES, "inbox/README.txt", "config/batchd.toml"):
        assert f"would make   {name}  (" in said.out
    assert "would run   setfacl -m u:somebody:rwx,d:u:somebody:rwX" in said.out


def test_where_an_acl_cannot_be_set_the_command_is_said_and_the_rest_is_done(shell, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    said = shell("init", "--acl", "somebody")

    assert said.code == Exit.PARTLY
    assert "with it: setfacl -m u:somebody:rwx" in said.err
    assert Path("inbox/README.txt").is_file()


@pytest.mark.skipif(shutil.which("setfacl") is None, reason="there is no setfacl here")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")
def test_an_acl_opens_what_a_narrow_umask_would_close_and_nothing_else(shell):
    """With real files, and the kernel's own judgement of who may read them."""
    daemon, person = 61_001, 61_002
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        root = Path(folder)
        root.chmod(0o755)
        said = shell("init", str(root), "--acl", str(daemon))
        if "Operation not supported" in said.err:
            pytest.skip("this file system has no ACLs")
        inbox = root / "inbox"
        inbox.chmod(0o2777)  # whoever drops may be anybody here
        shell("init", str(root), "--acl", str(daemon))  # chmod narrowed its mask
        (root / "elsewhere").mkdir()
        (root / "elsewhere").chmod(0o777)
        assert as_user(person, lambda: made(inbox / "made.jsonl", 0o666)) == 0
        assert as_user(person, lambda: made(inbox / "closed.jsonl", 0o600)) == 0
        assert as_user(person, lambda: moved(root / "elsewhere", inbox / "moved.jsonl")) == 0
        read = {
            name: as_user(daemon, (inbox / f"{name}.jsonl").read_text)
            for name in ("made", "closed", "moved")
        }

    assert said.code == Exit.OK
    assert "made   a default ACL" in said.out
    assert read == {"made": 0, "closed": 1, "moved": 1}


def made(path: Path, mode: int) -> None:
    """As a program with a narrow umask makes a file."""
    os.umask(0o077)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode))


def moved(folder: Path, path: Path) -> None:
    """From a folder without an ACL, on the same file system."""
    made(folder / "file", 0o666)
    (folder / "file").rename(path)


def as_user(uid: int, done: Callable[[], object]) -> int:
    """Do it in a child that is another user; 0 where it could, 1 where it may not."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            done()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_folder_without_the_groups_bit_is_named_with_its_command(shell):
    Path("inbox").mkdir()

    assert f"chmod g+s {Path('inbox').absolute()}" in shell("init").err


def test_a_file_in_the_way_is_one_message(shell):
    Path("file").touch()

    said = shell("init", "file/root")

    assert said.code != Exit.OK
    assert len(said.err.splitlines()) == 1


# Tasks


def test_the_ready_tasks_are_put_there_each_with_a_folder_that_says_what_it_takes(shell):
    said = shell("init")

    ready = {path.name for path in shipped("config", "tasks").glob("*.toml")}
    assert {path.name for path in Path("config/tasks").glob("*.toml")} == ready
    assert Path("config/tasks/samples/sentiment.csv").is_file()
    for name in (path.removesuffix(".toml") for path in ready):
        assert f"made   inbox/{name}/README.txt" in said.out
        assert name in Path("inbox", name, "README.txt").read_text()
        assert stat.S_IMODE(Path("inbox", name).stat().st_mode) == 0o2770
    assert sorted(path.name for path in Path("config").iterdir()) == ["batchd.toml", "tasks"]


def test_a_root_with_tasks_of_its_own_keeps_to_those(shell):
    """Somebody took the ready ones out, and wrote one."""
    Path("config/tasks").mkdir(parents=True)
    Path("config/tasks/mine.toml").write_text('model = "m"\nprompt = "{{ review }}"\n')
    Path("config/tasks/broken.toml").write_text("prompt =")

    said = shell("init")

    assert said.code == Exit.OK
    assert sorted(path.name for path in Path("config/tasks").iterdir()) == [
        "broken.toml",
        "mine.toml",
    ]
    assert sorted(path.name for path in Path("inbox").iterdir() if path.is_dir()) == [
        ".tmp",
        "broken",
        "mine",
    ]
    assert "columns: review" in Path("inbox/mine/README.txt").read_text()
    assert Path("inbox/broken/README.txt").is_file()
    assert "made" not in shell("init").out


def test_nothing_is_written_through_a_link(shell, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    Path("inbox").mkdir()
    Path("inbox/sentiment").symlink_to(theirs)
    Path("inbox/embed").write_text("a file of that name")

    assert shell("init").code == Exit.OK
    assert list(theirs.iterdir()) == []
    assert Path("inbox/embed").read_text() == "a file of that name"


def test_what_a_kill_left_of_the_ready_tasks_is_made_anew(shell):
    Path("config/.tasks.part").mkdir(parents=True)
    Path("config/.tasks.part/half.toml").write_text("half")

    shell("init")

    assert not Path("config/.tasks.part").exists()
    assert not Path("config/tasks/half.toml").exists()


def of_a_service(tmp_path: Path) -> tuple[Path, Path]:
    """A root, and its settings that lie elsewhere, readable by everybody as in /etc."""
    root, file = tmp_path / "spool", tmp_path / "etc" / "batchd" / "batchd.toml"
    file.parent.mkdir(parents=True)
    file.parent.chmod(0o755)
    file.write_text(f'[folders]\nroot = "{root}"\n')
    return root, file


def test_of_a_services_root_the_services_settings_and_tasks_count(shell, tmp_path, monkeypatch):
    """A second configuration in the root would be read by nobody, and its tasks' files wait."""
    root, file = of_a_service(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "etc"))

    said = shell("init", str(root))

    assert said.code == Exit.OK
    assert not (root / "config").exists()
    assert f"kept   {file}" in said.out
    assert f"its settings are {file}" in said.out
    assert (root / "inbox" / "sentiment" / "README.txt").is_file()
    tasks = file.parent / "tasks"
    assert stat.S_IMODE(tasks.stat().st_mode) == 0o755
    assert stat.S_IMODE((tasks / "sentiment.toml").stat().st_mode) == 0o644


def test_the_settings_name_the_root_and_another_one_is_a_mistake(shell, tmp_path):
    root, file = of_a_service(tmp_path)

    assert shell("init", "--config", str(file)).code == Exit.OK
    assert (root / "inbox").is_dir()
    said = shell("init", "other", "--config", str(file))

    assert said.code == Exit.CONFIGURATION
    assert f"is about {root}, not {Path('other').absolute()}" in said.err


def test_settings_of_another_root_do_not_count(shell, tmp_path, monkeypatch):
    of_a_service(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "etc"))

    shell("init", "new")

    assert Path("new/config/batchd.toml").is_file()
    assert Path("new/config/tasks/sentiment.toml").is_file()
