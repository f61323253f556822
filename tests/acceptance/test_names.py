"""File names as people have them: whatever bytes a name is made of, it is done and it survives."""

from __future__ import annotations

import os

import pytest

from tests.acceptance.outcomes import jsonl
from tests.houses import read_lines, requests

pytestmark = pytest.mark.processes

STEMS = [
    b"caf\xe9",  # Latin-1, no UTF-8
    b"\xff\xfe\x80",
    b"-rf",
    b"--help",
    b"two\nlines",
    b"tab\tand\rreturn",
    b"\x1b[31mred",
    "😀 smile".encode(),
    "e\u0301 and \u202egnol".encode(),  # decomposed, and written backwards
    b" begins and ends with blanks ",
    b"quote'and\"quote",
    b"back\\slash",
    b"$(rm x);*?[a]",
    b"%s {name}",
    b"a.jsonl",
    b"--7k3c9q.rejected",
    b"con",
    b"n" * 249,  # 255 bytes with its ending, the most there is
    "ü".encode() * 124,
]


def test_every_name_is_done_and_survives_in_input(processes, root):
    names = [stem + b".jsonl" for stem in STEMS]
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox)
    drop_as_named(root, names)
    outbox = os.fsencode(root / "outbox")
    processes.wait(lambda: len(visible(outbox)) == len(names), what="a folder for every name")

    kept = [name for folder in visible(outbox) for name in inputs(outbox, folder)]
    assert sorted(kept) == sorted(names)
    for folder in visible(outbox):
        folder.decode("utf-8")  # what batchd names itself is plain text on one line
        assert not any(byte < 0x20 for byte in folder)
        assert not folder.startswith(b"-")


def test_a_name_of_255_bytes_with_a_second_link_is_done_too(processes, root, tmp_path):
    name = "n" * 249 + ".jsonl"
    (root / "inbox").mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(jsonl(requests(3)))
    os.link(tmp_path / "elsewhere", root / "inbox" / name)
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox)

    processes.wait(lambda: list((root / "outbox").glob("n*/input/*")), what="its folder")
    (folder,) = (root / "outbox").iterdir()
    assert len(read_lines(folder / "results.jsonl")) == 3
    assert [path.name for path in (folder / "input").iterdir()] == [name]
    assert (tmp_path / "elsewhere").exists()


def drop_as_named(root, names: list[bytes]) -> None:
    inbox = os.fsencode(root / "inbox")
    for number, name in enumerate(names):
        hidden = os.path.join(inbox, b".tmp", str(number).encode())  # noqa: PTH118  # bytes
        with open(hidden, "wb") as file:  # noqa: PTH123  # a Path has no bytes
            file.write(jsonl(requests(3, prefix=f"n{number}")))
        os.rename(hidden, os.path.join(inbox, name))  # noqa: PTH104, PTH118


def visible(outbox: bytes) -> list[bytes]:
    return [name for name in os.listdir(outbox) if not name.startswith(b".")]  # noqa: PTH208


def inputs(outbox: bytes, folder: bytes) -> list[bytes]:
    return os.listdir(os.path.join(outbox, folder, b"input"))  # noqa: PTH118, PTH208
