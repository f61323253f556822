"""The provider rings, and a daemon that would have looked in ten minutes looks now."""

from __future__ import annotations

import socket

import httpx2
import pytest

from tests.houses import delivered, drop, requests
from tests.webhooks.calls import SECRET, call, headers_for


@pytest.mark.processes
def test_a_batch_that_the_provider_says_is_done_is_looked_at_at_once(processes, tmp_path):
    root, secret = tmp_path / "root", tmp_path / "secret"
    secret.write_text(SECRET)
    sandbox = processes.sandbox(batch_seconds=1.0)
    daemon = processes.daemon(
        root,
        sandbox,
        webhooks__listen="127.0.0.1:0",
        webhooks__secret_file=secret,
        batches__poll_min_seconds=600,
        batches__poll_max_seconds=600,
    )
    address = processes.wait_for_event(daemon, "webhooks.listening")["address"]
    drop(root, "a.jsonl", requests(2))
    batch = processes.wait_for_event(daemon, "batch.opened")["batch"]
    processes.wait(lambda: is_done(sandbox, batch), what="the end of the batch")

    body = call(batch)
    answer = httpx2.post(
        f"http://{address}/", content=body, headers=headers_for(body), trust_env=False
    )

    assert answer.status_code == 200
    processes.wait(lambda: delivered(root), what="its folder")
    assert daemon.stop() == 0


@pytest.mark.processes
def test_the_sandbox_rings_as_the_provider_does(processes, tmp_path):
    """The doorbell can be tried out with nothing but batchd: no key, no address in the world."""
    root, secret, port = tmp_path / "root", tmp_path / "secret", free_port()
    secret.write_text(SECRET)
    sandbox = processes.sandbox(batch_seconds=1.0, webhook=(f"http://127.0.0.1:{port}/", SECRET))
    daemon = processes.daemon(
        root,
        sandbox,
        webhooks__listen=f"127.0.0.1:{port}",
        webhooks__secret_file=secret,
        batches__poll_min_seconds=600,
        batches__poll_max_seconds=600,
    )
    processes.wait_for_event(daemon, "webhooks.listening")
    drop(root, "a.jsonl", requests(2))

    processes.wait(lambda: delivered(root), what="its folder")
    assert len(daemon.events("webhooks.rang")) == 1
    assert not daemon.events("webhooks.refused")
    assert daemon.stop() == 0


def free_port() -> int:
    """One that nobody has: both ends must know it before either is there."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def is_done(sandbox, batch: str) -> bool:
    answer = httpx2.get(
        f"{sandbox.base_url}/batches/{batch}",
        headers={"authorization": "Bearer sk-x"},
        trust_env=False,
    )
    return bool(answer.json()["status"] == "completed")
