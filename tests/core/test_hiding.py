"""Keys and passwords are hidden, and nothing else is."""

from __future__ import annotations

import pytest

from batchd.core.hiding import HIDDEN, redact, without_password


@pytest.mark.parametrize(
    "text",
    ["sk-proj-abcdefgh1234", "Authorization: Bearer abc.def-ghi", "api-key: 0123456789"],
)
def test_what_looks_like_a_key_is_hidden(text):
    hidden = redact(f"401 for {text}, it said")

    assert HIDDEN in hidden
    assert text.rpartition(" ")[2] not in hidden
    assert hidden.startswith("401 for ")


def test_a_secret_is_hidden_whatever_it_looks_like_and_a_short_word_is_none():
    assert redact("it is hunter22 and x", ["hunter22", "x"]) == f"it is {HIDDEN} and x"


def test_what_only_resembles_a_key_stays():
    assert redact("task-force desk-1234567890 sk-1") == "task-force desk-1234567890 sk-1"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@host:8080/v1?key=abc", "https://host:8080/v1"),
        ("https://host/v1", "https://host/v1"),
        ("http://a@b@host", "http://host"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(address, shown):
    assert without_password(address) == shown
