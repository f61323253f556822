"""Ten bad files among ten good ones: mended by rule or rejected with a remedy, and never sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.outcomes import check_receipt, check_results, finished, jsonl
from tests.houses import drop, read_receipt, requests

pytestmark = pytest.mark.processes

MOST_MEGABYTES = 200
GOOD = [f"good{number}" for number in range(1, 11)]
MIXED_UP = requests(20, prefix="bad")

#: What error.txt must begin with, and what it must advise.
REJECTED = {
    "not-json": ("line 17: ", "Each line must be one JSON object"),
    "no-id": ("line 5: ", '"custom_id"'),
    "same-id": ("line 20: ", "Give every request of the file its own custom_id"),
    "endpoint": ("line 4: ", "/v1/chat/completions"),
    "stream": ("line 6: ", 'Remove "stream"'),
    "empty": ("the file has no request", "Put at least one request line into it"),
    "latin1": ("line 9: ", "iconv -f LATIN1 -t UTF-8"),
    "long-line": ("line 3: ", "Make the request smaller"),
    "get": ("line 7: ", 'Write "method": "POST"'),
}


def changed(number: int, **members: object) -> bytes:
    """Twenty requests, of which one is other."""
    return jsonl([*MIXED_UP[: number - 1], MIXED_UP[number - 1] | members, *MIXED_UP[number:]])


def bad_files() -> dict[str, bytes]:
    """All that is small; the 300 MB line is written piece by piece."""
    lines = jsonl(MIXED_UP).splitlines(keepends=True)
    nameless = {key: value for key, value in MIXED_UP[4].items() if key != "custom_id"}
    latin1 = '{"custom_id": "caf\xe9"}\n'.encode("latin-1")
    streaming = MIXED_UP[5]["body"] | {"stream": True}
    return {
        "not-json": b"".join([*lines[:16], lines[16][:30] + b"\n", *lines[17:]]),
        "no-id": jsonl([*MIXED_UP[:4], nameless, *MIXED_UP[5:]]),
        "same-id": changed(20, custom_id="bad-2"),
        "endpoint": changed(4, url="/v1/chat/completion"),
        "stream": changed(6, body=streaming),
        "empty": b"",
        "mended": b"\xef\xbb\xbf" + jsonl(MIXED_UP).replace(b"\n", b"\r\n"),
        "latin1": b"".join([*lines[:8], latin1, *lines[9:]]),
        "get": changed(7, method="GET"),
    }


def write_long_line(path: Path) -> None:
    with path.open("wb") as file:
        file.write(jsonl(requests(2)))
        file.write(b'{"custom_id": "long", "body": "')
        for _ in range(300):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n')


@pytest.fixture
def dropped(root):
    """All twenty in one go."""
    inbox = root / "inbox"
    (inbox / ".tmp").mkdir(parents=True)
    for name, content in bad_files().items():
        (inbox / ".tmp" / f"{name}.jsonl").write_bytes(content)
    write_long_line(inbox / ".tmp" / "long-line.jsonl")
    for path in sorted((inbox / ".tmp").iterdir()):
        path.rename(inbox / path.name)
    for name in GOOD:
        drop(root, f"{name}.jsonl", requests(10, prefix=name))


def test_ten_bad_files_cost_nothing_and_keep_ten_good_ones_from_nothing(processes, root, dropped):
    sandbox = processes.sandbox()
    daemon = processes.daemon(root, sandbox)
    folders = finished(processes, root, *GOOD, "mended", *REJECTED)

    for name in GOOD:
        check_results(folders[name], requests(10, prefix=name))
    for name in REJECTED:
        check_rejection(folders[name], name)
    check_mended(folders["mended"])
    assert len(sandbox.ledger()["files"]) == 2 * 11  # an input and an output for each good one
    assert len(sandbox.ledger()["batches"]) == 11
    assert daemon.peak_megabytes() < MOST_MEGABYTES
    assert list((root / "inbox").glob("*.jsonl")) == []


def check_rejection(folder: Path, name: str) -> None:
    begins, advises = REJECTED[name]
    text = (folder / "error.txt").read_text()
    assert folder.suffix == ".rejected"
    assert text.startswith(begins), text
    assert advises in text.splitlines()[0], text
    assert (folder / "input" / f"{name}.jsonl").exists()
    assert not (folder / "results.jsonl").exists()
    receipt = read_receipt(folder)
    assert receipt["outcome"] == "rejected"
    assert receipt["reason"]
    assert receipt["batches"] == []


def check_mended(folder: Path) -> None:
    check_results(folder, MIXED_UP)
    receipt = check_receipt(folder, total=20)
    assert receipt["repairs"] == {"bom": True, "crlf_lines": 20, "blank_lines": 0}
    assert "a byte order mark, which was left out" in (folder / "RECEIPT.txt").read_text()
    # The dropped file itself stays as its sender made it.
    assert (folder / "input" / "mended.jsonl").read_bytes() == bad_files()["mended"]


def test_a_rejected_file_that_is_mended_and_dropped_again_is_done(processes, root):
    sandbox = processes.sandbox()
    processes.daemon(root, sandbox)
    drop(root, "a.jsonl", [*requests(3), b"{"])
    folder = finished(processes, root, "a")["a"]
    lines = (folder / "input" / "a.jsonl").read_bytes().splitlines()
    drop(root, "a-mended.jsonl", lines[:3])

    check_results(finished(processes, root, "a-mended")["a-mended"], requests(3))
