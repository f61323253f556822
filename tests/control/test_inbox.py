"""Everything in the inbox has exactly one reason, whatever it is and whoever asks."""

from __future__ import annotations

import os
import random
import socket
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from batchd.control.inbox import Entry, Kind, Rules, entries, named_by, reason_of
from batchd.control.presence import Presence
from batchd.core.model import Pause
from batchd.core.reasons import Reason, ReasonCode, Standing
from batchd.settings import Defaults, Inbox
from batchd.spool.bulletin import FileSeen, InboxSeen, name_in_json
from batchd.spool.inbox import Patience, Settling, look
from batchd.spool.recipes import Recipes
from batchd.spool.wanted import Names, is_wanted
from tests.houses import recipes, write_task

NOW = 1_800_000_000.0
RULES = Inbox(ignore=("draft-*",))
NO_TASKS = Recipes(Path("/nowhere"), Defaults())
NOBODY = Presence(is_running=False)


def entry(
    name: str = "a.jsonl", kind: Kind = Kind.FILE, *, size: int = 10, age: float = 1
) -> Entry:
    return Entry(name, kind, size=size, mode=0o640, owner=1000, changed_at=NOW - age)


def daemon(
    *,
    looked_ago: float | None = 1.0,
    stopped: str | None = None,
    unnamed: int = 0,
    **files: FileSeen,
) -> Presence:
    named = {f"{name}.jsonl": file for name, file in files.items()}
    seen = InboxSeen(1, named, {"any": len(named) + unnamed}, stopped)
    return Presence(
        is_running=True,
        since=NOW - 1000,
        inbox=seen if looked_ago is not None else None,
        looked_ago=looked_ago,
    )


def judged(one: Entry, presence: Presence) -> Reason:
    return reason_of(one, Rules(RULES, NO_TASKS, presence, NOW))


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (entry(".a.jsonl"), "hidden"),
        (entry(".git", Kind.DIRECTORY), "hidden"),
        (entry("a.jsonl", Kind.DIRECTORY), "directory"),
        (entry("a.jsonl", Kind.SYMLINK), "symlink"),
        (entry("a.part", Kind.SPECIAL), "special-file"),
        (entry("a.jsonl.part"), "temporary-name"),
        (entry("draft-1.jsonl"), "ignored-name"),
        (entry("a.png"), "not-wanted-name"),
        (entry("a.csv"), "table-without-task"),
    ],
)
@pytest.mark.parametrize("presence", [NOBODY, daemon()])
def test_what_is_ignored_is_ignored_whether_a_daemon_runs_or_not(one, code, presence):
    reason = judged(one, presence)

    assert (reason.code, reason.standing) == (code, Standing.IGNORED)


def test_without_a_daemon_a_wanted_file_waits_for_one():
    assert judged(entry(), NOBODY).code is ReasonCode.NOT_RUNNING


@pytest.mark.parametrize(
    "code",
    ["growing", "settling", "empty", "last-line-cut", "open-writer", "no-permission", "ready"],
)
def test_the_daemons_word_holds_while_the_file_is_as_it_saw_it(code):
    reason = judged(entry(), daemon(a=FileSeen(NOW - 1.4, 10, code)))

    assert reason.code == code
    assert reason.facts["quiet_seconds"] == pytest.approx(1.4)
    assert "?" not in reason.sentence


def test_a_file_that_has_another_size_than_at_the_last_look_is_growing():
    reason = judged(entry(size=11), daemon(a=FileSeen(NOW - 1, 10, "settling")))

    assert reason.code is ReasonCode.GROWING


def test_a_file_that_came_after_the_last_look_is_new():
    assert judged(entry(), daemon(b=FileSeen(NOW - 1, 10, "settling"))).code is ReasonCode.NEW
    assert judged(entry(), daemon(looked_ago=None)).code is ReasonCode.NEW


def test_a_file_beyond_what_is_listed_knows_why_nothing_is_taken():
    assert judged(entry(), daemon(stopped="queue-full", unnamed=9)).code is ReasonCode.QUEUE_FULL
    assert judged(entry(), daemon(stopped="queue-full")).code is ReasonCode.NEW


def test_a_daemon_that_does_not_look_is_told_from_one_that_is_not_there():
    late = daemon(looked_ago=11.5, a=FileSeen(NOW - 60, 10, "settling"))

    assert judged(entry(), late).code is ReasonCode.NOT_LOOKED
    assert judged(entry(age=60), daemon(looked_ago=None)).code is ReasonCode.NOT_LOOKED


def test_where_done_files_are_asked_for_each_of_the_two_says_what_it_waits_for():
    rules = Inbox(done_file="require", done_suffix="-ok")
    presence = daemon(a=FileSeen(NOW - 60, 10, "no-done-file"))
    waits = reason_of(entry(), Rules(rules, NO_TASKS, presence, NOW))
    speaks = reason_of(entry("a.jsonl-ok"), Rules(rules, NO_TASKS, presence, NOW))

    assert (waits.code, waits.facts["done"]) == (ReasonCode.NO_DONE_FILE, "a.jsonl-ok")
    assert (speaks.code, speaks.facts["name"]) == (ReasonCode.DONE_FILE, "a.jsonl")
    assert judged(entry("a.jsonl-ok"), presence).code is ReasonCode.NOT_WANTED_NAME


def test_a_code_that_only_another_version_knows_is_not_repeated():
    assert judged(entry(), daemon(a=FileSeen(NOW - 1, 10, "of-tomorrow"))).code is ReasonCode.NEW


# --- The folders of tasks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_task(tmp_path, "sentiment")
    write_task(tmp_path, "embed", 'model = "m"\nprompt = "{{ text"\n')
    return tmp_path


def in_folder(root: Path, folder: str, one: Entry, presence: Presence = NOBODY) -> Reason:
    rules = Rules(RULES, recipes(root), presence, NOW)
    return reason_of(replace(one, folder=folder), rules)


@pytest.mark.parametrize(
    ("folder", "one", "code"),
    [
        ("sentiment", entry("a.csv"), "not-running"),
        ("sentiment", entry("a.jsonl"), "not-running"),
        ("sentiment", entry("photo.png"), "not-a-table"),
        ("sentiment", entry(".a.csv"), "hidden"),
        ("sentiment", entry("a.csv.part"), "temporary-name"),
        ("sentiment", entry("draft-1.csv"), "ignored-name"),
        ("sentiment", entry("README.txt"), "own"),
        ("sentiment", entry("2024", Kind.DIRECTORY), "directory"),
        ("sentiment", entry("a.csv", Kind.SYMLINK), "symlink"),
        ("sentiment", entry("0tqe86.cancel", size=0), "not-running"),
        ("sentiment", entry("0tqe86.cancel", size=1), "not-a-table"),
        ("embed", entry("a.csv"), "task-broken"),
        ("embed", entry("photo.png"), "task-broken"),
        ("embed", entry("0tqe86.cancel", size=0), "not-running"),
        ("sentimnt", entry("a.csv"), "task-missing"),
        ("sentimnt", entry("0tqe86.cancel", size=0), "task-missing"),
        ("x.jsonl", entry("a.csv"), "subfolder-without-task"),
        ("", entry("a.csv"), "table-without-task"),
        ("", entry("sentiment", Kind.DIRECTORY), "own"),
        ("", entry("sentimnt", Kind.DIRECTORY), "directory"),
    ],
)
def test_everything_in_a_folder_has_one_reason(root: Path, folder: str, one: Entry, code: str):
    reason = in_folder(root, folder, one)

    assert reason.code == code
    assert "?" not in reason.sentence


def test_a_broken_task_says_where_and_how_it_is_mended(root: Path):
    sentence = in_folder(root, "embed", entry("a.csv")).sentence

    assert str(root / "config" / "tasks" / "embed.toml") + ", line 2: " in sentence
    assert sentence.endswith("then it is taken by itself")


def test_a_folder_almost_of_a_tasks_name_is_told_which_is_meant(root: Path):
    assert "perhaps sentiment is meant" in in_folder(root, "sentimnt", entry("a.csv")).sentence
    assert "there are embed and sentiment" in in_folder(root, "photos", entry("a.csv")).sentence
    assert "there are embed and sentiment" in in_folder(root, "", entry("a.csv")).sentence


def test_the_daemons_word_on_a_file_in_a_folder_is_found_by_both_names(root: Path):
    seen = InboxSeen(1, {"sentiment/a.csv": FileSeen(NOW - 9, 10, "last-line-open")}, {"any": 1})
    presence = Presence(is_running=True, since=NOW - 1000, inbox=seen, looked_ago=1.0)

    reason = in_folder(root, "sentiment", entry("a.csv"), presence)

    assert reason.code is ReasonCode.LAST_LINE_OPEN
    assert reason.sentence.endswith("it is taken as it is after 1 min")


def test_folders_of_tasks_are_no_entries_and_other_folders_are_what_is_in_them(root: Path):
    inbox = root / "inbox"
    for name in ("sentiment/README.txt", "sentiment/a.csv", "sentimnt/b.csv", ".git/c", ".tmp/d"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).touch()
    (inbox / "empty").mkdir()
    (inbox / "embed").symlink_to("sentiment")

    found = {one.below: one.kind for one in entries(inbox, recipes(root).names())}

    assert found == {
        "sentiment/a.csv": Kind.FILE,
        "sentimnt/b.csv": Kind.FILE,
        ".git": Kind.DIRECTORY,
        "empty": Kind.DIRECTORY,
        "embed": Kind.SYMLINK,
    }


# --- R1, R36: a thousand of anything


def anything(inbox: Path, dice: random.Random, number: int) -> None:
    """Put something into an inbox: good, odd, or no file at all."""
    name = dice.choice(
        [b"%d.jsonl", b"%d.NDJSON", b"%d.csv", b".%d.jsonl", b"%d.jsonl.part", b"draft-%d.jsonl",
         b"%d\n.jsonl", b"-%d.jsonl", b"\xff%d.jsonl", b"%d\xe2\x80\xae.jsonl", b"%d~", b"%d",
         b"~$%d.jsonl", b"%d%%20.jsonl", b"%d.tmp", b"a b%d.jsonl", b"." + b"%d" + b"x" * 200]
    ) % number  # fmt: skip
    path = inbox / os.fsdecode(name)
    match dice.randrange(12):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(dice.choice(["nowhere", "/etc/passwd", path.name, "."]))
        case 2:
            os.mkfifo(path)
        case 3 if len(bytes(path)) < 100:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(bytes(path))
        case 4:
            path.touch()
        case 5:
            path.write_bytes(b'{"custom_id": ')
        case 6:
            path.write_bytes(b"\x00\xff")
            path.chmod(0)
        case _:
            path.write_bytes(b"{}\n" * dice.randrange(1, 5))


@pytest.fixture
def thousand(tmp_path: Path) -> Path:
    (tmp_path / ".tmp").mkdir()
    dice = random.Random(36)
    for number in range(1000):
        anything(tmp_path, dice, number)
    return tmp_path


def as_the_daemon_sees(inbox: Path, now: float) -> Presence:
    settling = Settling(Patience(2.0, 30.0, 60.0))
    for at in (0.0, 1.0, 2.5):
        settling.observe(look(inbox, Names(ignored=RULES.ignore)), at, most=50)
    files = {
        name_in_json(one.name): FileSeen(now - 2.5, one.size, one.reason)
        for one in settling.observed(2.5)
    }
    return Presence(is_running=True, since=0.0, inbox=InboxSeen(1, files, {}), looked_ago=0.1)


@pytest.mark.parametrize("runs", [True, False])
def test_each_of_a_thousand_things_has_exactly_one_reason(thousand: Path, runs: bool):
    now = time.time()
    presence = as_the_daemon_sees(thousand, now) if runs else NOBODY

    found = list(entries(thousand, ()))
    reasons = [reason_of(one, Rules(RULES, NO_TASKS, presence, now)) for one in found]

    assert len(found) == len(reasons) == len(list(thousand.iterdir())) - 1 == 1000
    standings = Counter(reason.standing for reason in reasons)
    assert standings.keys() == {Standing.WAITING, Standing.IGNORED}
    assert standings.total() == 1000
    for one, reason in zip(found, reasons, strict=True):
        is_taken = is_wanted(one.name, RULES.ignore) and one.kind is Kind.FILE
        assert (reason.standing is Standing.WAITING) == is_taken
        assert "?" not in reason.sentence


def test_a_file_that_waits_for_a_pause_to_end_is_told_whose_it_is():
    told = named_by(Reason(ReasonCode.PAUSED), {Pause.INTAKE: "anna"})
    assert told.sentence == "anna paused the intake; batchd resume takes it"
    assert named_by(Reason(ReasonCode.READY), {Pause.INTAKE: "anna"}).code is ReasonCode.READY
