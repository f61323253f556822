"""One event per fact; never a key; and no trouble of the log becomes the daemon's."""

import errno
import io
import json
import logging
import os
import re
import resource
import sys
from pathlib import Path

import pytest
import structlog

from batchd import logs
from batchd.core.errors import BrokenInvariant, ConfigError
from batchd.logs.handlers import RotatedFile
from batchd.logs.rendering import for_stream
from batchd.settings import Logging

log = structlog.get_logger("batchd.stages.claim")
KEYS = [
    "sk-proj-abcDEF123_456-789",
    "sk-12345678",
    "sk-svcacct-aaaaaaaaaaaa",
    "sess-aaaaaaaaaaaa",
    "Incorrect API key provided: sk-abcd*****wxyz.",
    "Authorization: Bearer abc.def-ghi",
    "api-key: 0123456789abcdef",
    "{'authorization': 'Bearer abcdefgh'}",
]


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "var" / "log" / "batchd.jsonl"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# --- the shape


def test_an_event_is_one_json_line_with_its_facts_in_order(file):
    out = io.StringIO()
    with logs.configure(Logging(), file, stream=out):
        log.info("job.claimed", job="7k3c9q", file=Path("a.jsonl"), bytes=12)

    assert out.getvalue() == file.read_text()
    (line,) = lines(file)
    assert list(line) == ["ts", "level", "event", "job", "file", "bytes"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
    assert {**line, "ts": ""} == {
        "ts": "",
        "level": "info",
        "event": "job.claimed",
        "job": "7k3c9q",
        "file": "a.jsonl",
        "bytes": 12,
    }


def test_a_loggers_name_is_its_modules_wherever_it_was_made(file):
    with logs.configure(Logging(level="debug"), file, stream=io.StringIO()):
        structlog.get_logger("batchd").debug("a")
        log.bind(job="x").debug("b")

    assert [line["event"] for line in lines(file)] == ["a", "b"]


def test_an_exception_is_text_in_the_same_line(file):
    with logs.configure(Logging(), file, stream=io.StringIO()):
        try:
            raise LookupError("nothing there")
        except LookupError:
            log.exception("stage.failed", stage="plan")

    (line,) = lines(file)
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("LookupError: nothing there")


def test_the_level_is_the_least_that_is_written(file):
    with logs.configure(Logging(level="warning"), file, stream=io.StringIO()):
        log.info("quiet")
        log.warning("heard")

    assert [line["event"] for line in lines(file)] == ["heard"]


def test_a_name_that_is_no_utf8_and_a_number_that_is_none_are_still_json(file):
    out = io.StringIO()
    with logs.configure(Logging(), file, stream=out):
        log.info("job.claimed", file=os.fsdecode(b"f\xfcr.jsonl"), nan=float("nan"), of={1: b"x"})

    (line,) = lines(file)
    assert (line["file"], line["nan"], line["of"]) == ("f\\udcfcr.jsonl", "nan", {"1": "b'x'"})


def test_no_value_is_endless(file):
    with logs.configure(Logging(), file, stream=io.StringIO()):
        log.info("big", text="x" * 100_000)

    assert lines(file)[0]["text"].endswith("xxx… (100000 characters)")
    assert file.stat().st_size < 10_000


def test_what_nobody_expected_is_in_the_file_and_what_is_known_is_not(file):
    for error in (ConfigError("x"), KeyboardInterrupt(), LookupError("y"), BrokenInvariant("z")):
        logging_it = logs.configure(Logging(), file, stream=io.StringIO())
        with pytest.raises(type(error)), logging_it:
            raise error

    assert [line["event"] for line in lines(file)] == ["process.failed", "process.failed"]
    assert [line["exception"].splitlines()[-1] for line in lines(file)] == [
        "LookupError: y",
        "batchd.core.errors.BrokenInvariant: z",
    ]


# --- never a key


@pytest.mark.parametrize("key", KEYS)
def test_what_looks_like_a_key_is_hidden_wherever_it_turns_up(file, key):
    out = io.StringIO()
    secret = re.split(r"[ ']", key.rstrip("'}."))[-1]
    with logs.configure(Logging(format="console"), file, stream=out):
        log.info(f"event {key}", text=key, deep={"list": [key], key: 1}, file=Path(key))
        logging.getLogger("openai").error("refused: %s", key)
        try:
            raise ValueError(key)
        except ValueError:
            log.exception("failed")

    assert secret not in out.getvalue()
    assert secret not in file.read_text()
    assert len(lines(file)) == 3


def test_the_key_in_use_is_hidden_whatever_it_looks_like(file):
    with logs.configure(Logging(), file, stream=io.StringIO(), secrets=("geheimnisvoll", "x")):
        log.info("oops", text="my geheimnisvoll x")

    assert lines(file)[0]["text"] == "my [hidden] x"


@pytest.mark.parametrize("text", ["desk-lamps-and-more.jsonl", "ask-me-anything", "sk-1", "bearer"])
def test_what_only_resembles_a_key_is_left_alone(text):
    assert logs.redact(text) == text


# --- other people's loggers


def test_other_peoples_loggers_are_heard_from_warning_on(file, monkeypatch):
    with logs.configure(Logging(level="debug"), file, stream=io.StringIO()):
        openai = logging.getLogger("openai")
        monkeypatch.setattr(openai, "level", logging.DEBUG)  # as OPENAI_LOG=debug does on import
        openai.debug("Request options: %s", {"json_data": {"input": "a prompt"}})
        logging.getLogger("watchfiles.main").info("3 changes detected")
        logging.getLogger("httpx2").info("HTTP Request: POST")
        logging.getLogger("asyncio").warning("Executing %s took %.1f s", "x", 0.5)

    (line,) = lines(file)
    assert line["logger"] == "asyncio"
    assert line["event"] == "Executing x took 0.5 s"


# --- for people


def test_a_terminal_gets_colour_unless_it_asks_for_none(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain, piped = Terminal(), Terminal(), io.StringIO()
    with logs.configure(Logging(), None, stream=coloured):
        log.info("job.claimed", job="7k3c9q")
    monkeypatch.setenv("NO_COLOR", "1")
    with logs.configure(Logging(), None, stream=plain):
        log.info("job.claimed", job="7k3c9q")
    with logs.configure(Logging(format="console"), None, stream=piped):
        log.info("job.claimed", job="7k3c9q")

    assert "\x1b[" in coloured.getvalue()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d \[info     \] job\.claimed      job=7k3c9q\n", plain.getvalue()
    )
    assert "\x1b[" not in piped.getvalue()


def test_the_journal_gets_a_priority_before_the_json(tmp_path, monkeypatch):
    with (tmp_path / "journal").open("w") as stream:
        there = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        line = for_stream("auto", stream)(None, "", {"level": "error", "event": "x"})
        monkeypatch.setenv("JOURNAL_STREAM", "1:1")
        elsewhere = for_stream("auto", stream)(None, "", {"level": "error", "event": "x"})

    assert line == '<3>{"level": "error", "event": "x"}'
    assert elsewhere == '{"level": "error", "event": "x"}'


# --- the file


def rotated(file: Path, *, max_bytes: int = 100, keep_files: int = 2) -> RotatedFile:
    return RotatedFile(file, max_bytes=max_bytes, keep_files=keep_files)


def test_a_full_file_is_put_aside_and_the_oldest_goes(file):
    handler = rotated(file)
    for number in range(9):
        handler.write(f"{number}" * 49)  # 50 with its end: two to a file
    handler.close()

    assert sorted(one.name for one in file.parent.iterdir()) == [
        "batchd.jsonl",
        "batchd.jsonl.1",
        "batchd.jsonl.2",
    ]
    assert [one.read_text()[0::50] for one in sorted(file.parent.iterdir())] == ["8", "67", "45"]


def test_other_limits_hold_from_the_next_line_on(file):
    handler = rotated(file)
    handler.write("0" * 49)
    handler.limit(max_bytes=60, keep_files=1)
    for number in range(1, 4):
        handler.write(f"{number}" * 49)
    handler.close()

    assert [one.read_text()[:1] for one in sorted(file.parent.iterdir())] == ["3", "2"]


def test_the_level_can_be_another_while_it_runs(file):
    with logs.configure(Logging(), file, stream=io.StringIO()) as kept:
        kept.adopt(Logging(level="warning"))
        log.info("unheard")
        kept.adopt(Logging(level="debug"))
        log.debug("heard")

    assert [line["event"] for line in lines(file)] == ["heard"]


def test_a_line_longer_than_the_file_may_be_is_written_all_the_same(file):
    handler = rotated(file)
    handler.write("x" * 1000)
    handler.write("y")
    handler.close()

    assert file.read_text() == "y\n"
    assert len(file.with_name("batchd.jsonl.1").read_text()) == 1001


def test_a_file_that_was_moved_or_removed_is_begun_anew(file):
    handler = rotated(file)
    handler.write("a")
    file.rename(file.with_name("moved"))
    handler.write("b")
    file.unlink()
    file.parent.joinpath("moved").unlink()
    file.parent.rmdir()
    handler.write("c")
    handler.close()

    assert file.read_text() == "c\n"


def test_where_a_file_cannot_be_put_aside_it_grows(file):
    handler = rotated(file, keep_files=1)
    file.with_name("batchd.jsonl.1").mkdir(parents=True)
    for number in range(9):
        handler.write(f"{number}" * 49)
    handler.close()

    assert file.stat().st_size == 9 * 50


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_disk_costs_lines_and_nothing_else():
    with logs.configure(Logging(), Path("/dev/full"), stream=Full()):
        log.info("not heard")


def test_a_line_whose_arguments_do_not_fit_is_its_writers_slip_and_not_our_crash(file):
    handler = rotated(file)
    handler.handle(logging.LogRecord("asyncio", 30, "", 1, "%s %s", ("too few",), None))
    handler.close()

    assert not file.exists()


def test_a_line_that_was_cut_by_a_full_disk_spoils_no_other(file):
    handler = rotated(file, max_bytes=10_000)
    handler.write('{"a": 1}')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 4, limits[1]))
    try:
        handler.write('{"torn": 1}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    handler.write('{"b": 1}')
    handler.close()

    assert file.read_text() == '{"a": 1}\n{"to\n{"b": 1}\n'


def test_a_line_that_was_cut_in_an_earlier_life_spoils_no_other(file):
    file.parent.mkdir(parents=True)
    file.write_text('{"to')
    handler = rotated(file)
    handler.write('{"b": 1}')
    handler.close()

    assert file.read_text() == '{"to\n{"b": 1}\n'


def test_a_log_that_cannot_be_written_is_said_on_the_stream(tmp_path):
    (tmp_path / "var").write_text("a file where a folder should be")
    out = io.StringIO()
    with logs.configure(Logging(), tmp_path / "var" / "log" / "batchd.jsonl", stream=out):
        log.info("job.claimed")

    said, claimed = (json.loads(line) for line in out.getvalue().splitlines())
    assert said["event"] == "log.unavailable"
    assert said["level"] == "warning"
    assert claimed["event"] == "job.claimed"


def test_a_closed_stream_hurts_nobody(file):
    out = io.StringIO()
    with logs.configure(Logging(), file, stream=out):
        out.close()
        log.info("job.claimed")

    assert [line["event"] for line in lines(file)] == ["job.claimed"]


def test_closing_leaves_everything_as_it_was(file):
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    logs.configure(Logging(), file, stream=io.StringIO()).close()

    assert (list(root.handlers), root.level) == before
    assert not structlog.is_configured()
