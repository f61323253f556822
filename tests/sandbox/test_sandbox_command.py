"""`batchd sandbox` as a process: its line, its signals, its memory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from batchd.cli.sandbox import sandbox
from batchd.sandbox.faults import NAMES, AnswerRule, HttpRule, RequestRule, vocabulary
from tests.sandbox.support import CHAT, chat_line

START = "from batchd.cli.sandbox import sandbox; sandbox()"
pytestmark = pytest.mark.processes


@contextlib.contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", START, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("sandbox listening on http://127.0.0.1:")
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_even_with_connections_open(number):
    with started() as (process, base_url), httpx2.Client() as client:
        url = base_url.removesuffix("/v1")
        client.put(f"{url}/sandbox/faults", json={"http": [{"delay_seconds": 60}]})
        busy = socket.create_connection((url.split("//")[1].split(":")[0], int(url.split(":")[-1])))
        busy.sendall(b"GET /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n")
        time.sleep(0.1)
        asked = time.monotonic()
        process.send_signal(number)
        assert process.wait(5) == 0
        took = time.monotonic() - asked
        busy.close()

    assert took < 2


def test_it_says_how_to_use_it():
    with started("--api-key", "sk-mine", "--fault", "listing_lag_seconds=5") as (process, base_url):
        faults = json.load(urllib.request.urlopen(base_url.replace("/v1", "/sandbox/faults")))
        process.terminate()
        _, err = process.communicate()

    assert f"export OPENAI_BASE_URL={base_url}" in err
    assert "export OPENAI_API_KEY=sk-mine" in err
    assert faults["listing_lag_seconds"] == 5


def test_a_taken_port_is_said_plainly():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(sandbox, ["--port", str(port)])

    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.output


def test_an_unknown_fault_is_a_usage_error():
    result = CliRunner().invoke(sandbox, ["--fault", "nonsense=1"])

    assert result.exit_code == 2
    assert "nonsense" in result.output


def test_the_help_tells_every_fault():
    result = CliRunner().invoke(sandbox, ["--help"])

    faults, http, requests, answers = vocabulary().values()
    assert [name for name, _, _ in faults] == list(NAMES)
    for rows, rule in ((http, HttpRule), (requests, RequestRule), (answers, AnswerRule)):
        members = " ".join(name for name, _, _ in rows).replace(".", "").replace(",", "").split()
        assert set(members) == set(rule.__struct_fields__)
    for name, _, _ in [*faults, *http, *requests, *answers]:
        assert name in result.output


def peak_memory(process: subprocess.Popen[str]) -> int:
    """In MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")  # noqa: PTH110
def test_memory_does_not_grow_with_the_batch(tmp_path):
    """10,000 requests and 40 MB here; by hand, 50,000 and 200 MB grew it by 10 MB."""
    path = tmp_path / "large.jsonl"
    with path.open("w") as sink:
        for number in range(10_000):
            sink.write(json.dumps(chat_line(f"r{number}", "word " * 800)) + "\n")
    with started("--batch-seconds", "0.5") as (process, base_url), httpx2.Client() as client:
        client.headers["authorization"] = "Bearer k"
        before = peak_memory(process)
        with path.open("rb") as source:
            file = client.post(
                f"{base_url}/files",
                data={"purpose": "batch"},
                files={"file": ("large.jsonl", source)},
                timeout=30,
            ).json()
        body = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
        batch = client.post(f"{base_url}/batches", json=body).json()
        while batch["status"] != "completed":
            time.sleep(0.05)
            batch = client.get(f"{base_url}/batches/{batch['id']}").json()
        with client.stream("GET", f"{base_url}/files/{batch['output_file_id']}/content") as answer:
            lines = sum(chunk.count(b"\n") for chunk in answer.iter_bytes())
        grown = peak_memory(process) - before

    assert lines == 10_000
    assert grown < 25
