"""`config/batchd.toml` and `settings.py` say the same, kept equal here and not by hand."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from batchd.configuration import load
from batchd.configuration.values import DEFAULTS, TYPES
from batchd.settings import OpenAI, Settings

FILE = Path(__file__).parent.parent / "config" / "batchd.toml"
UNSET = {name for name, default in DEFAULTS.items() if default is None}


def written() -> dict[str, object]:
    content = tomllib.loads(FILE.read_text())
    return {f"{section}.{key}": v for section, keys in content.items() for key, v in keys.items()}


def test_the_file_names_every_setting_that_has_a_default_and_no_other():
    assert written().keys() == DEFAULTS.keys() - UNSET


def test_every_value_in_the_file_is_the_default(tmp_path):
    settings = load(FILE, [], {}, tmp_path).settings

    assert msgspec.structs.replace(settings, folders=Settings().folders) == Settings()
    assert settings.folders.root == tmp_path


def test_what_has_no_default_is_in_the_file_as_a_comment():
    commented = set()
    section = ""
    for line in FILE.read_text().splitlines():
        if header := re.fullmatch(r"\[([\w.]+)\]", line):
            section = header[1]
        elif key := re.match(r"# (\w+) = ", line):
            commented.add(f"{section}.{key[1]}")

    assert commented == UNSET


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_setting_is_explained_above_it(name):
    key = name.partition(".")[2]
    place = re.compile(rf"(?:# )?{key} =|\[{re.escape(name)}\]")
    lines = FILE.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if place.match(line))
    above = lines[at - 1]

    assert above.startswith("# ") or key == "poll_max_seconds"  # shares its sentence with poll_min


@pytest.mark.parametrize(
    ("days", "seconds"), [(7.0, 604_800), (0.0, None), (0.001, 3_600), (365.0, 2_592_000)]
)
def test_files_are_kept_as_long_as_the_provider_can_be_told(days: float, seconds: int | None):
    assert OpenAI(keep_files_days=days).keep_files_seconds == seconds
