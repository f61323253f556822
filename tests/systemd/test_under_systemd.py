"""The installed wheel under a real systemd, against the sandbox: as an operator has it.

One machine for all tests, in this order: each leaves the service running.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.houses import requests
from tests.systemd.box import BATCHD, Box, box, install_wheel, why_not

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

KEY = "sk-under-systemd-0123456789"
SPOOL = "/var/spool/batchd"
UNIT = "batchd.service"
SANDBOX = f"""
[Service]
ExecStart={BATCHD} sandbox --port 8765 --batch-seconds 2
DynamicUser=yes
"""
#: Quick, for a test; all else is as it is shipped.
QUICK = """
[Service]
RestartSec=200ms
WatchdogSec=4s
Environment=OPENAI_BASE_URL=http://127.0.0.1:8765/v1
Environment=BATCHD_INBOX__SETTLE_SECONDS=0.5 BATCHD_INBOX__SCAN_SECONDS=0.5
Environment=BATCHD_BATCHES__POLL_MIN_SECONDS=0.3 BATCHD_BATCHES__POLL_MAX_SECONDS=1
Environment=BATCHD_BATCHES__DOUBT_SECONDS=1 BATCHD_FOLDERS__MIN_FREE_BYTES=0
"""
CAP_LEASE = 1 << 28  # linux/capability.h


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One with the wheel installed, the provider's stand-in, and two people."""
    folder = tmp_path_factory.mktemp("box")
    opt = install_wheel(folder)
    with box(folder, opt) as booted:
        booted.write("/etc/systemd/system/sandbox.service", SANDBOX)
        booted.run("systemctl", "start", "sandbox")
        for name in ("alice", "mallory"):
            booted.run("useradd", "--create-home", name)
        yield booted


@pytest.fixture(scope="module")
def service(machine: Box) -> Box:
    """The five commands of docs/service.md; the first is the wheel."""
    said = machine.run(BATCHD, "service", "install")
    assert f"wrote /etc/systemd/system/{UNIT}" in said
    key = "/etc/batchd/credentials/openai-api-key"
    assert f"install -m 600 /dev/stdin {key}" in said
    machine.run("install", "-m", "600", "/dev/stdin", key, stdin=f"{KEY}\n")
    machine.write(f"/etc/systemd/system/{UNIT}.d/quick.conf", QUICK)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "batchd")
    machine.run("usermod", "-aG", "batchd-submit", "alice")
    return machine


def drop(machine: Box, name: str, count: int = 3) -> None:
    """Alice drops a file by cp, as people do."""
    lines = "".join(json.dumps(line) + "\n" for line in requests(count, prefix=name))
    machine.write(f"/home/alice/{name}.jsonl", lines)
    machine.run_as("alice", f"cp ~alice/{name}.jsonl {SPOOL}/inbox/")


def result(machine: Box, name: str) -> str:
    """Wait for its folder; return where it is. One that failed has another name."""
    find = ("find", f"{SPOOL}/outbox", "-name", f"{name}--*", "-not", "-name", "*.*")
    return str(machine.wait(lambda: machine.run(*find), what=f"a result of {name}")).strip()


def pid_of(machine: Box) -> int:
    return int(machine.show(UNIT, "MainPID"))


def logged(machine: Box, event: str, *, pid: int) -> list[dict[str, Any]]:
    """The journal's entries of one event of one process, asked for by fields."""
    return machine.journal("-u", UNIT, f"_PID={pid}", f"BATCHD_EVENT={event}")


def is_failed(machine: Box) -> bool:
    return machine.show(UNIT, "ActiveState") == "failed"


def is_ready_again(machine: Box, before: int) -> bool:
    return pid_of(machine) not in (0, before) and machine.show(UNIT, "ActiveState") == "active"


def asked_of_the_sandbox(machine: Box) -> dict[str, Any]:
    script = (
        "import urllib.request as u;"
        "print(u.urlopen('http://127.0.0.1:8765/sandbox/ledger?executions=1').read().decode())"
    )
    said = json.loads(machine.run("/usr/bin/python3", "-c", script))
    return dict(said)


def test_five_commands_lead_to_a_result_that_somebody_else_can_read(service):
    """R64, R68."""
    assert service.show(UNIT, "ActiveState") == "active"
    assert service.show(UNIT, "Type") == "notify"
    drop(service, "first")
    folder = result(service, "first")
    lines = service.run_as("alice", f"cat {folder}/results.jsonl").splitlines()
    assert [json.loads(line)["ok"] for line in lines] == [True] * 3
    service.wait(lambda: "0 open" in service.show(UNIT, "StatusText"), what="a status text")


def test_a_member_asks_from_anywhere_and_gets_a_table_answered_by_a_ready_task(service):
    """docs/service.md, "Tables and tasks": init puts them where this service reads them."""
    said = service.run(BATCHD, "init", SPOOL)
    assert "its settings are /etc/batchd/batchd.toml" in said
    assert "/var/spool/batchd/config" not in service.run("find", SPOOL, "-maxdepth", "1")
    sample = "/etc/batchd/tasks/samples/sentiment.csv"
    service.run_as("alice", f"cp {sample} {SPOOL}/inbox/sentiment/")

    folder = result(service, "sentiment")

    head = service.run_as("alice", f"head -n 1 {folder}/results.csv").strip()
    assert head == "review_id,product,text,reason,sentiment,batchd_error"
    told = service.run_as("alice", f"cd && {BATCHD} status")
    assert "running for" in told
    assert f"root {SPOOL}" in told
    why = service.run_as("alice", f"cd && {BATCHD} why sentiment.csv || true")
    assert "is there (completed)" in why


def test_a_member_without_a_key_tries_a_task_and_asks_how_the_service_is(service):
    """The key is the service's credential, and what its user may do nobody else can try."""
    service.run_as(
        "alice",
        "cp /etc/batchd/tasks/samples/sentiment.csv ~alice/mine.csv && chmod 600 ~alice/mine.csv",
    )

    tried = json.loads(
        service.run_as(
            "alice", f"cd ~alice && {BATCHD} task try sentiment mine.csv --rows 2 --json"
        )
    )
    spent = json.loads(service.run_as("alice", f"cd ~alice && {BATCHD} spend --by task --json"))
    found = json.loads(service.run_as("alice", f"cd ~alice && {BATCHD} doctor --json || true"))[
        "findings"
    ]
    checked = service.run_as("alice", f"cd ~alice && {BATCHD} config check")
    service.run_as("alice", f"cd ~alice && {BATCHD} bugreport --output report.tar.gz")

    assert tried["source"] == "the daemon"
    assert [row["ok"] for row in tried["rows"]] == [True, True]
    assert sum(line["requests"] for line in spent["lines"] if line["key"] == "sentiment") >= 2
    assert [one for one in found if one["result"] == "wrong"] == []
    by = {one["stage"]: one["by"] for one in found}
    assert (by["key"], by["rights"], by["you"]) == ("the daemon", "the daemon", "this command")
    assert "the credential " in checked
    assert " lists batches" in checked
    assert KEY not in service.run_as("alice", "cd ~alice && tar xzOf report.tar.gz")


def test_the_journal_finds_a_job_by_its_fields(service):
    """R37, R50: and a line that has them is still told by whom."""
    (delivered,) = service.journal(
        "-u", UNIT, "BATCHD_EVENT=job.delivered", "BATCHD_FILE=first.jsonl"
    )
    job = delivered["BATCHD_JOB"]
    assert delivered["MESSAGE"].startswith(f"job.delivered job={job} ")
    assert (delivered["_SYSTEMD_UNIT"], delivered["_TRANSPORT"]) == (UNIT, "journal")
    events = [entry["BATCHD_EVENT"] for entry in service.journal(f"BATCHD_JOB={job}")]
    assert events[0] == "job.claimed"
    assert events[-1] == "job.delivered"
    assert service.journal(f"BATCHD_JOB={job}", "PRIORITY=3") == []


def test_nobody_outside_the_group_gets_in(service):
    _, said = service.try_to(
        *("setpriv", "--reuid", "mallory", "--regid", "mallory", "--init-groups"),
        *("sh", "-c", f"ls {SPOOL}; cat {SPOOL}/outbox/*/results.jsonl; touch {SPOOL}/inbox/x"),
    )
    assert said.count("Permission denied") == 3
    said = service.run_as("alice", f"touch {SPOOL}/outbox/x || touch {SPOOL}/var/x", check=False)
    assert said.count("Permission denied") == 2


def test_a_file_that_another_user_still_writes_is_not_taken(service):
    """What CAP_LEASE is for: without it the kernel would not say."""
    lines = "".join(json.dumps(line) + "\n" for line in requests(2, prefix="slow"))
    service.write("/home/alice/slow.jsonl", lines)
    script = f"exec 3> {SPOOL}/inbox/slow.jsonl; cat ~alice/slow.jsonl >&3; sleep 5"
    service.run(
        *("systemd-run", "--quiet", "--unit=slow", "--uid=alice", "--gid=alice"),
        *("-p", "SupplementaryGroups=batchd-submit", "sh", "-c", script),
    )
    is_still_written = lambda: service.show("slow.service", "ActiveState") == "active"
    looks = 0
    while is_still_written():
        there = service.try_to("test", "-e", f"{SPOOL}/inbox/slow.jsonl")[0] == 0
        assert there or not is_still_written()
        looks += 1
    assert looks > 10
    result(service, "slow")


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_dies_or_hangs_is_started_again_and_the_job_completes_once(service, how):
    """R26: -9 is a crash; -STOP a hang, which only the watchdog notices."""
    before = pid_of(service)
    drop(service, how, count=5)
    opened = lambda: logged(service, "batch.opened", pid=before)
    earlier = len(opened())
    service.wait(lambda: len(opened()) > earlier, what="an open batch")
    service.run("kill", "-KILL" if how == "killed" else "-STOP", str(before))
    service.wait(lambda: is_ready_again(service, before), what="another process", within=60)
    if how == "stopped":
        messages = [entry["MESSAGE"] for entry in service.journal("-u", UNIT)]
        assert any("Watchdog timeout" in str(message) for message in messages)
    folder = result(service, how)
    lines = service.run("cat", f"{folder}/results.jsonl").splitlines()
    assert [json.loads(line)["ok"] for line in lines] == [True] * 5
    executions = asked_of_the_sandbox(service)["executions"]
    ours = {name: times for name, times in executions.items() if name.startswith(f"{how}-")}
    assert ours == {f"{how}-{number}": 1 for number in range(1, 6)}


def test_a_reload_holds_at_once(service):
    before = pid_of(service)
    config = "/etc/batchd/batchd.toml"
    service.run("sed", "-i", "s/^max_claimed = .*/max_claimed = 77/", config)
    service.run("systemctl", "reload", "batchd")
    said = [str(entry["MESSAGE"]) for entry in service.journal("-u", UNIT)]
    assert any("changed: inbox.max_claimed" in message for message in said)
    assert pid_of(service) == before
    assert service.show(UNIT, "ActiveState") == "active"


def test_a_reload_with_a_broken_configuration_fails_and_keeps_the_old_one(service):
    """R48, F82."""
    before, config = pid_of(service), "/etc/batchd/batchd.toml"
    service.run("cp", config, "/etc/batchd/kept")
    service.run("sed", "-i", 's/^max_claimed = .*/max_claimed = "many"/', config)
    code, _ = service.try_to("systemctl", "reload", "batchd")
    assert code != 0
    said = [str(entry["MESSAGE"]) for entry in service.journal("-u", UNIT)]
    line = service.run("grep", "-n", "^max_claimed", config).partition(":")[0]
    assert any(f"batchd.toml, line {line}: inbox.max_claimed must be" in one for one in said)
    assert (pid_of(service), service.show(UNIT, "ActiveState")) == (before, "active")

    service.run("kill", "-HUP", str(before))
    kept = lambda: logged(service, "config.kept", pid=before)
    (entry,) = service.wait(kept, what="the daemon's own word")
    assert entry["PRIORITY"] == "4"
    drop(service, "kept")
    result(service, "kept")
    service.run("cp", "/etc/batchd/kept", config)
    service.run("systemctl", "reload", "batchd")


def test_the_key_is_nowhere_to_be_seen(service):
    """R65."""
    pid = pid_of(service)
    for place in ("environ", "cmdline"):
        content = service.run("cat", f"/proc/{pid}/{place}")
        assert content
        assert KEY not in content
    assert "CREDENTIALS_DIRECTORY=/run/credentials/batchd.service" in service.run(
        "cat", f"/proc/{pid}/environ"
    ).split("\0")
    assert KEY not in service.run("systemctl", "show", UNIT)
    assert KEY not in service.run("journalctl", "--no-pager")
    assert KEY not in service.run("grep", "-ra", "sk-", f"{SPOOL}/var/log", check=False)
    assert service.show(UNIT, "LimitCORE") == "0"
    secret = service.run_as("alice", f"cat /run/credentials/{UNIT}/openai-api-key", check=False)
    assert "Permission denied" in secret
    inside = [*("nsenter", "-t", str(pid), "--mount"), "cat"]
    assert service.try_to(*inside, "/etc/batchd/credentials/openai-api-key")[0] != 0


def test_nothing_that_it_can_write_to_can_be_executed(service):
    """Tried in its own mounts, as its own user: the score of `systemd-analyze` does not tell."""
    script = """
        find / -xdev -type d -writable >/tmp/found 2>/dev/null || true
        awk '{print $5}' /proc/self/mountinfo | while read -r mount; do
            find "$mount" -xdev -maxdepth 3 -type d -writable 2>/dev/null || true
        done >>/tmp/found
        sort -u /tmp/found | grep -v '^/proc' | while read -r place; do
            cp /bin/true "$place/probe" 2>/dev/null || continue
            "$place/probe" 2>/dev/null && echo "executable: $place"
            rm "$place/probe"
            echo "$place"
        done
    """
    who = ["setpriv", "--reuid", "batchd", "--regid", "batchd", "--init-groups", "sh", "-c"]
    said = service.run("nsenter", "-t", str(pid_of(service)), "--mount", *who, script)
    places = said.splitlines()
    assert {f"{SPOOL}/inbox", f"{SPOOL}/var", "/tmp", "/var/tmp", "/dev/shm"} <= set(places)
    assert [place for place in places if place.startswith("executable")] == []
    elsewhere = [p for p in places if not p.startswith((SPOOL, "/tmp", "/var/tmp", "/dev"))]
    assert elsewhere == []


def test_the_process_has_no_right_but_the_one_it_needs(service):
    status = service.run("cat", f"/proc/{pid_of(service)}/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {int(facts[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {CAP_LEASE}
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    uid = service.run("id", "-u", "batchd").strip()
    assert facts["Uid"].split() == [uid] * 4


def test_a_missing_key_stops_it_for_good_and_says_what_is_missing(service):
    """243: an operator is wanted, and no restart helps."""
    key = "/etc/batchd/credentials/openai-api-key"
    service.run("mv", key, f"{key}.gone")
    service.try_to("systemctl", "restart", "batchd")
    service.wait(lambda: is_failed(service), what="a failed unit")
    assert service.show(UNIT, "ExecMainStatus") == "243"
    restarts = service.show(UNIT, "NRestarts")
    service.run("sleep", "1")
    assert service.show(UNIT, "NRestarts") == restarts
    service.run("mv", f"{key}.gone", key)
    service.run("systemctl", "reset-failed", "batchd")
    service.run("systemctl", "start", "batchd")


def test_a_wrong_configuration_is_no_loop_and_a_crash_every_moment_ends(service):
    """F94: 78 is not started again; whoever crashes five times in ten minutes stays down."""
    config = "/etc/batchd/batchd.toml"
    service.run("cp", config, "/etc/batchd/kept")
    service.write(config, "[batches]\nmax_opne = 3\n")
    service.try_to("systemctl", "restart", "batchd")
    service.wait(lambda: is_failed(service), what="a failed unit")
    assert service.show(UNIT, "ExecMainStatus") == "78"
    assert service.show(UNIT, "NRestarts") == "0"
    said = [str(entry["MESSAGE"]) for entry in service.journal("-u", UNIT)]
    assert any("line 2: there is no setting batches.max_opne; did you mean" in one for one in said)

    service.run("cp", "/etc/batchd/kept", config)
    service.run("systemctl", "reset-failed", "batchd")
    service.run("systemctl", "start", "batchd")
    kills = 0
    while (before := pid_of(service)) and kills < 10:
        service.run("kill", "-KILL", str(before))
        kills += 1
        is_over = lambda b=before: is_ready_again(service, b) or is_failed(service)
        service.wait(is_over, what="another process, or none any more")
    assert kills == 5
    said = [str(entry["MESSAGE"]) for entry in service.journal("-u", UNIT)]
    assert any("Start request repeated too quickly" in message for message in said)
    service.run("systemctl", "reset-failed", "batchd")
    service.run("systemctl", "start", "batchd")


def test_it_works_with_the_dropins_that_close_it_further(service):
    said = service.run(
        BATCHD, "service", "install", "--with", "60-root-directory", "--with", "70-egress-proxy"
    )
    assert "up to date" in said
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "restart", "batchd")
    inside = ["nsenter", "-t", str(pid_of(service)), "--mount", "--root", "ls"]
    assert "No such file" in service.try_to(*inside, "/srv")[1]
    assert "IPAddressDeny=any" in service.run("systemctl", "cat", UNIT)
    drop(service, "closed")
    result(service, "closed")
    service.run("sh", "-c", f"rm /etc/systemd/system/{UNIT}.d/[67]*.conf")
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "restart", "batchd")


def test_another_instance_has_a_root_and_a_key_of_its_own(service):
    """R66."""
    service.run(BATCHD, "service", "install", "--instance", "eu")
    service.write("/etc/systemd/system/batchd@eu.service.d/quick.conf", QUICK)
    service.write("/etc/batchd/credentials/eu.openai-api-key", f"{KEY}-eu\n", mode="600")
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "enable", "--now", "batchd@eu")
    lines = json.dumps(requests(1)[0])
    service.run_as("alice", f"echo '{lines}' > {SPOOL}-eu/inbox/there.jsonl")
    found = f"ls -d {SPOOL}-eu/outbox/there--*"
    service.wait(lambda: service.try_to("sh", "-c", found)[0] == 0, what="a result of its own")
    service.run(BATCHD, "service", "uninstall", "--instance", "eu")
    assert service.show("batchd@eu.service", "ActiveState") == "inactive"
    assert service.show(UNIT, "ActiveState") == "active"


def test_a_persons_own_service_needs_nobody_else(service):
    """R66: under the manager of one user, with its folders at home."""
    uid = service.run("id", "-u", "alice").strip()
    if service.try_to("systemctl", "start", f"user@{uid}")[0] != 0:
        pytest.skip("no manager of a user can be started here")
    say = f"export XDG_RUNTIME_DIR=/run/user/{uid} HOME=/home/alice\n"
    service.run_as("alice", f"{say}{BATCHD} service install --user")
    settings = "/home/alice/.config"
    service.run_as("alice", f"umask 77; echo {KEY}-alice > {settings}/batchd/openai-api-key")
    quick = f"{settings}/systemd/user/{UNIT}.d"
    service.run_as("alice", f"mkdir {quick}; cat > {quick}/quick.conf <<'END'\n{QUICK}\nEND\n")
    service.run_as("alice", f"{say}systemctl --user daemon-reload")
    service.run_as("alice", f"{say}systemctl --user start batchd")
    lines = json.dumps(requests(1)[0])
    service.run_as("alice", f"echo '{lines}' > ~alice/batchd/inbox/mine.jsonl")
    found = "ls -d /home/alice/batchd/outbox/mine--*"
    service.wait(lambda: service.try_to("sh", "-c", found)[0] == 0, what="a result at home")
    service.run_as("alice", f"{say}systemctl --user reload batchd")
    service.run_as("alice", f"{say}{BATCHD} service uninstall --user")


def test_what_is_taken_away_leaves_what_is_yours(service):
    said = service.run(BATCHD, "service", "uninstall")
    assert "These stay, and are yours to remove" in said
    assert service.show(UNIT, "ActiveState") == "inactive"
    assert "first--" in service.run("ls", f"{SPOOL}/outbox")
    service.run("test", "-e", "/etc/batchd/credentials/openai-api-key")
