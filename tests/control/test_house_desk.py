"""The daemon looks at its own house: as its own user, with its own settings, and tells no secret."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import pytest

from batchd.configuration.checks import Checks
from batchd.control.client import Refused
from batchd.control.report import Report
from batchd.control.shapes import Findings
from batchd.core.findings import ok
from tests.control.speaking import listening_house, say
from tests.houses import drop, live, request, write_task

KEY = "sk-planted-0123456789abcdef"
PLANTED = ("the-secret-of-our-merger", "quarterlynumbers")


def configured(services, tmp_path: Path, *, text: str = "") -> None:
    """Have the daemon look at a file of its own, and at a key."""
    config = tmp_path / "config" / "batchd.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(text)
    environment = {
        "OPENAI_API_KEY": KEY,
        "BATCHD_FOLDERS__ROOT": str(tmp_path),
        "BATCHD_FOLDERS__MIN_FREE_BYTES": "1",
    }
    services.checks = lambda: Checks(config, (), environment, tmp_path)


def stages(found: Findings) -> dict[str, str]:
    return {one.stage: one.result for one in found.findings}


async def test_the_configuration_is_tried_by_the_daemon_and_nothing_is_left(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        configured(services, tmp_path)
        write_task(tmp_path, "mood")

        found = await say(services, "GET", "config", "check", offline="true", kind=Findings)

        assert stages(found) == {
            "syntax": "ok", "values": "ok", "tasks": "ok", "folders": "ok", "disk": "ok",
            "key": "warning",
        }  # fmt: skip
        assert {one.by for one in found.findings} == {"the daemon"}
        assert found.result == "warning"
        assert not list(tmp_path.rglob(".batchd-check*"))
        assert KEY not in str(found)


async def test_it_reads_its_file_as_it_is_now(tmp_path: Path):
    """As a reload would: what is wrong is told before anybody reloads it."""
    async with listening_house(tmp_path) as services:
        configured(services, tmp_path, text="[batches]\nmax_opne = 1\n")

        found = await say(services, "GET", "config", "check", offline="true", kind=Findings)

        assert (found.result, found.findings[-1].stage) == ("wrong", "values")
        assert "line 2: there is no setting batches.max_opne" in found.findings[-1].text


async def test_a_key_that_somebody_put_where_none_belongs_is_not_told(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        configured(services, tmp_path, text=f'[openai]\nbase_url = "{KEY}"\n')

        found = await say(services, "GET", "config", "check", offline="true", kind=Findings)

        assert found.result == "wrong"
        assert KEY not in str(found)


async def test_the_doctor_looks_at_what_the_daemon_can_see_and_leaves_the_rest(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        configured(services, tmp_path)

        found = await say(services, "GET", "doctor", offline="true", kind=Findings)

        assert {"python", "sqlite", "values", "folders", "files", "rights", "clock"} <= stages(
            found
        ).keys()
        assert not {"daemon", "you", "unit"} & stages(found).keys(), "whoever asks sees these"
        assert not list(tmp_path.rglob(".batchd-doctor*"))


async def test_a_folder_that_the_daemons_user_may_not_write_is_told_with_its_command(tmp_path):
    async with listening_house(tmp_path) as services:
        configured(services, tmp_path)
        (tmp_path / "outbox").rmdir()
        (tmp_path / "outbox").symlink_to("/proc/self/fdinfo")  # not even root can write there

        found = await say(services, "GET", "doctor", offline="true", kind=Findings)

        (rights,) = [one for one in found.findings if one.stage == "rights"]
        assert (rights.result, rights.fix is None) == ("wrong", False)
        assert f"may not write into {tmp_path / 'outbox'}" in rights.text


async def test_two_who_ask_at_once_are_looked_after_one_by_one(tmp_path: Path):
    """A probe is called by the process, and there is one: two at once would meet their own."""
    async with listening_house(tmp_path) as services:
        at_once = [0, 0]  # now, and the most so far

        class Slow:
            def all(self, *, is_offline: bool):
                at_once[0] += 1
                at_once[1] = max(at_once)
                time.sleep(0.05)  # in its own thread, as a slow disk would
                at_once[0] -= 1
                yield ok("disk", "well")

        services.checks = Slow
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(say, services, "GET", "config", "check")

        assert at_once == [0, 1]


async def test_a_report_has_no_word_of_anybodys_and_its_marker_is_in_the_log(
    tmp_path: Path, capsys
):
    prompt, name = PLANTED
    async with listening_house(tmp_path) as services:
        configured(services, tmp_path)
        drop(tmp_path, f"{name}.jsonl", [request("one", text=prompt)])
        await live(services, deliveries=1)
        services.folders.log.parent.mkdir(exist_ok=True)
        line = {"event": "job.claimed", "file": f"{name}.jsonl", "text": prompt, "job": "0tqe86"}
        services.folders.log.write_text(json.dumps(line) + "\nhalf a li")

        report = await say(services, "POST", "bugreport", kind=Report)

        everything = b"".join(content for _, content in report.files()).decode()
        for planted in (*PLANTED, KEY, str(tmp_path)):
            assert planted not in everything
        assert report.marker in capsys.readouterr().out, "as every event, wherever it is logged"
        assert report.made["source"] == "the daemon"
        assert [row["outcome"] for row in report.ledger["count_jobs"]] == ["completed"]
        assert report.log[0]["job"] == "0tqe86"
        assert {one["name"] for one in report.settings} >= {"batches.max_open", "folders.root"}
        assert {name for name, _ in report.files()} == {
            "report.json", "doctor.json", "settings.json", "ledger.json", "log.jsonl",
        }  # fmt: skip


@pytest.mark.parametrize(
    "asked", [("GET", "doctor"), ("GET", "config", "check"), ("POST", "bugreport")]
)
async def test_before_the_house_stands_it_can_look_at_nothing(tmp_path: Path, asked):
    async with listening_house(tmp_path) as services:
        with pytest.raises(Refused, match="just starting"):
            await say(services, *asked)


async def test_a_switch_is_true_or_false(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        configured(services, tmp_path)
        with pytest.raises(Refused) as no:
            await say(services, "GET", "doctor", offline="perhaps")
        assert no.value.code == "invalid"
