"""Every command's exit codes, as docs/commands.md tells them, beside a real daemon and without one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from batchd.cli import COMMANDS
from batchd.cli.exits import Exit
from tests.acceptance.processes import processes_in
from tests.cli.places import Shell, shell_in
from tests.houses import delivered, drop, requests

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"

#: Code and command line, beside a daemon that serves the jobs of `served`.
BESIDE = [
    (0, "status"), (0, "jobs --state held"), (0, "spend"), (0, "logs"), (0, "logs {done}"),
    (0, "why {done}"), (4, "why nothing"), (2, "why 0"),
    (0, "show {part}"), (4, "show zzzzzz"),
    (0, "check good.jsonl"), (1, "check odd.jsonl"), (4, "check nothing"),
    (4, "logs nothing"),
    (0, "task list"), (0, "task new new --from table.csv"), (6, "task new plain --from table.csv"),
    (0, "task check plain table.csv"), (1, "task check plain other.csv"),
    (4, "task check plain nothing.csv"), (4, "task check nothing table.csv"),
    (1, "task new new --from odd.jsonl"), (4, "task try nothing table.csv"),
    (4, "task try plain nothing.csv"), (1, "task try plain other.csv"),
    (0, "wait {done}"), (3, "wait {part}"), (1, "wait {bad}"), (3, "wait {done} {bad}"),
    (4, "wait zzzzzz"), (7, "wait {open} --timeout 0"),
    (6, "retry {done}"), (4, "retry zzzzzz"), (3, "retry {part} {done} --dry-run"),
    (0, "retry {part} --dry-run"), (2, "retry"),
    (6, "submit folder"), (4, "submit nothing"), (3, "submit nothing folder"),
    (7, "submit good.jsonl --wait --timeout 0"),
    (0, "hold {open}"), (6, "hold {done}"), (4, "hold zzzzzz"), (3, "hold {open} {done}"),
    (0, "release {open}"), (4, "release zzzzzz"), (3, "release {open} zzzzzz"),
    (0, "pause"), (0, "resume"),
    (0, "cancel {done}"), (4, "cancel zzzzzz"), (3, "cancel {done} zzzzzz"),
    (75, "recover"), (75, "run"),
    (0, "doctor --offline"), (0, "config show"), (0, "config show --running"), (0, "config check --offline"),
    (0, "version"), (0, "completion bash"), (0, "bugreport --output new.tar.gz"),
    (74, "bugreport --output taken.tar.gz"),
]  # fmt: skip

#: The same where no daemon runs, in a root with a job that was never finished.
ALONE = [
    (0, "status"), (0, "jobs"), (0, "spend"), (0, "why {open}"), (0, "show {open}"),
    (5, "wait {open}"), (5, "cancel {open}"), (5, "hold {open}"), (5, "release {open}"),
    (5, "config show --running"), (5, "pause"), (5, "resume"), (5, "reload"), (5, "submit good.jsonl --wait"),
    (0, "submit good.jsonl"), (1, "doctor --offline --set folders.root=nowhere"),
    (78, "config check --offline --set folders.root=nowhere"),
    (78, "run --set openai.api_key_file=nothing"),
    (0, "init made"), (3, "init made --acl nobody-of-this-name"),
]  # fmt: skip

#: What would need other users, another system, or half a minute, and where it is shown.
ELSEWHERE = {
    ("cancel", 6): "tests/control/test_app.py",
    ("release", 6): "tests/control/test_app.py",
    ("pause", 6): "tests/control/test_app.py",
    ("resume", 6): "tests/control/test_app.py",
    ("reload", 6): "tests/control/test_serving.py",
    ("reload", 1): "tests/cli/test_reload.py",
    ("service", 1): "tests/cli/test_service.py",
    ("service", 4): "tests/cli/test_service.py",
    ("service", 6): "tests/cli/test_service.py",
    ("demo", 1): "tests/cli/test_demo.py",
    ("task", 3): "tests/cli/test_task.py",
    ("sandbox", 1): "tests/sandbox/test_sandbox_command.py",
}
TELLS = {"check", "why", "wait", "task"}  #: what they are asked is the answer: it goes to stdout
EVERYWHERE = {0, 2, 70, 74, 75, 77, 78, 130}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A root with jobs of every kind, its daemon, and the ids."""
    folder = tmp_path_factory.mktemp("served")
    root = folder / "root"
    with processes_in(folder) as processes:
        fault = [{"custom_ids": ["part-2"], "status": 400}]
        sandbox = processes.sandbox(request_faults=fault)
        daemon = processes.daemon(root, sandbox, batches__poll_max_seconds=5)
        drop(root, "done.jsonl", requests(2))
        drop(root, "part.jsonl", requests(3, prefix="part"))
        drop(root, "bad.jsonl", [b"nonsense"])
        processes.wait(lambda: len(delivered(root)) == 3, what="three folders")
        sandbox.faults(batch_seconds_by_model={"slow": 600})
        drop(root, "open.jsonl", requests(1, prefix="open", model="slow"))
        opened = processes.wait_for_event(daemon, "batch.opened", job=_claimed(processes, root))
        jobs = {name: path.name.rpartition("--")[2][:6] for name, path in delivered(root).items()}
        yield root, {**jobs, "open": opened["job"]}, processes


def _claimed(processes, root) -> str:
    """The job that is on its way: the one whose work folder has a file of that name."""
    found = processes.wait(
        lambda: list((root / "var/work").glob("*/in/open.jsonl")), what="a claim"
    )
    return str(found[0].parents[1].name)


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys, served) -> Shell:
    root, jobs, _ = served
    run = shell_in(tmp_path / "here", monkeypatch, capsys, root=root)
    monkeypatch.setenv("BATCHD_FOLDERS__MIN_FREE_BYTES", "1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-acceptance-no-real-key")
    (line,) = requests(1, prefix="good", model="slow")
    Path("good.jsonl").write_text(json.dumps(line) + "\n")
    Path("odd.jsonl").write_text("nonsense\n")
    Path("taken.tar.gz").touch()
    tasks = root.parent / "tasks"  # beside the daemon's configuration
    monkeypatch.setenv("BATCHD_CONFIG", str(root.parent / "empty.toml"))
    tasks.mkdir(exist_ok=True)
    (tasks / "plain.toml").write_text('model = "gpt-4o-mini"\nprompt = "{{ text }}"\n')
    Path("table.csv").write_text("text\nsome text\n")
    Path("other.csv").write_text("other\nsome text\n")
    Path("folder").mkdir()
    return lambda line: run(*line.format(**jobs).split())


@pytest.mark.processes
@pytest.mark.parametrize(("code", "line"), BESIDE)
def test_beside_a_daemon(shell, code, line):
    said = shell(line)

    assert said.code == code, said
    assert code in (0, 3) or said.err or line.split()[0] in TELLS


@pytest.mark.processes
def test_without_one(shell, served):
    """Last: it ends the daemon that the others need."""
    _, _, processes = served
    processes.end()
    wrong = {line: said for code, line in ALONE if (said := shell(line)).code != code}

    assert wrong == {}


def documented() -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            _, command, _, exits, _ = line.replace("\\|", "/").split("|")
            codes = {int(code) for code in re.findall(r"\b(\d{1,3})\b", exits)}
            found.setdefault(command.strip("` ").split()[0], set()).update(codes)
    return found


def test_the_page_has_every_command_and_no_other():
    assert documented().keys() == COMMANDS.keys()


def test_every_code_that_the_page_tells_is_shown_and_every_one_shown_is_told():
    shown: dict[str, set[int]] = {name: set() for name in COMMANDS}
    for code, line in (*BESIDE, *ALONE):
        shown[line.split()[0]].add(code)
    for name, code in ELSEWHERE:
        shown[name].add(code)
    # As `wait` does, says the row of `submit`.
    told = {
        name: codes | ({5, 7} if name == "submit" else set())
        for name, codes in documented().items()
    }

    assert {name: codes - EVERYWHERE for name, codes in shown.items()} == {
        name: codes - EVERYWHERE for name, codes in told.items()
    }
    assert all((PAGE.parents[1] / file).is_file() for file in ELSEWHERE.values())


def test_every_code_has_its_meaning_on_the_page():
    text = PAGE.read_text()
    assert all(re.search(rf"\b{int(code)}\b", text) for code in Exit)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_wrong_command_line_everywhere(name, tmp_path, monkeypatch, capsys):
    run = shell_in(tmp_path / "here", monkeypatch, capsys)

    assert run(name, "--no-such-option").code == Exit.USAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_a_configuration_that_is_not_there_is_78_wherever_one_is_read(
    name, tmp_path, monkeypatch, capsys
):
    lines = {
        "config": ["show"], "why": ["x"], "show": ["x"], "check": ["x"], "submit": ["x"],
        "wait": ["x"], "retry": ["x"], "task": ["list"], "cancel": ["x"], "hold": ["x"], "release": ["x"],
    }  # fmt: skip
    reads_none = {"demo", "init", "sandbox", "completion", "version", "service"}
    reports = {"doctor": Exit.FAILED, "bugreport": Exit.OK}  # what is wrong is what they tell
    run = shell_in(tmp_path / "here", monkeypatch, capsys)

    said = run(name, *lines.get(name, []), "--config", "nothing.toml")

    if name not in reads_none:
        assert said.code == reports.get(name, Exit.CONFIGURATION), said
