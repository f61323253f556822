"""Whether a file is still the one we looked at, and whether somebody is writing it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchd.spool.signature import being_written, has_writer, is_plain, open_plain, signature


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"{}\n")
    return path


def test_a_file_that_nobody_touched_looks_the_same(file: Path):
    assert signature(file) == signature(file)
    assert signature(file).as_text() == signature(file).as_text()


def test_an_old_time_set_by_a_copying_program_still_shows_a_change(file: Path):
    before = signature(file)
    os.utime(file, ns=(before.mtime_ns, before.mtime_ns))
    assert signature(file).mtime_ns == before.mtime_ns
    assert signature(file) != before


def test_the_same_bytes_under_the_same_name_are_another_file(file: Path):
    before = signature(file)
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.replace(file)
    assert signature(file) != before


def test_a_link_is_looked_at_itself(file: Path):
    link = file.with_name("link.jsonl")
    link.symlink_to(file)
    assert signature(link).ino != signature(file).ino
    assert not is_plain(link)
    assert is_plain(file)


def test_a_writer_is_seen_while_it_has_the_file_open_and_not_after(file: Path):
    with file.open("ab"):
        assert has_writer(file)
    assert not has_writer(file)


def test_what_the_kernel_cannot_tell_is_neither(file: Path):
    assert being_written(file) is False
    with file.open("ab"):
        assert being_written(file) is True
    assert being_written(file.with_name("gone")) is None
    assert not has_writer(file.with_name("gone"))


def test_a_reader_is_no_writer(file: Path):
    with file.open("rb"):
        assert not has_writer(file)


def test_what_is_gone_or_a_link_has_no_writer_that_we_can_tell(file: Path, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(file)
    with file.open("ab"):
        assert not has_writer(link)
    assert not has_writer(tmp_path / "nothing")


def test_a_pipe_a_link_and_a_folder_are_not_opened(file: Path, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        with pytest.raises(OSError):  # noqa: PT011  # which one differs, and doesn't matter
            open_plain(tmp_path / name)


_ASKING = """
import sys, time
from pathlib import Path
from batchd.spool.signature import has_writer
end = time.monotonic() + 1.0
while time.monotonic() < end:
    has_writer(Path(sys.argv[1]))
"""

_WRITING = """
import sys
while True:
    open(sys.argv[1], "ab").close()
"""


def test_a_writer_who_comes_in_the_very_moment_we_ask_does_not_kill_us(file: Path):
    """A broken lease is told by SIGIO, and whoever doesn't handle that is killed by it."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITING, file])
    try:
        asking = subprocess.run(
            [sys.executable, "-c", _ASKING, file],
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    finally:
        writer.kill()
        writer.wait()
    assert asking.returncode == 0
