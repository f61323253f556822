"""An order is an empty file of a job's name, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchd.spool.orders import Order, job_to_cancel, names_of_orders, orders_in

JOB = "0tqe86"


@pytest.mark.parametrize("name", ["0tqe86.cancel"])
def test_a_whole_id_and_the_ending_name_a_job(name):
    assert job_to_cancel(name) == JOB


@pytest.mark.parametrize(
    "name", ["0tqe8.cancel", "big--0tqe86.cancel", ".cancel", "0tqe86", "a.jsonl"]
)
def test_any_other_name_names_none(name):
    assert job_to_cancel(name) is None


def test_the_names_of_orders_are_found_among_others():
    assert names_of_orders(["a.jsonl", "0tqe86.cancel", "x.cancel", "0tqe87.cancel"]) == [
        "0tqe86.cancel",
        "0tqe87.cancel",
    ]


def test_an_empty_file_is_its_owners_order(tmp_path: Path):
    path = tmp_path / f"{JOB}.cancel"
    path.touch()

    assert list(orders_in([path])) == [Order(path, JOB, os.getuid())]


def with_content(path: Path) -> None:
    path.write_text("no")


def linked(path: Path) -> None:
    (path.parent / "theirs").touch()
    path.hardlink_to(path.parent / "theirs")


def pointing(path: Path) -> None:
    (path.parent / "theirs").touch()
    path.symlink_to("theirs")


def folder(path: Path) -> None:
    path.mkdir()


def gone(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize("make", [with_content, linked, pointing, folder, gone])
def test_nothing_else_is_one(tmp_path: Path, make):
    path = tmp_path / f"{JOB}.cancel"
    make(path)

    assert list(orders_in([path])) == []
