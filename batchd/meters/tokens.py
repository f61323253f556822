"""Counts tokens with the models' own vocabularies, where they are installed (`batchd[tokens]`).

The vocabularies take 70 MB of memory and half a tenth of a second, so nothing is loaded before the
first text comes. Counting holds the interpreter's lock: texts are handed over in slices, so that
the loop gets its turn in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

from batchd.core.contents import Count
from batchd.core.errors import ConfigError

#: Characters counted in one go: some 3 ms (measured 22 to 32 MB/s); bpe-openai refuses megabytes.
_SLICE = 64 * 1024
#: In order of preference: the first counts without building the tokens, and has no wheel for 3.14.
LIBRARIES = ("rs_bpe", "bpe_openai")

_Encoder = Callable[[str], int]


def counter(choice: str, *, libraries: Sequence[str] = LIBRARIES) -> Count | None:
    """Return what counts by `batches.count_tokens`; None where tokens are estimated by bytes.

    Raises `ConfigError` when exactness is asked for and not installed.
    """
    if choice == "bytes":
        return None
    library = next((name for name in libraries if find_spec(name)), None)
    if library is None and choice == "exact":
        raise ConfigError(
            'batches.count_tokens is "exact", and no vocabulary is installed:'
            ' pip install "batchd[tokens]", or set it to "auto" or "bytes"'
        )
    return TokenCounter(library) if library else None


class TokenCounter:
    """Counts the tokens of a text; made once, and used by one thread after another."""

    def __init__(self, library: str) -> None:
        self._load = {"rs_bpe": _rs_bpe, "bpe_openai": _bpe_openai}[library]
        self._encoders: dict[str, _Encoder] = {}

    def __call__(self, vocabulary: str, text: str) -> int:
        """Count one text. `vocabulary` is "o200k_base" or "cl100k_base"."""
        encoder = self._encoders.get(vocabulary)
        if encoder is None:
            encoder = self._encoders[vocabulary] = self._load(vocabulary)
        return sum(_count(encoder, piece) for piece in _slices(text))


def _count(encoder: _Encoder, piece: str) -> int:
    try:
        return encoder(piece)
    except UnicodeEncodeError:  # half of a surrogate pair is no text; the provider counts something
        return encoder(piece.encode("utf-8", "replace").decode())


def _slices(text: str) -> Iterator[str]:
    """Cut a long text before a blank, where a token begins nearly always."""
    start = 0
    while len(text) - start > _SLICE:
        end = text.rfind(" ", start + 1, start + _SLICE)
        end = end if end > 0 else start + _SLICE
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def _rs_bpe(vocabulary: str) -> _Encoder:
    from rs_bpe.bpe import openai  # late: 70 MB

    encoder = openai.o200k_base() if vocabulary == "o200k_base" else openai.cl100k_base()
    return lambda text: int(encoder.count(text))


def _bpe_openai(vocabulary: str) -> _Encoder:
    from bpe_openai import get_encoding  # late: 70 MB

    encoding = get_encoding(vocabulary)
    return lambda text: len(encoding.encode_ordinary(text))
