"""Which names are taken from where, and which rule another one breaks."""

from __future__ import annotations

import pytest

from batchd.core.records import is_table_name
from batchd.core.tasks import Task, TaskInput
from batchd.settings import Inbox
from batchd.spool.wanted import IGNORED, TABLES, Names, is_wanted, tasks_in_words

DRAFTS = Names(ignored=("draft-*",))


def task(**given) -> Task:
    return Task(name="sentiment", model="m", prompt="p", input=TaskInput(**given))


OF_TASK = Names.of_task(Inbox(ignore=("draft-*",)), task())


@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.JSONL", "a.ndjson", "a.jsonl.gz", "a.NDJSON.gz", "-rf.jsonl", "a\nb.jsonl"],
)
def test_request_files_are_wanted_whatever_their_name(name: str):
    assert is_wanted(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.csv", "a.gz", "a.csv.gz", "a.jsonl.gz.part", "a.jsonl.part", "a.jsonl.filepart", "a.jsonl~", "~$a.jsonl", ".a.jsonl",
        ".syncthing.a.jsonl.tmp", "~syncthing~a.jsonl", "4913", "a.jsonl.swp", ".tmp",
    ],
)  # fmt: skip
def test_what_is_not_finished_or_not_for_us_is_ignored(name: str):
    assert not is_wanted(name)


def test_the_settings_can_ignore_more():
    assert not is_wanted("draft-1.jsonl", ("draft-*",))


@pytest.mark.parametrize(
    ("name", "suffix", "spoken_of"),
    [
        ("a.jsonl.done", ".done", "a.jsonl"),
        ("a.jsonl.done", None, None),
        ("a.jsonl.ready", ".done", None),
        ("a.csv.done", ".done", None),
        (".a.jsonl.done", ".done", None),
        ("draft-1.jsonl.done", ".done", None),
    ],
)
def test_a_done_file_speaks_of_a_file_that_is_wanted(name, suffix, spoken_of):
    assert Names(ignored=("draft-*",), announced_by=suffix).announced(name) == spoken_of


@pytest.mark.parametrize(
    ("name", "code", "pattern"),
    [
        (".a.jsonl", "hidden", None),
        ("a.jsonl.part", "temporary-name", "*.part"),
        ("~$a.jsonl", "temporary-name", "~$*"),
        ("draft-1.jsonl", "ignored-name", "draft-*"),
        ("a.png", "not-wanted-name", None),
        ("a.csv", "table-without-task", None),
        ("a.csv.gz", "table-without-task", None),
        ("a.csv.part", "temporary-name", "*.part"),
    ],
)
def test_an_unwanted_name_says_which_rule_it_breaks(name: str, code: str, pattern: str | None):
    reason = DRAFTS.why_not(name)

    assert reason is not None
    assert (reason.code, reason.facts.get("pattern")) == (code, pattern)


def test_a_wanted_name_breaks_no_rule():
    assert DRAFTS.why_not("a.jsonl") is None


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.TSV", "a.json", "a.jsonl", "a.ndjson", "a.txt", "a.md", "a.parquet", "a.xlsx", "a.XLSM",
     "a.csv.gz", "a.jsonl.gz", "a.txt.gz"],
)  # fmt: skip
def test_a_task_takes_tables(name: str):
    assert OF_TASK.want(name)
    assert OF_TASK.why_not(name) is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("photo.png", "not-a-table"),
        ("a.parquet.gz", "not-a-table"),
        ("README.txt", "not-a-table"),
        (".~lock.a.csv#", "hidden"),
        ("~$a.xlsx", "temporary-name"),
        ("a.csv.crdownload", "temporary-name"),
        ("draft-1.csv", "ignored-name"),
        ("0tqe86.cancel", "not-a-table"),
    ],
)
def test_a_task_leaves_alone_what_is_no_table_or_not_finished(name: str, code: str):
    reason = OF_TASK.why_not(name)

    assert reason is not None
    assert reason.code == code
    assert "?" not in reason.sentence


def test_a_task_that_says_what_it_reads_takes_it_under_any_name():
    names = Names.of_task(Inbox(done_file="require"), task(format="csv"))
    taken = ["export.dat", "a.csv", "a.csv.done", "README.txt", ".a.csv", "a.csv.part"]

    assert [name for name in taken if names.want(name)] == ["export.dat", "a.csv"]


def test_a_table_in_the_inbox_itself_is_told_where_it_belongs():
    inbox = Names.of_inbox(Inbox(), ["embed", "qualify", "sentiment"])
    (reason, nothing) = inbox.why_not("a.csv"), Names.of_inbox(Inbox()).why_not("a.csv")

    assert reason is not None
    assert reason.sentence.endswith(
        "put it into inbox/TASK/ (there are embed, qualify and sentiment)"
    )
    assert nothing is not None
    assert "there are no tasks yet" in nothing.sentence
    assert tasks_in_words(["embed"]) == "there is embed"


@pytest.mark.parametrize(
    "pattern", [*TABLES, "*.parquet.gz", "*.png", "*.gz", "*.xls", "*.csv.zip"]
)
def test_names_are_judged_as_whoever_reads_tables_does(pattern: str):
    name = pattern.replace("*", "a")

    assert OF_TASK.want(name) is is_table_name(name)


def test_the_operator_may_take_tables_for_files_of_requests():
    assert Names.of_inbox(Inbox(include=("*.csv",))).why_not("a.csv") is None


def test_no_table_has_a_name_that_is_ignored():
    assert [pattern for pattern in TABLES if pattern in IGNORED] == []
