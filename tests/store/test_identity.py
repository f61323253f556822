"""What a start looks at before it opens anything, and that looking changes nothing."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batchd.core.errors import ConfigError
from batchd.store.failures import LedgerDamaged
from batchd.store.identity import APPLICATION_ID, create, is_blank, must_be_whole


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with enough in it to be damaged."""
    path = tmp_path / "batchd.db"
    create(path, version=1)
    fill(path)
    return path


def fill(path: Path) -> None:
    row = ("INSERT INTO history (at, job, event, facts) VALUES (0, 'j', 'e', ?)", ("x" * 500,))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _ in range(200):
            connection.execute(*row)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(path: Path, kind: type[ConfigError] = LedgerDamaged) -> str:
    before = files(path.parent)
    with pytest.raises(kind) as refusal:
        must_be_whole(path, newest=1)
    after = files(path.parent)
    assert {name: after[name] for name in before} == before
    return str(refusal.value)


def test_a_new_ledger_appears_whole_and_is_ours(tmp_path: Path):
    path = tmp_path / "batchd.db"
    assert is_blank(path)
    assert must_be_whole(path, newest=1) == 0
    (tmp_path / "batchd.db.new").write_bytes(b"left by a crash")
    create(path, version=1)
    assert [p.name for p in tmp_path.iterdir()] == ["batchd.db"]
    assert must_be_whole(path, newest=1) == 1


def test_looking_at_a_log_does_not_write_it_back(ledger: Path):
    """What a crash left is evidence, until it is known to be whole."""
    connection = sqlite3.connect(ledger, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("DELETE FROM history WHERE id > 10")
    copy = ledger.parent / "copy"
    copy.mkdir()
    for side in ("", "-wal"):
        name = f"batchd.db{side}"
        (copy / name).write_bytes((ledger.parent / name).read_bytes())
    connection.close()
    before = files(copy)
    assert must_be_whole(copy / "batchd.db", newest=1) == 1
    assert {name: files(copy)[name] for name in before} == before


@pytest.mark.parametrize("at", [0.3, 0.5, 0.9])
def test_a_cut_file_is_refused(ledger: Path, at: float):
    content = ledger.read_bytes()
    ledger.write_bytes(content[: int(len(content) * at)])
    assert "can't be used" in refused(ledger)


def test_flipped_bits_are_noticed(ledger: Path):
    content, chance = bytearray(ledger.read_bytes()), random.Random(7)
    for place in range(len(content) // 2, len(content), 97):
        content[place] ^= 1 << chance.randrange(8)
    ledger.write_bytes(content)
    assert "can't be used" in refused(ledger)


def test_garbage_is_refused(ledger: Path):
    ledger.write_bytes(random.Random(3).randbytes(20_000))
    assert "not a database" in refused(ledger)


def test_a_header_that_lies_is_refused(ledger: Path):
    ledger.write_bytes(b"SQLite format 3\0" + b"x" * 90)
    refused(ledger)


def test_a_foreign_database_is_refused_without_a_word_of_recovery(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "batchd.db")) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()
    assert "another program's" in refused(tmp_path / "batchd.db", ConfigError)


def test_a_newer_one_is_refused(ledger: Path):
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert "newer batchd (schema 2, this one knows 1)" in refused(ledger, ConfigError)


def test_a_folder_is_no_ledger(tmp_path: Path):
    (tmp_path / "batchd.db").mkdir()
    with pytest.raises(ConfigError, match="no file"):
        must_be_whole(tmp_path / "batchd.db", newest=1)


def test_a_deleted_log_is_noticed_by_what_it_left_beside(ledger: Path):
    (ledger.parent / "batchd.db-shm").write_bytes(b"x" * 100)
    assert "-wal was deleted" in refused(ledger)


@pytest.mark.parametrize("word", ["gone", "empty"])
def test_a_log_without_its_database_is_all_that_is_left(ledger: Path, word: str):
    """SQLite would remove it beside an empty database."""
    ledger.unlink()
    if word == "empty":
        ledger.touch()
    (ledger.parent / "batchd.db-wal").write_bytes(b"x" * 100)
    assert f"is {word}, but its batchd.db-wal is still there" in refused(ledger)


def test_a_journal_is_rolled_back_by_sqlite_itself(ledger: Path, tmp_path: Path):
    """A restored copy is no WAL database before its first start, and may be killed in that."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # spilled to the file before it is committed
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE history SET facts = 'y'")
        copy = tmp_path / "copy"
        copy.mkdir()
        for side in ("", "-journal"):
            (copy / f"batchd.db{side}").write_bytes((tmp_path / f"batchd.db{side}").read_bytes())
    assert must_be_whole(copy / "batchd.db", newest=1) == 1
    with closing(sqlite3.connect(copy / "batchd.db")) as connection:
        assert connection.execute("SELECT max(facts) FROM history").fetchone()[0] == "x" * 500


def test_a_place_where_nothing_can_be_made_is_the_operators(tmp_path: Path):
    with pytest.raises(ConfigError, match="unable to open"):
        create(tmp_path / "missing" / "batchd.db", version=1)


def test_one_that_somebody_holds_is_no_damage(ledger: Path):
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match="locked by"):
            must_be_whole(ledger, newest=1)


def test_our_mark_is_the_one_that_file_knows():
    assert APPLICATION_ID.to_bytes(4) == b"btcd"
