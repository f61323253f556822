"""One pass over a table: what it becomes, what it costs, and everything that is wrong with it."""

from pathlib import Path

import pytest

from batchd.rounds.examining import Into, examine_table
from batchd.spool.examining import Examined
from batchd.spool.work import InputChanged
from tests.dropped_tables import csv_of, table
from tests.houses import settings
from tests.rounds.rounds import GROUPED, TASK, a_task, lines_in, nothing


def examined(
    folder: Path, content: str, task=GROUPED, into: Into | None = None, **batches
) -> Examined:
    path = folder / "a.csv"
    path.write_text(content)
    chosen = settings(folder, batches=batches)
    return examine_table(path, task, chosen, pause=nothing, into=into)


def into_of(folder: Path, keep_free: int = 0) -> Into:
    return Into(folder / "1.jsonl", folder / "ids.jsonl", folder / "places", keep_free)


def codes(found: Examined) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.row) for problem in found.problems.listed]


def test_what_a_table_becomes_is_told_and_written_in_one_pass(tmp_path: Path):
    into = into_of(tmp_path / "rounds")
    found = examined(tmp_path, table(7), into=into)
    assert (found.records, found.rows, found.requests, found.problems.total) == (7, 7, 3, 0)
    assert not found.verbatim
    (plan,) = found.shards
    assert (len(plan.rows), plan.requests, plan.model) == (7, 3, "m")
    assert plan.size == into.requests.stat().st_size
    assert lines_in(into.requests)[0] == found.example
    assert lines_in(into.ids) == [b'"k%d"' % number for number in range(1, 8)]
    assert found.layout is not None
    assert found.layout.columns == ("key", "text")


def test_what_cannot_be_read_on_leaves_the_requests_of_its_rows_nowhere(tmp_path: Path):
    into = into_of(tmp_path / "rounds")
    found = examined(tmp_path, table(7) + '"never closed', into=into)
    assert [code for code, _ in codes(found)] == ["quote_never_closed"]
    assert list((tmp_path / "rounds").iterdir()) == []


def test_a_disk_that_is_nearly_full_is_not_filled_with_requests(tmp_path: Path):
    folder = tmp_path / "rounds"
    into = into_of(folder, keep_free=1 << 60)
    with pytest.raises(OSError, match="too few to write"):
        examined(tmp_path, table(7), into=into)
    assert list(folder.iterdir()) == []


def test_shards_are_cut_between_two_requests(tmp_path: Path):
    found = examined(tmp_path, table(20), max_requests=2)
    assert [len(plan.rows) for plan in found.shards] == [6, 6, 6, 2]
    assert [plan.requests for plan in found.shards] == [2, 2, 2, 1]


def test_nothing_is_written_where_only_the_facts_are_wanted(tmp_path: Path):
    examined(tmp_path, table(3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_every_record_that_cannot_be_rendered_is_told_and_the_others_are_read(tmp_path: Path):
    content = csv_of({"key": n, "text": "" if n == 2 else "x"} for n in range(1, 5))
    task = a_task(prompt="{{ text if text else missing }}")
    assert codes(examined(tmp_path, content, task)) == [("unknown_column", 2)]


def test_ids_are_compared_as_answers_are_told_apart(tmp_path: Path):
    content = csv_of({"key": key, "text": "x"} for key in ("a", "b", " a", "b"))
    found = examined(tmp_path, content)
    assert codes(found) == [("duplicate_id", 3), ("duplicate_id", 4)]
    assert "row 1" in found.problems.listed[0].message


def test_what_cannot_be_read_on_ends_it_with_its_row(tmp_path: Path):
    found = examined(tmp_path, "key,text\n1,x\n2,y,z\n3,w\n", TASK)
    assert [row for _, row in codes(found)] == [2]


def test_a_request_that_is_too_long_is_told_by_its_first_record(tmp_path: Path):
    content = csv_of({"key": n, "text": "x" * (5_000 if n == 5 else 1)} for n in range(1, 8))
    found = examined(tmp_path, content, max_bytes=4_000)
    assert codes(found) == [("request_too_long", 4)]
    assert "shorten" in found.problems.listed[0].remedy


def test_a_table_that_changes_while_it_is_read_is_not_read(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text(table(3))

    late = ["k9,late\n"]

    def meddle() -> None:
        with path.open("a") as file:
            file.write(late.pop() if late else "")

    with pytest.raises(InputChanged):
        examine_table(path, TASK, settings(tmp_path), pause=meddle)


def test_what_is_wrong_alike_with_every_row_is_one_thing_to_mend(tmp_path: Path):
    """A column that the table does not have was told twenty times."""
    found = examined(tmp_path, "key,body\n" + "1,x\n" * 100, TASK)
    assert (codes(found), found.problems.total) == ([("unknown_column", 1)], 1)
    assert found.problems.listed[0].message.endswith("(so it is in every row)")


def test_what_is_wrong_alike_with_some_rows_is_told_with_their_number(tmp_path: Path):
    content = csv_of({"key": n, "text": "" if n in (2, 5, 6, 7) else "x"} for n in range(1, 9))
    task = a_task(prompt="{% if not text %}{{ missing if row != 7 else other }}{% endif %}")
    found = examined(tmp_path, content, task)
    assert codes(found) == [("unknown_column", 2), ("unknown_column", 7)]
    first, second = (one.message for one in found.problems.listed)
    assert first.endswith("(likewise in 2 more rows, the last of them 6)")
    assert not second.endswith(")")


def test_empty_records_are_asked_and_warned_of(tmp_path: Path):
    """A thousand rows that Excel left behind are a thousand requests that somebody pays for."""
    found = examined(tmp_path, "key,text\n1,x\n,\n2,y\n,\n", TASK)
    assert (found.records, found.problems.total) == (4, 0)
    assert found.warnings.by_code["empty_record"].lines == [2, 4]


def test_a_record_of_nothing_but_zeros_is_not_empty(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 0}\n{"n": false}\n{"n": ""}\n{"n": null}\n')
    task = a_task(prompt="{{ n }}")
    found = examine_table(path, task, settings(tmp_path), pause=nothing)
    assert found.warnings.by_code["empty_record"].lines == [3, 4]
