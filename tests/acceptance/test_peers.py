"""Two published tools, each in an environment of its own, use the sandbox as they would OpenAI.

`make peers` runs them: each brings a hundred megabytes from the package registry.
The plain SDK, as in the published guide, is in tests/sandbox/test_sandbox_sdk.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.acceptance.outcomes import expected_output, jsonl
from tests.acceptance.processes import KEY
from tests.houses import read_lines, requests

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        not os.environ.get("BATCHD_TEST_PEERS"), reason="installs other people's tools: make peers"
    ),
]

CACHE = Path(__file__).parents[2] / ".cache" / "peers"
INSTALL_SECONDS = 180
DROPPED = requests(50)


def environment_of(requirement: str) -> Path:
    """Return the bin/ of an environment with one published tool; made once, kept in .cache/."""
    version = ".".join(map(str, sys.version_info[:2]))
    folder = CACHE / f"{requirement}-python{version}"
    stamp = folder / "installed"
    if not stamp.exists():
        venv.create(folder, clear=True, with_pip=True)
        install(requirement, folder / "bin" / "python")
        stamp.touch()
    return folder / "bin"


def install(requirement: str, python: Path) -> None:
    quick = ("--quiet", "--retries", "0", "--timeout", "10", "--disable-pip-version-check")
    command = [str(python), "-m", "pip", "install", *quick, requirement]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{requirement} could not be installed within {INSTALL_SECONDS} s")
    if done.returncode:
        pytest.skip(f"{requirement} could not be installed: {done.stderr.strip()[-200:]}")


def use(tool: Path, *arguments: str, sandbox, folder: Path) -> str:
    """Run a tool as its users do, away from their homes; return what it says."""
    (folder / "in.jsonl").write_bytes(jsonl(DROPPED))
    ours = {
        "HOME": str(folder),
        "OPENAI_BASE_URL": sandbox.base_url,
        "OPENAI_API_KEY": KEY,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    done = subprocess.run(
        [str(tool), *arguments],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PYTHON"))} | ours,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_answers(path: Path) -> None:
    """The tools leave the provider's own lines, in the provider's order."""
    answers = {line["custom_id"]: line["response"] for line in read_lines(path)}
    assert {response["status_code"] for response in answers.values()} == {200}
    said = {
        name: response["body"]["choices"][0]["message"]["content"]
        for name, response in answers.items()
    }
    assert said == {request["custom_id"]: expected_output(request) for request in DROPPED}


def test_batchwizard_uploads_and_collects(processes, tmp_path):
    tool = environment_of("batchwizard==0.5.0") / "batchwizard"
    sandbox = processes.sandbox()
    options = ("--output-directory", "out", "--check-interval", "1")
    said = use(tool, "process", "in.jsonl", *options, sandbox=sandbox, folder=tmp_path)

    assert "1 collected" in said
    (results,) = (tmp_path / "out").iterdir()
    check_answers(results)
    (batch,) = sandbox.ledger()["batches"]
    assert batch["metadata"]["batchwizard_intent"]


def test_openai_batch_helper_uploads_and_collects(processes, tmp_path):
    tool = environment_of("openai-batch-helper==0.1.1") / "openai-batch-helper"
    sandbox = processes.sandbox()
    options = ("--out", "results.jsonl", "--poll-seconds", "0.2")
    said = use(tool, "--input", "in.jsonl", *options, sandbox=sandbox, folder=tmp_path)

    assert said.splitlines()[0] == "completed"
    check_answers(tmp_path / "results.jsonl")
