"""Where records lie is noted with checksums, and is no note where these do not add up."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchd.rounds.places import noted, places_in

PLACES = [(20 * n, 19) for n in range(10_000)]


def note(folder: Path, places=PLACES, *, ids: bytes = b'"a"\n"b"\n') -> tuple[Path, Path]:
    path, of_ids = folder / "places", folder / "ids.jsonl"
    with of_ids.open("wb") as file, noted(path, signature="of this one") as notes:
        write = notes.and_id(file.write)
        for line in ids.splitlines(keepends=True):
            write(line)
        for begin, length in places:
            notes.place(begin, length)
    return path, of_ids


def found(path: Path, ids: Path | None, *, signature: str = "of this one", count: int = 10_000):
    places = places_in(path, ids=ids, signature=signature, count=count)
    return None if places is None else list(places)


@pytest.mark.parametrize("places", [PLACES, PLACES[:4096], PLACES[:1], []])
def test_what_was_noted_is_found(tmp_path: Path, places: list[tuple[int, int]]):
    path, ids = note(tmp_path, places)
    assert found(path, ids, count=len(places)) == places
    assert path.stat().st_size == 16 * (len(places) + 1)


def test_a_table_without_ids_has_none_to_compare(tmp_path: Path):
    path, _ = note(tmp_path, ids=b"")
    assert found(path, None) == PLACES


@pytest.mark.parametrize("at", [0, 7, 16 * 5_000 + 3, 16 * 10_000, 16 * 10_000 + 9])
def test_one_damaged_byte_is_no_note(tmp_path: Path, at: int):
    path, ids = note(tmp_path)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert found(path, ids) is None


def test_what_is_cut_gone_or_of_others_is_no_note(tmp_path: Path):
    path, ids = note(tmp_path)
    assert found(path, ids, signature="of another") is None
    assert found(path, ids, count=9_999) is None
    content = path.read_bytes()
    path.write_bytes(content[:-16])
    assert found(path, ids) is None
    assert found(path, ids, count=9_999) is None
    path.unlink()
    assert found(path, ids) is None


def test_ids_that_are_not_those_that_were_noted_are_no_note(tmp_path: Path):
    path, ids = note(tmp_path)
    ids.write_bytes(b'"a"\n"c"\n')
    assert found(path, ids) is None
    ids.unlink()
    assert found(path, ids) is None


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path):
    def fail() -> None:
        with noted(tmp_path / "places", signature="s") as notes:
            notes.place(1, 2)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # it has no more to say
        fail()
    assert not list(tmp_path.iterdir())
