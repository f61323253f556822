"""One event per fact; never a key; and no trouble of the log becomes the daemon's."""

import errno
import fcntl
import io
import json
import logging
import os
import re
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from batchd import logs
from batchd.core.errors import BrokenInvariant, ConfigError
from batchd.logs.handlers import RotatedFile
from batchd.logs.journal import ToJournal, is_there
from batchd.logs.rendering import LONGEST, for_stream
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


# --- the journal


class Journal:
    """One that listens as journald does, and is asked for its entries."""

    def __init__(self, folder: Path) -> None:
        self.address = folder / "journal"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self._socket.settimeout(5)

    def close(self) -> None:
        self._socket.close()

    def entry(self) -> dict[str, str]:
        """The next one, in a datagram or in a sealed file."""
        data, files, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
        if files:
            with os.fdopen(files[0], "rb") as file:
                assert fcntl.fcntl(file, fcntl.F_GET_SEALS) == 15, "or the journal refuses it"
                file.seek(0)
                data = file.read()
        return dict(fields_in(data))


def fields_in(data: bytes) -> Iterator[tuple[str, str]]:
    """By the protocol: NAME=value, or NAME, eight bytes of length, and the value."""
    while data:
        line, _, rest = data.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            length = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + length], rest[9 + length :]
        yield name.decode(), value.decode()
        data = rest


@pytest.fixture
def journal(tmp_path) -> Iterator[Journal]:
    with closing(Journal(tmp_path)) as listening:
        yield listening


def told(journal: Journal, **event) -> dict[str, str]:
    handler = ToJournal(journal.address)
    handler.write(json.dumps({"ts": "2026", "level": "info", "event": "x", **event}))
    handler.close()
    return journal.entry()


def test_the_journal_is_told_a_sentence_and_each_fact_by_itself(journal):
    entry = told(
        journal, level="warning", event="job.warned", job="7k3c9q", bytes=12, warnings={"a": 1}
    )
    assert entry == {
        "MESSAGE": 'job.warned job=7k3c9q bytes=12 warnings={"a": 1}',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "batchd",
        "SYSLOG_PID": str(os.getpid()),
        "BATCHD_EVENT": "job.warned",
        "BATCHD_JOB": "7k3c9q",
        "BATCHD_BYTES": "12",
        "BATCHD_WARNINGS": '{"a": 1}',
    }


def test_a_traceback_is_one_message_of_several_lines(journal):
    entry = told(journal, level="critical", event="process.failed", exception="Traceback\n  x\nE")
    assert (entry["MESSAGE"], entry["PRIORITY"]) == ("process.failed\nTraceback\n  x\nE", "2")


def test_a_value_may_have_line_breaks_and_is_no_field_of_its_own(journal):
    entry = told(journal, text="a\nPRIORITY=0\nb", file="ü\udcff.jsonl")
    assert entry["BATCHD_TEXT"] == "a\nPRIORITY=0\nb"
    assert entry["PRIORITY"] == "6"
    assert entry["BATCHD_FILE"] == "ü\\udcff.jsonl"


def test_a_name_is_one_that_the_journal_keeps(journal):
    names = told(journal, **{"odd-näme": 1, "x" * 100: 2}).keys()
    assert {"BATCHD_ODD_N_ME", ("BATCHD_" + "X" * 100)[:64]} <= names


def test_what_is_too_large_for_a_datagram_goes_as_a_file(journal):
    assert told(journal, text="x" * 400_000)["BATCHD_TEXT"] == "x" * 400_000


def test_a_journal_that_is_gone_hurts_nobody_and_one_that_is_back_is_told(tmp_path):
    handler = ToJournal(tmp_path / "journal")
    record = logging.makeLogRecord({"msg": '{"level": "info", "event": "x"}'})
    handler.emit(record)
    with closing(Journal(tmp_path)) as back:
        handler.emit(record)
        assert back.entry()["BATCHD_EVENT"] == "x"
    handler.close()
    handler.emit(record)


def test_a_journal_that_does_not_listen_holds_nobody_up(journal):
    handler = ToJournal(journal.address)
    record = logging.makeLogRecord({"msg": json.dumps({"level": "info", "event": "x" * 50_000})})
    began = time.monotonic()
    for _ in range(20):  # more than its queue holds, at 50 kB each
        handler.emit(record)
    assert time.monotonic() - began < 20 * 0.2, "the loop is not late by any of them"
    handler.close()


def test_a_line_too_long_for_the_journal_is_shortened_and_still_json(tmp_path, monkeypatch):
    with (tmp_path / "journal").open("w") as stream:
        there = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        render = for_stream("json", stream)
        facts = {f"fact{number}": "ü" * 7_000 for number in range(200)}
        line = render(None, "", {"level": "warning", "event": "x", "job": "7k3c9q", **facts})

    assert isinstance(line, str)
    assert len(line.encode()) <= LONGEST
    event = json.loads(line.removeprefix("<4>"))
    assert (event["event"], event["job"]) == ("x", "7k3c9q")
    assert event["fact0"].endswith("… (7000 characters)")
    assert event["cut"] == "the whole is in var/log/batchd.jsonl"


def test_each_line_of_a_console_has_its_level_where_it_leads_to_the_journal(tmp_path, monkeypatch):
    with (tmp_path / "journal").open("w") as stream:
        there = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        event = {"ts": "2026-01-01T00:00:00+00:00", "level": "error", "event": "x"}
        render = for_stream("console", stream)
        text = str(render(None, "", {**event, "exception": "Traceback\n  y\nE: z"}))
        plain = str(for_stream("json", stream, target="stderr")(None, "", dict(event)))

    assert len(text.splitlines()) >= 4
    assert all(line.startswith("<3>") for line in text.splitlines())
    assert plain.startswith("{")


def test_where_no_journal_listens_stderr_gets_it_and_says_so(file):
    if is_there():
        pytest.skip("a journal listens on this machine")
    out = io.StringIO()
    with logs.configure(Logging(target="journal"), file, stream=out):
        log.info("job.claimed")

    events = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert events == ["log.unavailable", "job.claimed"]
