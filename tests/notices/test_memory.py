"""What was told survives a restart, and whatever happens to the file costs a notice at the most."""

from __future__ import annotations

import pytest

from batchd.notices.memory import NAME, Memory, Told

FULL, STUCK = Told("disk-low"), Told("stuck", "job1")


async def test_what_was_told_is_known_to_the_next_daemon_until_it_is_over(tmp_path):
    memory = Memory(tmp_path)
    assert await memory.recall() == frozenset()
    await memory.note([FULL])
    await memory.note([STUCK])
    assert await Memory(tmp_path).recall() == {FULL, STUCK}
    await memory.forget_all_but([STUCK, Told("denied")])
    assert await Memory(tmp_path).recall() == {STUCK}
    await memory.forget_all_but([])
    assert list(tmp_path.iterdir()) == []


async def test_nothing_is_written_where_nothing_changes(tmp_path):
    memory = Memory(tmp_path)
    await memory.forget_all_but([FULL])
    assert list(tmp_path.iterdir()) == []
    await memory.note([FULL])
    written = (tmp_path / NAME).stat().st_mtime_ns, (tmp_path / NAME).stat().st_ino
    await memory.note([FULL])
    await memory.forget_all_but([FULL, STUCK])
    assert written == ((tmp_path / NAME).stat().st_mtime_ns, (tmp_path / NAME).stat().st_ino)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"told": [7]}', b"\xff", b'{"schema": 1}'])
async def test_a_file_that_is_not_ours_is_no_memory(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    memory = Memory(tmp_path)
    assert await memory.recall() == frozenset()
    await memory.note([FULL])
    assert await Memory(tmp_path).recall() == {FULL}


async def test_where_it_cannot_be_written_it_is_tried_again(tmp_path):
    """The full disk may be what is told of."""
    var = tmp_path / "var"
    memory = Memory(var)
    await memory.note([FULL])  # there is no such folder
    var.mkdir()
    await memory.forget_all_but([FULL])
    assert await Memory(var).recall() == {FULL}
