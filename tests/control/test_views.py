"""Settings as they are told, and read again by whoever is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchd.configuration import load
from batchd.control.views import config_as_dict, settings_said
from batchd.settings import Provenance, Settings

EVERY = Path(__file__).parents[2] / "config" / "batchd.toml"


def told(settings: Settings) -> Any:
    return json.loads(
        msgspec.json.encode(config_as_dict(settings, Provenance(), source="the daemon"))
    )


@pytest.mark.parametrize("settings", [Settings(), load(EVERY, (), {}, EVERY.parent).settings])
def test_what_is_told_is_what_counts(settings):
    assert settings_said(told(settings)) == settings


def test_what_is_set_comes_through(tmp_path: Path):
    given = ("batches.max_open=7", 'batches.enqueued_tokens={"m" = 5}', "budget.per_day=1.5")
    settings = load(None, given, {}, tmp_path).settings

    assert settings_said(told(settings)) == settings


def test_a_daemon_of_another_version_is_understood_as_far_as_both_know():
    said = told(Settings())
    said["settings"] = [one for one in said["settings"] if one["name"] != "batches.max_open"]
    said["settings"].append({"name": "batches.unheard_of", "value": 1, "origin": "x"})

    assert settings_said(said) == Settings()


def test_nonsense_is_no_settings():
    said = told(Settings())
    said["settings"][0]["value"] = {"no": "path"}
    said["settings"][1]["value"] = "no switch"

    with pytest.raises(msgspec.ValidationError):
        settings_said(said)


def test_a_password_in_an_address_is_not_told():
    settings = msgspec.convert({"openai": {"base_url": "https://me:hunter22@x.org/v1"}}, Settings)

    assert "hunter22" not in str(told(settings))
