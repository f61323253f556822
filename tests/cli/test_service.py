"""`batchd service`: what is put where, what is left alone, and that the units hold what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from batchd.cli import batchd
from batchd.cli.exits import Exit, invoke
from batchd.cli.service_files import DROPINS, Service, is_as_placed, marked, shipped
from batchd.cli.service_program import must_be_within_reach
from batchd.configuration import load
from batchd.core.errors import ConfigError
from tests.nobody import NOBODY

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = ("batchd.service", "batchd@.service", "batchd.user.service")
needs_analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not on this machine"
)

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys, monkeypatch, tmp_path) -> Say:
    """Run a command: code, stdout, stderr. Nobody's home is touched."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = invoke(batchd, ["service", *arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def package(say: Say, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Run a command as one who builds a package, for whom nothing of the machine is touched."""

    def run(verb: str, *more: str) -> tuple[int, str, str]:
        program = ["--program", "/usr/bin/batchd"] if verb == "install" else []
        return say(verb, "--root", str(tmp_path), *program, *more)

    return run


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


# What is put where


def test_a_service_is_a_unit_a_user_its_folders_and_a_first_configuration(package, tmp_path):
    code, out, err = package("install")
    assert (code, err) == (Exit.OK, "")
    assert files(tmp_path) == {
        "etc/systemd/system/batchd.service",
        "etc/sysusers.d/batchd.conf",
        "etc/tmpfiles.d/batchd.conf",
        "etc/batchd/batchd.toml",
    }
    assert [line.split()[0] for line in out.splitlines()] == ["wrote"] * 4
    config = tmp_path / "etc/batchd/batchd.toml"
    assert load(config, [], {}, tmp_path).settings.folders.root == Path("/var/spool/batchd")
    unit = (tmp_path / "etc/systemd/system/batchd.service").read_text()
    assert unit.endswith(shipped("batchd.service"))


def test_an_instance_has_names_of_its_own_everywhere(package, tmp_path):
    assert package("install", "--instance", "eu-1", "--with", "60-root-directory")[0] == Exit.OK
    assert files(tmp_path) == {
        "etc/systemd/system/batchd@.service",
        "etc/systemd/system/batchd@eu-1.service.d/60-root-directory.conf",
        "etc/sysusers.d/batchd.conf",
        "etc/tmpfiles.d/batchd-eu-1.conf",
        "etc/batchd/eu-1.toml",
    }
    tmpfiles = (tmp_path / "etc/tmpfiles.d/batchd-eu-1.conf").read_text()
    assert len(re.findall(r"^d /var/spool/batchd-eu-1[ /]", tmpfiles, re.MULTILINE)) == 5
    assert not re.search(r"^d /var/spool/batchd[ /]", tmpfiles, re.MULTILINE)
    dropin = tmp_path / "etc/systemd/system/batchd@eu-1.service.d/60-root-directory.conf"
    assert "BindPaths=/var/spool/batchd-eu-1\n" in dropin.read_text()
    config = tmp_path / "etc/batchd/eu-1.toml"
    assert load(config, [], {}, tmp_path).settings.folders.root == Path("/var/spool/batchd-eu-1")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-x", "ä", "../x"])
def test_a_name_that_systemd_would_have_to_escape_is_refused(package, name):
    code, _, err = package("install", "--instance", name)
    assert code == Exit.CONFIGURATION
    assert "may have letters, digits" in err


def test_a_package_has_its_files_below_its_prefix(say, tmp_path):
    code, _, _ = say("install", "--root", str(tmp_path), "--prefix", "/usr")
    assert code == Exit.OK
    assert files(tmp_path) == {
        "usr/lib/systemd/system/batchd.service",
        "usr/lib/sysusers.d/batchd.conf",
        "usr/lib/tmpfiles.d/batchd.conf",
        "etc/batchd/batchd.toml",
    }
    unit = (tmp_path / "usr/lib/systemd/system/batchd.service").read_text()
    assert "ExecStart=/usr/bin/batchd run" in unit


def test_the_unit_starts_the_program_that_is_named(package, tmp_path):
    package("install", "--program", "/opt/other/bin/batchd")
    unit = (tmp_path / "etc/systemd/system/batchd.service").read_text()
    assert "ExecStart=/opt/other/bin/batchd run --config" in unit
    assert "ExecReload=/opt/other/bin/batchd reload --wait" in unit
    assert "/usr/bin/batchd" not in unit


def test_a_persons_service_lies_in_their_home(say, tmp_path):
    code, out, _ = say("install", "--user", "--program", "/usr/bin/batchd")
    home = tmp_path / "home"
    assert code == Exit.OK
    assert files(home) == {
        ".config/systemd/user/batchd.service",
        ".config/batchd/batchd.toml",
    }
    assert (home / "batchd").stat().st_mode & 0o777 == 0o750
    assert "systemctl --user enable --now batchd" in out
    config = home / ".config/batchd/batchd.toml"
    assert load(config, [], {}, tmp_path).settings.folders.root == home / "batchd"


def test_a_dry_run_changes_nothing_and_says_what_would_be_done(package, tmp_path):
    code, out, _ = package("install", "--dry-run")
    assert code == Exit.OK
    assert "would write /etc/systemd/system/batchd.service" in out
    assert files(tmp_path) == set()


# What is left alone


def test_twice_is_once(package, tmp_path):
    package("install")
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)}
    code, out, _ = package("install")
    assert code == Exit.OK
    assert out.count("is up to date") == 3
    assert "kept /etc/batchd/batchd.toml: it is yours" in out
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)}


def test_an_older_ones_file_is_updated_and_one_changed_by_hand_is_not(package, tmp_path):
    package("install")
    unit = tmp_path / "etc/systemd/system/batchd.service"
    unit.write_text(marked("[Service]\n# of an older version\n"))
    assert "updated /etc/systemd/system/batchd.service" in package("install")[1]

    ours = unit.read_text()
    unit.write_text(ours.replace("MemoryMax=1G", "MemoryMax=4G"))
    code, out, err = package("install")
    assert (code, out) == (Exit.REFUSED, "")
    assert "/etc/systemd/system/batchd.service is not as batchd placed it" in err
    assert "MemoryMax=4G" in unit.read_text()

    code, out, _ = package("install", "--force")
    assert code == Exit.OK
    assert "the changed one is batchd.service.old" in out
    assert unit.read_text() == ours
    assert "MemoryMax=4G" in unit.with_name("batchd.service.old").read_text()


def test_taking_it_away_leaves_settings_data_and_what_was_changed(package, tmp_path):
    package("install", "--with", "70-egress-proxy")
    sysusers = tmp_path / "etc/sysusers.d/batchd.conf"
    sysusers.write_text("# mine\n")
    code, out, _ = package("uninstall")
    assert code == Exit.OK
    assert files(tmp_path) == {"etc/batchd/batchd.toml", "etc/sysusers.d/batchd.conf"}
    assert not (tmp_path / "etc/systemd/system/batchd.service.d").exists()
    assert "left /etc/sysusers.d/batchd.conf: it was changed by hand" in out
    assert "These stay, and are yours to remove:\n  /var/spool/batchd " in out

    assert package("uninstall", "--force")[0] == Exit.OK
    assert files(tmp_path) == {"etc/batchd/batchd.toml"}
    code, _, err = package("uninstall")
    assert code == Exit.NOT_FOUND
    assert "is not installed" in err


def test_what_another_instance_needs_stays(package, tmp_path):
    package("install", "--instance", "a")
    package("install", "--instance", "b")
    package("uninstall", "--instance", "a")
    assert files(tmp_path) >= {
        "etc/systemd/system/batchd@.service",
        "etc/sysusers.d/batchd.conf",
        "etc/tmpfiles.d/batchd-b.conf",
    }
    assert not (tmp_path / "etc/tmpfiles.d/batchd-a.conf").exists()
    package("uninstall", "--instance", "b")
    assert files(tmp_path) == {"etc/batchd/a.toml", "etc/batchd/b.toml"}


def test_uninstalling_dry_takes_nothing_away(package, tmp_path):
    package("install", "--with", "70-egress-proxy")
    before = files(tmp_path)
    assert "would remove /etc/systemd/system/batchd.service" in package("uninstall", "--dry-run")[1]
    assert files(tmp_path) == before


def test_our_mark_tells_whether_somebody_changed_a_file():
    assert is_as_placed(marked("a\n"))
    assert not is_as_placed(marked("a\n") + "b\n")
    assert not is_as_placed("a\n")


# Who may, and from where


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to stop being root")
def test_without_root_it_says_so_and_exits_77(say):
    os.seteuid(NOBODY)
    try:
        code, out, err = say("install", "--program", "/usr/bin/batchd")
    finally:
        os.seteuid(0)
    assert (code, out) == (Exit.PERMISSION, "")
    assert "takes root: sudo" in err
    assert "--user" in err


def test_a_person_has_no_instances(say):
    code, _, err = say("install", "--user", "--instance", "a")
    assert code == Exit.USAGE
    assert "--user goes with neither --instance nor --prefix" in err


@pytest.mark.parametrize("place", ["/home/ann/venv/bin/batchd", "/root/x/batchd", "/tmp/x/batchd"])
def test_a_program_that_the_service_could_not_see_is_refused_with_a_way_out(place):
    with pytest.raises(ConfigError, match="does not see") as refused:
        must_be_within_reach([Path(place)], of_everybody=True)
    assert "python3 -m venv /opt/batchd" in str(refused.value)
    if not place.startswith("/tmp"):
        must_be_within_reach([Path(place)], of_everybody=False)


def test_a_program_behind_a_closed_folder_is_refused_with_its_name(tmp_path):
    program = tmp_path / "closed" / "batchd"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o755)
    with pytest.raises(ConfigError, match="is closed to other users"):
        must_be_within_reach([program], of_everybody=True, temporary=())


# The units


def lines_of(name: str) -> list[str]:
    text = (SYSTEMD / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_template_is_the_unit_with_other_names():
    swaps = {
        "batchd (%i)": "batchd",
        "/etc/batchd/credentials/%i.": "/etc/batchd/credentials/",
        "/etc/batchd/%i.toml": "/etc/batchd/batchd.toml",
        "/var/spool/batchd-%i": "/var/spool/batchd",
        "batchd@%i": "batchd",
        "jobs (%i)": "jobs",
    }
    lines = lines_of("batchd@.service")
    for theirs, ours in swaps.items():
        lines = [line.replace(theirs, ours) for line in lines]
    assert lines == lines_of("batchd.service")


@pytest.mark.parametrize("name", UNITS)
def test_every_line_that_could_surprise_has_its_reason(name):
    """A reason may stand once, where the same line stands in another unit."""
    explained, before = set(), ""
    for line in (SYSTEMD / "batchd.service").read_text().splitlines():
        if before.startswith("#") and not before.startswith("# ---"):
            explained.add(line.partition("=")[0])
        before = line
    surprising = {"Type", "RestartPreventExitStatus", "ReadWritePaths", "NoExecPaths", "MemoryMax"}
    assert surprising <= explained
    assert surprising <= {line.partition("=")[0] for line in lines_of(name)}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """All units in one folder, with a program that is there."""
    for name in UNITS:
        text = (SYSTEMD / name).read_text().replace("/usr/bin/batchd", shutil.which("true"))
        (tmp_path / name.replace("@.", "@eu.")).write_text(text)
    return tmp_path


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    runtime = folder / "runtime"  # of a user's manager; an empty one will do
    runtime.mkdir(mode=0o700, exist_ok=True)
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_COLORS": "0"},
    )


@needs_analyze
@pytest.mark.parametrize("unit", ["batchd.service", "batchd@eu.service", "batchd.user.service"])
def test_systemd_reads_each_unit_without_a_word(units, unit):
    """R63. Without --recursive-errors=no an unknown key is a warning, and the exit code 0."""
    who = ["--user"] if ".user." in unit else []
    ran = analyze("verify", *who, "--man=no", "--recursive-errors=no", f"./{unit}", folder=units)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@needs_analyze
def test_a_slip_in_a_unit_would_be_noticed(units):
    unit = units / "batchd.service"
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilegs="))
    ran = analyze("verify", "--man=no", "--recursive-errors=no", "./batchd.service", folder=units)
    assert ran.returncode == 1
    assert "NoNewPrivilegs" in ran.stderr


@needs_analyze
@pytest.mark.parametrize(
    ("unit", "most"),  # in tenths
    [
        ("batchd.service", 15),
        ("batchd@eu.service", 15),
        # 0.4 of it is a wrong guess: that a user's unit runs as root. 1.7 of 257.
        ("batchd.user.service", 17),
    ],
)
def test_each_unit_is_as_closed_as_it_can_be(units, unit, most):
    """R63."""
    who = ["--user"] if ".user." in unit else []
    ran = analyze(
        *who, "security", "--offline=true", f"--threshold={most}", f"./{unit}", folder=units
    )
    assert ran.returncode == 0, ran.stdout


@needs_analyze
@pytest.mark.parametrize("name", DROPINS)
def test_each_dropin_goes_with_the_unit(units, name):
    if name == "40-notify-reload" and _version() < 253:
        pytest.skip("this systemd does not know Type=notify-reload yet")
    folder = units / "batchd.service.d"
    folder.mkdir()
    shutil.copy(SYSTEMD / "dropins" / f"{name}.conf", folder)
    ran = analyze("verify", "--man=no", "--recursive-errors=no", "./batchd.service", folder=units)
    assert (ran.returncode, ran.stderr) == (0, "")
    ran = analyze("security", "--offline=true", "--threshold=15", "./batchd.service", folder=units)
    assert ran.returncode == 0, ran.stdout


def _version() -> int:
    ran = subprocess.run(
        ["systemd-analyze", "--version"], capture_output=True, text=True, check=True
    )
    return int(ran.stdout.split()[1])


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="systemd-tmpfiles is not here")
def test_systemd_reads_users_and_folders_without_a_word(package, tmp_path):
    package("install")
    (tmp_path / "var").mkdir()
    users = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert users.returncode == 0, users.stderr
    assert "batchd" in (tmp_path / "etc/passwd").read_text()
    if os.getuid() == 0:
        ran = subprocess.run(
            ["systemd-tmpfiles", "--create", f"--root={tmp_path}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        modes = {
            name: oct((tmp_path / "var/spool/batchd" / name).stat().st_mode & 0o7777)
            for name in (".", "inbox", "inbox/.tmp", "outbox", "var")
        }
        assert modes == {
            ".": "0o2750",
            "inbox": "0o2770",
            "inbox/.tmp": "0o2770",
            "outbox": "0o2750",
            "var": "0o2750",
        }


def test_a_service_knows_its_own_names():
    machine, eu = Service("/b"), Service("/b", instance="eu")
    assert (machine.unit, machine.root, machine.key) == (
        "batchd",
        Path("/var/spool/batchd"),
        Path("/etc/batchd/credentials/openai-api-key"),
    )
    assert (eu.unit, eu.key) == ("batchd@eu", Path("/etc/batchd/credentials/eu.openai-api-key"))
