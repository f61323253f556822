"""Job ids for the shell's Tab."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from batchd.cli import batchd
from tests.cli.places import shell_in
from tests.control.asking import open_batches
from tests.houses import open_services

OF_PATHS = ("why", "logs")  #: where the shell goes on with files
COMMANDS = ["show", "cancel", "hold", "release", "wait", "retry", "why", "logs"]


def offered(*typed: str) -> dict[str, str | None]:
    """What a Tab offers after these words, the last of which is begun."""
    asked = ShellComplete(batchd, {}, "batchd", "_BATCHD_COMPLETE")
    found = asked.get_completions(list(typed[:-1]), typed[-1])
    return {one.value: one.help for one in found}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_job_is_completed_with_its_files_name_beside_it(
    command, tmp_path, monkeypatch, capsys
):
    shell_in(tmp_path, monkeypatch, capsys, root=tmp_path / "root")
    async with open_services(tmp_path / "root") as services:
        await open_batches(services, "a.jsonl", "b.jsonl")
        job = str(await services.ledger.last_job())

        assert set(offered(command, "").values()) == {"a.jsonl", "b.jsonl"}
        assert offered(command, job) == {job: "b.jsonl"}
        assert offered(command, "zz") == ({"zz": None} if command in OF_PATHS else {})


@pytest.mark.parametrize("wrong", ["batches.max_open=none", "nonsense"])
def test_where_nobody_can_say_nothing_is_offered(wrong, tmp_path, monkeypatch, capsys):
    shell_in(tmp_path, monkeypatch, capsys, root=tmp_path / "nowhere")

    assert offered("show", "") == {}
    assert offered("show", "--set", wrong, "") == {}
