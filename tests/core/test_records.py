"""What a table is by its name, and what comes back of it."""

from __future__ import annotations

import msgspec
import pytest

from batchd.core.records import (
    Layout,
    is_packed_name,
    is_table_name,
    kind_of,
    result_name,
    retry_name,
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("jobs.csv", "csv"),
        ("JOBS.CSV", "csv"),
        ("jobs.csv.gz", "csv"),
        ("jobs.TSV.GZ", "tsv"),
        ("jobs.json", "json"),
        ("jobs.jsonl", "jsonl"),
        ("jobs.ndjson.gz", "jsonl"),
        ("jobs.txt", "text"),
        ("README.md", "text"),
        ("jobs.parquet", "parquet"),
        ("jobs.xlsx", "excel"),
        ("jobs.xlsm", "excel"),
        ("jobs.xlsx.gz", None),
        ("jobs.parquet.gz", None),
        ("jobs.png", None),
        ("csv", None),
        ("jobs.gz", None),
    ],
)
def test_a_name_says_what_a_table_is(name, kind):
    assert kind_of(name) == kind
    assert is_table_name(name) == (kind is not None)


def test_packed_is_what_is_called_so():
    assert is_packed_name("a.csv.GZ")
    assert not is_packed_name("a.csv")


@pytest.mark.parametrize(
    ("kind", "result", "retry"),
    [
        ("csv", "results.csv", "retry.csv"),
        ("tsv", "results.tsv", "retry.tsv"),
        ("json", "results.json", "retry.json"),
        ("jsonl", "records.jsonl", "retry.jsonl"),
        ("text", None, "retry.txt"),
        ("parquet", "results.parquet", "retry.parquet"),
        ("excel", "results.xlsx", "retry.xlsx"),
    ],
)
def test_results_are_of_the_kind_that_was_dropped(kind, result, retry):
    """results.jsonl is always there in its own form, so that records of JSON Lines go elsewhere."""
    layout = Layout(format=kind)
    assert (result_name(layout), retry_name(layout)) == (result, retry)


@pytest.mark.parametrize(
    ("encoding", "bom", "result"),
    [
        ("utf-8", False, ("utf-8", False)),
        ("utf-8", True, ("utf-8", True)),
        ("utf-16-le", True, ("utf-16-le", True)),
        ("cp1252", False, ("utf-8", True)),
        ("cp932", False, ("utf-8", True)),
    ],
)
def test_results_are_encoded_as_the_table_where_that_can_hold_any_answer(encoding, bom, result):
    layout = Layout(format="csv", encoding=encoding, bom=bom)
    assert (layout.result_encoding, layout.result_bom) == result


def test_a_layout_can_be_kept_as_json():
    layout = Layout(format="tsv", columns=("a", "column_2"), header=("a", ""), delimiter="\t")
    assert msgspec.json.decode(msgspec.json.encode(layout), type=Layout) == layout
