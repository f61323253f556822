"""A round's requests are written once; a shard's are cut out of them, or rendered to the same bytes."""

from pathlib import Path

import pytest

from batchd.core.rows import RowSet
from batchd.rounds.rendering import rendered, request_file, write_round
from batchd.rounds.table import Table
from tests.dropped_tables import table
from tests.rounds.rounds import GROUPED, lines_in, nothing

WHOLE = RowSet(((1, 10),))


@pytest.fixture
def table_of_ten(tmp_path: Path) -> Table:
    path = tmp_path / "a.csv"
    path.write_text(table(10))
    return Table(path, GROUPED, pause=nothing)


def a_file(table: Table, folder: Path, *rows: int, begin: int = 0) -> Path:
    return request_file(
        lambda: table,
        RowSet.of(rows),
        whole=WHOLE,
        size=3,
        of_round=folder / "rounds" / "1.jsonl",
        own=folder / "shards" / "0aaaaa-1.jsonl",
        begin=begin,
        pause=nothing,
    )


def test_a_request_carries_its_records_and_has_the_number_of_the_first(table_of_ten: Table):
    found = list(rendered(table_of_ten))
    assert [rows for rows, _ in found] == [(1, 2, 3), (4, 5, 6), (7, 8, 9), (10,)]
    assert found[1][1].startswith(b'{"custom_id":"4"')


def test_the_same_records_give_the_same_bytes(table_of_ten: Table):
    assert list(rendered(table_of_ten)) == list(rendered(table_of_ten))


def test_the_file_of_a_round_appears_with_its_last_request(table_of_ten: Table, tmp_path: Path):
    target = tmp_path / "rounds" / "2.jsonl"
    requests = write_round(table_of_ten, RowSet.of([2, 5, 6, 9]), target)
    assert next(requests)[0] == (2, 5, 6)
    assert not target.exists()
    assert [rows for rows, _ in requests] == [(9,)]
    assert len(lines_in(target)) == 2


@pytest.mark.parametrize("trouble", ["none", "gone", "shorter", "other", "garbage"])
def test_a_shards_requests_are_the_same_whatever_became_of_its_rounds(
    table_of_ten: Table, tmp_path: Path, trouble: str
):
    of_round = tmp_path / "rounds" / "1.jsonl"
    lines = [line for _, line in write_round(table_of_ten, WHOLE, of_round)]
    if trouble == "gone":
        of_round.unlink()
    elif trouble == "shorter":
        of_round.write_bytes(lines[0] + b"\n")
    elif trouble == "other":
        of_round.write_bytes(b"\n".join(reversed(lines)) + b"\n")
    elif trouble == "garbage":
        of_round.write_bytes(b"{\n" * 4)
    found = a_file(table_of_ten, tmp_path, 4, 5, 6, 7, 8, 9)
    assert found == tmp_path / "shards" / "0aaaaa-1.jsonl"
    assert lines_in(found) == lines[1:3]


def test_the_only_shard_of_a_round_has_its_file_as_it_lies(table_of_ten: Table, tmp_path: Path):
    of_round = tmp_path / "rounds" / "1.jsonl"
    lines = [line for _, line in write_round(table_of_ten, WHOLE, of_round)]
    assert a_file(table_of_ten, tmp_path, *range(1, 11)) == of_round
    of_round.unlink()
    assert lines_in(a_file(table_of_ten, tmp_path, *range(1, 11))) == lines


def test_rows_that_were_cut_elsewhere_are_rendered_by_themselves(
    table_of_ten: Table, tmp_path: Path
):
    for _ in write_round(table_of_ten, WHOLE, tmp_path / "rounds" / "1.jsonl"):
        pass
    (line,) = lines_in(a_file(table_of_ten, tmp_path, 2, 3))
    assert line.startswith(b'{"custom_id":"2"')


@pytest.mark.parametrize("begin", [0, 5, 10_000])
def test_requests_that_lie_elsewhere_than_was_thought_are_found(
    table_of_ten: Table, tmp_path: Path, begin: int
):
    of_round = tmp_path / "rounds" / "1.jsonl"
    lines = [line for _, line in write_round(table_of_ten, WHOLE, of_round)]
    table_of_ten.path.unlink()  # so that none is rendered
    assert lines_in(a_file(table_of_ten, tmp_path, 4, 5, 6, begin=begin)) == lines[1:2]


def test_where_it_is_known_where_requests_lie_those_before_them_are_not_read(
    table_of_ten: Table, tmp_path: Path
):
    """Twenty shards would read what lies before them ten times over."""
    of_round = tmp_path / "rounds" / "1.jsonl"
    lines = [line for _, line in write_round(table_of_ten, WHOLE, of_round)]
    content = of_round.read_bytes()
    begin = len(lines[0]) + 1
    of_round.write_bytes(bytes(begin) + content[begin:])
    table_of_ten.path.unlink()
    assert lines_in(a_file(table_of_ten, tmp_path, *range(4, 11), begin=begin)) == lines[1:]


def test_a_line_without_its_end_is_rendered_anew(table_of_ten: Table, tmp_path: Path):
    of_round = tmp_path / "rounds" / "1.jsonl"
    lines = [line for _, line in write_round(table_of_ten, WHOLE, of_round)]
    of_round.write_bytes(lines[0] + b"\n" + lines[1][:-5] + b"\n" + lines[2] + b"\n")
    assert lines_in(a_file(table_of_ten, tmp_path, 4, 5, 6)) == lines[1:2]
