"""What in the inbox is wanted, and when it is finished."""

from __future__ import annotations

import gzip
import os
import socket
from pathlib import Path

import pytest

from batchd.core.reasons import ReasonCode
from batchd.spool.inbox import (
    Found,
    Patience,
    Settling,
    look,
)
from batchd.spool.inflating import Probe
from batchd.spool.wanted import Names

LINE = b'{"custom_id": "a"}\n'


@pytest.fixture
def settling() -> Settling:
    return Settling(Patience(settle=2.0, empty=30.0, cut=60.0))


def seen_at(
    settling: Settling, inbox: Path, *times: float, most: int = 100
) -> list[str]:  # what is settled at the last of these times
    settled: list[Found] = []
    for time in times:
        settled = settling.observe(look(inbox), time, most=most)
    return [file.path.name for file in settled]


def test_ignored_names_are_not_even_looked_at(tmp_path: Path):
    # A name that can be listed and not be looked at: a link that leads to itself is lstat'ed
    # without harm, so what shows it is that nothing but the wanted one comes out.
    (tmp_path / "loop.part").symlink_to("loop.part")
    (tmp_path / "a.jsonl").write_bytes(LINE)
    assert [found.path.name for found in look(tmp_path)] == ["a.jsonl"]


def test_only_plain_files_are_found_and_nothing_else_is_opened(tmp_path: Path):
    (tmp_path / "real.jsonl").write_bytes(LINE)
    (tmp_path / "inside.jsonl").symlink_to("real.jsonl")
    (tmp_path / "dangling.jsonl").symlink_to("nowhere")
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.jsonl"))
        assert [found.path.name for found in look(tmp_path)] == ["real.jsonl"]


def test_names_are_bytes(tmp_path: Path, settling: Settling):
    odd = [b"caf\xe9.jsonl", b"a\nb.jsonl", b"-rf.jsonl", "é.jsonl".encode(), b"e\xcc\x81.jsonl"]
    for name in odd:
        (tmp_path / os.fsdecode(name)).write_bytes(LINE)
    assert sorted(map(os.fsencode, seen_at(settling, tmp_path, 0.0, 5.0))) == sorted(odd)


def test_a_file_is_settled_after_two_looks_and_its_quiet_time(tmp_path: Path, settling: Settling):
    (tmp_path / "a.jsonl").write_bytes(LINE)
    assert seen_at(settling, tmp_path, 100.0) == []
    assert seen_at(settling, tmp_path, 101.9) == []
    assert seen_at(settling, tmp_path, 102.0) == ["a.jsonl"]


def test_another_patience_holds_for_what_was_seen_before(tmp_path: Path, settling: Settling):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n")
    assert seen_at(settling, tmp_path, 0.0) == []
    settling.be_patient(Patience(settle=5.0, empty=30.0, cut=60.0))
    assert seen_at(settling, tmp_path, 2.5) == []
    assert seen_at(settling, tmp_path, 5.5) == ["a.jsonl"]


def test_one_look_is_not_enough_however_long_ago_the_daemon_began(tmp_path: Path, settling):
    (tmp_path / "a.jsonl").write_bytes(LINE)
    assert seen_at(settling, tmp_path, 1e9) == []


def test_the_time_of_a_file_is_never_compared_with_ours(tmp_path: Path, settling: Settling):
    for name, mtime in (("old", 0), ("young", 4_102_444_800)):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(LINE)
        os.utime(path, (mtime, mtime))
    assert seen_at(settling, tmp_path, 0.0, 1.0) == []
    assert seen_at(settling, tmp_path, 2.0) == ["old.jsonl", "young.jsonl"]


def test_a_file_that_grows_is_not_settled_before_it_was_quiet(tmp_path: Path, settling: Settling):
    path = tmp_path / "a.jsonl"
    for second in range(10):
        with path.open("ab") as file:
            file.write(LINE)
        assert seen_at(settling, tmp_path, float(second)) == []
    assert seen_at(settling, tmp_path, 10.9) == []
    assert seen_at(settling, tmp_path, 11.0) == ["a.jsonl"]


def test_a_touched_or_replaced_file_begins_anew(tmp_path: Path, settling: Settling):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE)
    seen_at(settling, tmp_path, 0.0, 1.0)
    os.utime(path)
    assert seen_at(settling, tmp_path, 2.0) == []
    (tmp_path / "b.part").write_bytes(LINE)
    (tmp_path / "b.part").replace(path)
    assert seen_at(settling, tmp_path, 4.0) == []
    assert seen_at(settling, tmp_path, 6.0) == ["a.jsonl"]


def test_a_file_that_was_gone_for_a_look_begins_anew(tmp_path: Path, settling: Settling):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE)
    seen_at(settling, tmp_path, 0.0)
    path.rename(tmp_path / "away")
    seen_at(settling, tmp_path, 1.0)
    (tmp_path / "away").rename(path)
    assert seen_at(settling, tmp_path, 2.0) == []
    assert seen_at(settling, tmp_path, 4.0) == ["a.jsonl"]


def test_an_empty_file_is_given_more_time(tmp_path: Path, settling: Settling):
    """Finder makes the name first; the content comes seconds later (F31)."""
    (tmp_path / "a.jsonl").touch()
    assert seen_at(settling, tmp_path, 0.0, 29.9) == []
    assert seen_at(settling, tmp_path, 30.0) == ["a.jsonl"]


@pytest.mark.parametrize("tail", [b'{"custom_id": "b", "bo', b"\x00" * 4096, b'"caf\xe9'])
def test_a_cut_last_line_is_given_more_time(tmp_path: Path, settling: Settling, tail: bytes):
    """A copy that pauses (F34), space reserved in advance (F35), and a Latin-1 file: that one
    once took the whole house down, for its error is no decoder's."""
    (tmp_path / "a.jsonl").write_bytes(LINE + tail)
    assert seen_at(settling, tmp_path, 0.0, 59.9) == []
    assert seen_at(settling, tmp_path, 60.0) == ["a.jsonl"]


def test_gzip_data_that_does_not_end_is_given_more_time(tmp_path: Path, settling: Settling):
    """F56: what a copy looks like that has not ended, or whose holes are filled later."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINE)[:-1])
    (tmp_path / "b.jsonl.gz").write_bytes(bytes(4096))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(LINE))
    assert seen_at(settling, tmp_path, 0.0, 2.0) == ["c.jsonl.gz"]
    assert seen_at(settling, tmp_path, 59.9) == ["c.jsonl.gz"]
    reasons = {one.name: one.reason for one in settling.observed(59.9)}
    assert reasons.pop("c.jsonl.gz") is ReasonCode.READY
    assert set(reasons.values()) == {ReasonCode.GZIP_BROKEN}
    assert len(seen_at(settling, tmp_path, 60.0)) == 3


def test_a_copy_that_goes_on_is_whole_in_the_end(tmp_path: Path, settling: Settling):
    path, whole = tmp_path / "a.jsonl.gz", gzip.compress(LINE)
    path.write_bytes(whole[:-1])
    assert seen_at(settling, tmp_path, 0.0, 30.0) == []
    path.write_bytes(whole)
    assert seen_at(settling, tmp_path, 31.0, 33.0) == ["a.jsonl.gz"]


def test_gzip_data_is_inflated_once_for_each_state_of_the_file(tmp_path: Path, settling: Settling):
    """It is a second of work for a large one, and every look would do it again for a minute."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(LINE)[:-1])
    assert spent_at(settling, tmp_path, 0.0) == 0, "it has not been quiet for long enough"
    assert spent_at(settling, tmp_path, 2.0) > 0
    assert spent_at(settling, tmp_path, 30.0) == 0
    path.write_bytes(gzip.compress(LINE)[:-2])
    assert spent_at(settling, tmp_path, 31.0) == 0
    assert spent_at(settling, tmp_path, 33.0) > 0


def spent_at(settling: Settling, inbox: Path, now: float) -> int:
    """How many bytes were inflated at this look."""
    probe = Probe(left=1000)
    settling.observe(look(inbox), now, most=100, probe=probe)
    return 1000 - probe.left


def test_a_look_that_has_no_time_left_takes_the_plain_files_all_the_same(
    tmp_path: Path, settling: Settling
):
    for name in ("a.jsonl.gz", "b.jsonl.gz", "c.jsonl"):
        (tmp_path / name).write_bytes(gzip.compress(LINE) if name.endswith("gz") else LINE)
        os.utime(tmp_path / name, (1, ord(name[0])))

    def taken(now: float, left: int) -> list[str]:
        found = settling.observe(look(tmp_path), now, most=100, probe=Probe(left=left))
        return [file.path.name for file in found]

    assert taken(0.0, 1) == []
    assert taken(2.0, 1) == ["a.jsonl.gz", "c.jsonl"]
    assert {one.reason for one in settling.observed(2.0)} == {ReasonCode.READY}
    assert taken(4.0, 1) == ["a.jsonl.gz", "b.jsonl.gz", "c.jsonl"]


def test_a_file_that_somebody_has_open_for_writing_waits(tmp_path: Path, settling: Settling):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE)
    with path.open("ab"):
        assert seen_at(settling, tmp_path, 0.0, 100.0) == []
    assert seen_at(settling, tmp_path, 101.0) == ["a.jsonl"]


def test_the_oldest_come_first_and_no_more_than_asked_for(tmp_path: Path, settling: Settling):
    for number in range(5):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(LINE)
        os.utime(path, (1000 - number, 1000 - number))
    assert seen_at(settling, tmp_path, 0.0, 2.0, most=2) == ["4.jsonl", "3.jsonl"]


def test_files_that_must_wait_keep_no_others_out(tmp_path: Path, settling: Settling):
    for number in range(5):
        (tmp_path / f"cut-{number}.jsonl").write_bytes(b"{")
    (tmp_path / "whole.jsonl").write_bytes(LINE)
    assert seen_at(settling, tmp_path, 0.0, 2.0, most=1) == ["whole.jsonl"]


def test_a_file_that_could_not_be_taken_is_offered_again_later_and_later(tmp_path: Path, settling):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE)
    assert seen_at(settling, tmp_path, 0.0, 2.0) == ["a.jsonl"]
    assert settling.put_off(path, 2.0) == 1.0
    assert seen_at(settling, tmp_path, 2.9) == []
    assert seen_at(settling, tmp_path, 3.0) == ["a.jsonl"]
    assert settling.put_off(path, 3.0) == 2.0
    path.chmod(0o644)
    os.utime(path)
    assert seen_at(settling, tmp_path, 4.0, 6.0) == ["a.jsonl"], "it was mended: a new file"


def test_a_file_that_is_touched_all_the_time_is_taken_by_its_content(tmp_path: Path):
    settling = Settling(Patience(settle=2.0, empty=30.0, cut=60.0, most=10.0))
    path, taken = tmp_path / "a.jsonl", dict[int, list[str]]()
    path.write_bytes(LINE)
    for second in range(16):
        os.utime(path, (second, second))
        taken[second] = seen_at(settling, tmp_path, float(second))
    # From the first touch that was seen: ten seconds, and two more in which it is read twice.
    assert min(second for second, names in taken.items() if names) == 13


def test_the_most_that_is_waited_is_no_less_than_what_is_waited_anyway(tmp_path: Path):
    settling = Settling(Patience(settle=5.0, empty=30.0, cut=60.0, most=1.0))
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE)
    for second in range(9):
        os.utime(path, (second, second))
        assert seen_at(settling, tmp_path, float(second)) == []


def test_where_a_done_file_is_asked_for_nothing_is_taken_without(tmp_path: Path, settling):
    def look_at(time: float) -> list[Found]:
        return settling.observe(look(tmp_path, Names(announced_by=".done")), time, most=9)

    def told(time: float) -> list[str]:
        return [one.reason for one in settling.observed(time)]

    (tmp_path / "a.jsonl").write_bytes(LINE)
    (tmp_path / "a.jsonl.done").mkdir()
    assert (look_at(0.0), look_at(99.0)) == ([], []), "a folder says nothing"
    assert told(99.0) == ["no-done-file"]
    assert settling.next_look(99.0) is None, "nothing wakes anybody for it but its done file"

    (tmp_path / "a.jsonl.done").rmdir()
    (tmp_path / "a.jsonl.done").touch()
    assert [file.done for file in look_at(100.0)] == [tmp_path / "a.jsonl.done"]
    assert told(100.0) == ["ready"]


def test_the_next_look_is_when_the_first_may_have_settled(tmp_path: Path, settling: Settling):
    assert settling.next_look(0.0) is None
    (tmp_path / "a.jsonl").write_bytes(LINE)
    seen_at(settling, tmp_path, 0.0)
    (tmp_path / "b.jsonl").touch()
    seen_at(settling, tmp_path, 0.5)
    assert settling.next_look(0.5) == 1.5
    assert settling.next_look(10.0) == 2.0
    assert sorted(path.name for path in settling.waiting) == ["a.jsonl", "b.jsonl"]


def test_no_patience_at_all_is_no_busy_loop(tmp_path: Path):
    settling = Settling(Patience(settle=0.0, empty=0.0, cut=0.0))
    (tmp_path / "a.jsonl").write_bytes(LINE)
    seen_at(settling, tmp_path, 0.0)
    assert settling.next_look(0.0) == 0.1


# --- what is told of those that wait


def told_at(
    settling: Settling, inbox: Path, *times: float, stopped: str | None = None
) -> dict[str, str]:
    """The reason of each file after looks at these times."""
    seen_at(settling, inbox, *times)
    return {o.name: o.reason for o in settling.observed(times[-1], stopped=stopped)}


def test_each_file_that_waits_has_one_reason(tmp_path: Path, settling: Settling):
    (tmp_path / "whole.jsonl").write_bytes(LINE)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "cut.jsonl").write_bytes(LINE[:-3])
    (tmp_path / "open.jsonl").write_bytes(LINE)
    told_at(settling, tmp_path, 0.0)
    (tmp_path / "grown.jsonl").write_bytes(LINE)
    with (tmp_path / "open.jsonl").open("ab"):
        told_at(settling, tmp_path, 1.0)
        (tmp_path / "grown.jsonl").write_bytes(LINE * 2)

        assert told_at(settling, tmp_path, 2.5) == {
            "whole.jsonl": "ready",
            "empty.jsonl": "empty",
            "cut.jsonl": "last-line-cut",
            "open.jsonl": "open-writer",
            "grown.jsonl": "growing",
        }


def test_a_settled_file_that_finds_no_room_says_so(tmp_path: Path, settling: Settling):
    (tmp_path / "a.jsonl").write_bytes(LINE)

    told = told_at(settling, tmp_path, 0.0, 3.0, stopped=ReasonCode.QUEUE_FULL)

    assert told == {"a.jsonl": "queue-full"}


def test_a_file_that_could_not_be_taken_says_whose_permission_is_missing(
    tmp_path: Path, settling: Settling
):
    (tmp_path / "a.jsonl").write_bytes(LINE)
    told_at(settling, tmp_path, 0.0, 3.0)

    settling.put_off(tmp_path / "a.jsonl", 3.0)

    assert told_at(settling, tmp_path, 4.0) == {"a.jsonl": "cannot-move"}
    (tmp_path / "a.jsonl").unlink()
    assert told_at(settling, tmp_path, 5.0) == {}


def test_the_operator_says_which_names_are_taken(tmp_path: Path):
    for name in ("a.txt", "B.TXT", "c.jsonl", "d.txt.bak", ".e.txt", "0abcde.cancel", "f.txt.done"):
        (tmp_path / name).write_bytes(b"{}\n")
    taken = {found.path.name for found in look(tmp_path, Names(("*.txt",)))}
    assert taken == {"a.txt", "B.TXT"}
    everything = {found.path.name for found in look(tmp_path, Names(("*",), ("*.bak",)))}
    assert everything == {"a.txt", "B.TXT", "c.jsonl", "f.txt.done"}
    reason = Names(("*.txt",)).why_not("c.jsonl")
    assert reason is not None
    assert reason.sentence.startswith("its name is not like *.txt;")
