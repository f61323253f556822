"""Counting with the models' own vocabularies. The expected numbers are the reference tokenizer's."""

from importlib.util import find_spec

import pytest

from batchd.core.errors import ConfigError
from batchd.meters import tokens
from batchd.meters.tokens import TokenCounter, counter

pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")
INSTALLED = [name for name in tokens.LIBRARIES if find_spec(name)]
needs_one = pytest.mark.skipif(
    not INSTALLED, reason='no vocabulary is installed: pip install "batchd[tokens]"'
)


@pytest.fixture(scope="module", params=tokens.LIBRARIES)
def count(request):
    if request.param not in INSTALLED:
        pytest.skip(f"{request.param} is not installed")
    return TokenCounter(request.param)


@pytest.mark.parametrize(
    ("text", "older", "newer"),
    [
        ("", 0, 0),
        ("hello world", 2, 2),
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
        ("<|endoftext|>", 7, 7),
    ],
)
def test_texts_have_the_tokens_that_the_provider_counts(count, text, older, newer):
    """As in the provider's cookbook, "How to count tokens"; special tokens are plain text here."""
    assert (count("cl100k_base", text), count("o200k_base", text)) == (older, newer)


def test_a_long_text_is_counted_in_slices(count):
    text = "hello world, " * 100_000
    assert count("o200k_base", text) == pytest.approx(3 * 100_000, abs=40)
    assert count("o200k_base", "a" * 1_000_000) > 0


def test_half_a_surrogate_pair_counts_something(count):
    assert count("o200k_base", "hi \ud83d there") > 2


@pytest.mark.parametrize("length", [1, tokens._SLICE, tokens._SLICE + 1, 3 * tokens._SLICE + 5])
@pytest.mark.parametrize("word", ["abc ", "abc"])
def test_slices_are_the_text_and_begin_where_words_do(length, word):
    text = (word * length)[:length]
    pieces = list(tokens._slices(text))
    assert "".join(pieces) == text
    assert all(len(piece) <= tokens._SLICE for piece in pieces)
    if " " in text:
        assert all(piece.startswith(" ") for piece in pieces[1:])


def test_no_text_is_one_empty_slice():
    assert list(tokens._slices("")) == [""]


def test_bytes_counts_nothing():
    assert counter("bytes") is None


@needs_one
@pytest.mark.parametrize("choice", ["auto", "exact"])
def test_what_is_installed_is_used(choice):
    found = counter(choice)
    assert found is not None
    assert found("o200k_base", "hello world") == 2


def test_without_one_exactness_is_the_operators_to_provide():
    none = ("batchd_has_no_such_library",)
    assert counter("auto", libraries=none) is None
    with pytest.raises(ConfigError, match=r"pip install"):
        counter("exact", libraries=none)
