"""What people and programs do to the folders: write slowly, leave what is no file, take away."""

from __future__ import annotations

import os

import pytest

from tests.acceptance.outcomes import check_results, finished, jsonl
from tests.houses import delivered, drop, read_lines, requests

pytestmark = pytest.mark.processes


def others_are_done(processes, root) -> None:
    """Wait until a file dropped only now is delivered: whatever was settled before it is, too."""
    drop(root, "other.jsonl", requests(3, prefix="other"))
    finished(processes, root, "other")


def test_a_file_is_not_taken_while_its_writer_has_it_open(processes, root):
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox)
    written = requests(20)
    with (root / "inbox" / "slow.jsonl").open("wb", buffering=0) as file:
        file.write(jsonl(written[:10]))
        others_are_done(processes, root)
        assert (root / "inbox" / "slow.jsonl").exists()
        file.write(jsonl(written[10:]))

    check_results(finished(processes, root, "slow")["slow"], written)


def test_a_file_whose_last_line_is_cut_is_given_time(processes, root):
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox)
    content = jsonl(requests(20))
    path = root / "inbox" / "cut.jsonl"
    path.write_bytes(content[:-30])
    others_are_done(processes, root)
    assert path.exists()
    with path.open("ab") as file:
        file.write(content[-30:])

    check_results(finished(processes, root, "cut")["cut"], requests(20))


def test_what_is_no_file_of_requests_is_left_alone(processes, root, tmp_path):
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox)
    inbox = root / "inbox"
    os.mkfifo(inbox / "pipe.jsonl")
    (inbox / "folder.jsonl").mkdir()
    (tmp_path / "mine.jsonl").write_bytes(jsonl(requests(3)))
    (inbox / "link.jsonl").symlink_to(tmp_path / "mine.jsonl")
    (inbox / "dangling.jsonl").symlink_to("nowhere")
    for name in (".hidden.jsonl", "copy.jsonl.part", "notes.txt", "~$a.jsonl"):
        (inbox / name).write_bytes(jsonl(requests(3)))
    left = sorted(os.listdir(inbox))  # noqa: PTH208  # names, as they are
    others_are_done(processes, root)

    assert sorted(os.listdir(inbox)) == left  # noqa: PTH208
    assert set(delivered(root)) == {"other"}
    assert len(sandbox.ledger()["batches"]) == 1


def test_results_wait_while_the_outbox_cannot_take_them(processes, root):
    sandbox = processes.sandbox(batch_seconds=1)
    daemon = processes.daemon(root, sandbox)
    drop(root, "a.jsonl", requests(20))
    processes.wait_for_event(daemon, "batch.opened")
    (root / "outbox").rename(root / "away")
    (root / "outbox").write_text("no folder")
    processes.wait_for_event(daemon, "deliver.delayed")
    (root / "outbox").unlink()
    (root / "away").rename(root / "outbox")

    folder = finished(processes, root, "a")["a"]
    check_results(folder, requests(20))
    assert read_lines(folder / "input" / "a.jsonl") == requests(20)
    assert len(sandbox.ledger()["batches"]) == 1
