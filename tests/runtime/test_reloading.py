"""New settings hold whole, as far as they can while it runs, or not at all."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from batchd.configuration.values import TYPES
from batchd.core.errors import ConfigError
from batchd.runtime.reloading import LIVE, Reloading, hangups, merge, obey_hangups
from batchd.runtime.services import Services
from batchd.runtime.systemd import Manager
from batchd.settings import Batches, Inbox, OpenAI, Retries, Settings
from batchd.spool.bulletin import reload_says
from tests.fakes.manager import ServiceManager
from tests.houses import open_services

DOCS = Path(__file__).parents[2] / "docs" / "service.md"


def changed(before: Settings, **sections: dict[str, object]) -> Settings:
    replaced = {
        name: msgspec.structs.replace(getattr(before, name), **values)
        for name, values in sections.items()
    }
    return msgspec.structs.replace(before, **replaced)


def reloading(
    services: Services,
    read: Callable[[], Settings],
    *,
    manager: Manager | None = None,
    handed: list[Settings] | None = None,
) -> Reloading:
    handed = [] if handed is None else handed
    return Reloading(services, manager or Manager(), read, handed.append)


async def until(fact: Callable[[], bool]) -> None:
    """Wait for what a thread or the kernel brings about: nothing of ours tells of it."""
    with anyio.fail_after(5):
        while not fact():  # noqa: ASYNC110
            await anyio.sleep(0.01)


# What is decided


def test_every_setting_that_can_change_is_one():
    assert LIVE - TYPES.keys() == set()


def test_what_can_change_does_and_the_rest_stays_as_it_was():
    before = Settings()
    wanted = changed(
        before,
        inbox={"max_claimed": 3},
        openai={"timeout_seconds": 5.0, "delete_files": True},
        batches={"max_open": 7, "count_tokens": "bytes"},
        logging={"format": "json", "level": "debug"},
    )
    change = merge(before, wanted)
    assert change.applied == (
        "inbox.max_claimed",
        "openai.delete_files",
        "batches.max_open",
        "logging.level",
    )
    assert change.waiting == ("openai.timeout_seconds", "batches.count_tokens", "logging.format")
    assert change.settings.inbox == Inbox(max_claimed=3)
    assert change.settings.openai == OpenAI(delete_files=True)
    assert change.settings.batches == Batches(max_open=7)
    assert change.settings.retries == Retries()


def test_what_waits_for_a_restart_is_named_again_at_the_next_reload():
    wanted = changed(Settings(), openai={"purpose": "batch-api"})
    assert merge(merge(Settings(), wanted).settings, wanted).waiting == ("openai.purpose",)


# What is done


async def test_a_good_configuration_is_handed_on_and_told_to_log_manager_and_folder(tmp_path):
    handed: list[Settings] = []
    with ServiceManager.at(tmp_path) as manager:
        async with open_services(tmp_path) as services:
            wanted = changed(services.settings, jobs={"keep_days": 5.0}, openai={"purpose": "x"})
            told = Manager(manager.address)
            await reloading(services, lambda: wanted, manager=told, handed=handed).once()

            assert services.settings.jobs.keep_days == 5.0
            assert services.settings.openai.purpose == "batch"
            assert handed == [services.settings]
            said = reload_says(services.folders.var)
            assert said is not None
            assert (said.pid, said.applied, said.waiting, said.problem) == (
                os.getpid(),
                ("jobs.keep_days",),
                ("openai.purpose",),
                None,
            )
            # What a loop sleeps for was said by the old settings.
            assert all([await bell.wait(0) for bell in services.bells.values()])
        await until(lambda: bool(manager.said("READY")))
    names = [list(heard.fields) for heard in manager.heard]
    assert names == [["RELOADING", "MONOTONIC_USEC"], ["READY"]]


async def test_a_broken_configuration_keeps_the_old_one_whole(tmp_path):
    def broken() -> Settings:
        raise ConfigError("batchd.toml, line 3: batches.max_open must be a whole number")

    handed: list[Settings] = []
    async with open_services(tmp_path) as services:
        before = services.settings
        await reloading(services, broken, handed=handed).once()

        assert services.settings is before
        assert handed == []
        said = reload_says(services.folders.var)
        assert said is not None
        assert said.problem == "batchd.toml, line 3: batches.max_open must be a whole number"


async def test_what_came_of_it_may_find_no_room_and_hurts_nobody(tmp_path):
    async with open_services(tmp_path) as services:
        (services.folders.var / "reload.json.part").mkdir()
        wanted = changed(services.settings, jobs={"keep_days": 5.0})
        await reloading(services, lambda: wanted).once()
        assert services.settings.jobs.keep_days == 5.0


async def test_each_hangup_is_a_reload_and_one_that_comes_early_is_kept(tmp_path):
    async with open_services(tmp_path) as services:
        reads = 0

        def read() -> Settings:
            nonlocal reads
            reads += 1
            return services.settings

        with hangups() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_obey, signals, reloading(services, read))
                await until(lambda: reads == 1)
                os.kill(os.getpid(), signal.SIGHUP)
                await until(lambda: reads == 2)
                tasks.cancel_scope.cancel()
    assert reads == 2


async def _obey(signals, work: Reloading) -> None:
    await obey_hangups(signals, work, with_terminal=False)


# A terminal that is closed

CHILD = """
import signal, sys
if "nohup" in sys.argv: signal.signal(signal.SIGHUP, signal.SIG_IGN)
from batchd.runtime.reloading import has_terminal, leaves_with_terminal
print(leaves_with_terminal(), has_terminal())
"""


@pytest.mark.parametrize(("how", "said"), [("", "True True"), ("nohup", "False True")])
def test_a_terminal_that_is_closed_ends_us_unless_we_were_told_not_to_mind(how, said):
    ours, theirs = pty.openpty()
    try:
        command = ["setsid", "--ctty", "--wait", sys.executable, "-c", CHILD, how]
        run = subprocess.run(
            command, stdin=theirs, capture_output=True, text=True, check=False, timeout=30
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert (run.stdout.strip(), run.stderr) == (said, "")


def test_a_service_has_no_terminal_and_stays():
    command = ["setsid", "--wait", sys.executable, "-c", CHILD]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (run.stdout.strip(), run.stderr) == ("False False", "")


# The page


def test_the_page_names_what_can_change():
    text = DOCS.read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- live:begin -->")
    block, _, _ = rest.partition("<!-- live:end -->")
    assert {name.strip("`, \n") for name in block.split() if "." in name} == LIVE
