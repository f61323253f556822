"""What a request's body weighs: input tokens, texts to embed, and what is expected to come back.

Everything here is for planning: what may be queued, how a file is cut, what it may cost. Input
tokens are exact where a counter is given and the body has nothing but texts; all else is estimated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

NOTHING = Raw(b"null")

#: Counts the tokens of a text: name of the vocabulary ("o200k_base"), text.
Count = Callable[[str, str], int]

_BYTES_PER_TOKEN = 4  # the usual estimate for English text; reference K.3
_PER_MESSAGE, _PER_REPLY = 4, 3  # tokens around each message, and before the answer; reference K.3
#: Tokens of an image: of 1,024 x 1,024 pixels at high detail (85 + 4 tiles of 170), and at low
#: detail. The provider's guide "Images and vision", "Calculating costs". Its bytes say nothing.
_IMAGE, _SMALL_IMAGE = 765, 85
_IMAGES = ("image_url", "input_image")
_INLINE = b";base64,"
_NO_IMAGE_BELOW = 16 * 1024  # bytes of a line: there it is not worth looking for one
#: Members of messages, items and parts whose texts the model reads.
_READ = ("content", "text", "refusal", "name", "arguments", "output", "tool_calls", "function")
#: Vocabularies by model: everything before gpt-4o, and embeddings, has the older one.
_OLDER = re.compile(r"(ft:)?(gpt-4(-|$)|gpt-3\.5|gpt-35|text-embedding-)")
_NEWER = re.compile(r"(ft:)?(gpt-(4o|4\.|[5-9])|chatgpt-|o[1-9](-|$)|gpt-oss|omni-)")

#: By model: how many numbers a vector has (the provider's guide "Embeddings").
_DIMENSIONS = {"text-embedding-ada-002": 1_536, "text-embedding-3-small": 1_536}
_MOST_DIMENSIONS = 3_072  # text-embedding-3-large; a model that isn't known counts as this one
#: Bytes of a float32 as JSON text: 22.3 to 22.4 on average over random unit vectors of 1,536 and 3,072
#: numbers, written with 16 or 17 digits, a sign every other time, comma and blank.
_BYTES_PER_NUMBER = 22.5
_BYTES_PER_NUMBER_BASE64 = 5.4  # four bytes become 5 1/3 characters, and a little around them
_BYTES_PER_ANSWER = 500  # of an output line, besides the vectors; recorded lines have 350 to 500

CHAT, RESPONSES, COMPLETIONS = "/v1/chat/completions", "/v1/responses", "/v1/completions"
EMBEDDINGS, MODERATIONS = "/v1/embeddings", "/v1/moderations"

#: What limits the output tokens of a request, by endpoint. Only these endpoints write texts.
_LIMITED_BY = {
    CHAT: ("max_completion_tokens", "max_tokens"),
    RESPONSES: ("max_output_tokens",),
    COMPLETIONS: ("max_tokens",),
}


class Body(msgspec.Struct, gc=False):
    """What batchd looks at in a body; `Raw` parts are skipped, not built."""

    model: str
    stream: bool | None = None
    messages: Raw = NOTHING
    input: Raw = NOTHING
    prompt: Raw = NOTHING
    instructions: Raw = NOTHING
    tools: Raw = NOTHING
    response_format: Raw = NOTHING
    text: Raw = NOTHING
    conversation: Raw = NOTHING
    previous_response_id: Raw = NOTHING
    input_reference: Raw = NOTHING
    # Of any kind: a wrong one fails its own request at the provider, not the batch.
    background: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    n: Any = None
    dimensions: Any = None
    encoding_format: Any = None


class Weight(msgspec.Struct, frozen=True, gc=False):
    """What a request is expected to take."""

    tokens: int  #: input
    is_exact: bool = False  #: whether `tokens` was counted, and nothing in it guessed
    inputs: int = 0  #: texts to embed
    output_tokens: int = 0
    output_bytes: int = 0  #: of an embedding's answer; 0 elsewhere
    is_limited: bool = True  #: whether the request limits its output, where it writes any


def estimated_tokens(size: int) -> int:
    """Estimate the input tokens of a line of `size` bytes: always an estimate, never exact."""
    return -(-size // _BYTES_PER_TOKEN)


def may_have_images(line: bytes) -> bool:
    """Whether an image may lie in the line itself: its size says nothing of its tokens then."""
    return len(line) >= _NO_IMAGE_BELOW and _INLINE in line


def weigh(body: Body, kind: str, line: bytes, *, count: Count | None, default: int) -> Weight:
    """Weigh one request. `kind` is its canonical endpoint; `default` the output tokens to expect
    where it sets no limit."""
    tokens, is_exact = _input_tokens(body, line, count)
    if kind == EMBEDDINGS:
        inputs = inputs_of(body.input)
        return Weight(tokens, is_exact, inputs, output_bytes=_vector_bytes(body, inputs))
    limiting = _LIMITED_BY.get(kind)
    if limiting is None:
        return Weight(tokens, is_exact)
    limit = 0
    for name in limiting:
        if not limit and (given := getattr(body, name)) is not None:
            limit = _whole(given)
    answers = 1 if body.n is None else _whole(body.n) or 1
    if kind == COMPLETIONS:
        answers *= inputs_of(body.prompt) or 1
    expected = (limit or default) * answers
    return Weight(tokens, is_exact, 0, expected, is_limited=limit > 0)


def inputs_of(given: Raw) -> int:
    """Count the texts of an embedding's `input`: a list of numbers is one text in tokens."""
    return _inputs_in(elements_of(given)) if begins(given) == b"[" else 1


def begins(given: Raw) -> bytes:
    """Return the first byte of a value, which says its kind: no need to copy it whole."""
    return bytes(memoryview(given)[:1])


def elements_of(given: Raw) -> list[Raw]:
    """Return the elements of a list that has been read, unbuilt."""
    return _decode_list(given)


def _inputs_in(elements: list[Raw]) -> int:
    is_tokens = bool(elements) and begins(elements[0]) in b"-0123456789"
    return 1 if is_tokens else len(elements)


def vocabulary_of(model: str) -> str | None:
    """Return the vocabulary that counts a model's tokens; None for somebody else's model."""
    if _OLDER.match(model):
        return "cl100k_base"
    return "o200k_base" if _NEWER.match(model) else None


_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_any = msgspec.json.Decoder().decode


def _whole(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _vector_bytes(body: Body, inputs: int) -> int:
    known = _DIMENSIONS.get(body.model, _MOST_DIMENSIONS)
    numbers = inputs * (_whole(body.dimensions) or known)
    is_base64 = body.encoding_format == "base64"
    per_number = _BYTES_PER_NUMBER_BASE64 if is_base64 else _BYTES_PER_NUMBER
    return _BYTES_PER_ANSWER + int(numbers * per_number)


def _input_tokens(body: Body, line: bytes, count: Count | None) -> tuple[int, bool]:
    size = len(line) + 1
    if count is None and not may_have_images(line):
        return estimated_tokens(size), False
    content = _Content()
    for part in (body.messages, body.input, body.prompt, body.instructions):
        content.add(_decode_any(part))
    if count is None:
        return estimated_tokens(size - content.image_bytes) + content.images, False
    vocabulary = vocabulary_of(body.model)
    counted = sum(count(vocabulary or "o200k_base", text) for text in content.texts)
    schemas = [bytes(raw) for raw in (body.tools, body.response_format, body.text)]
    guessed = sum(estimated_tokens(len(one)) for one in schemas if one != b"null")
    is_exact = vocabulary is not None and not guessed and not content.is_guessed
    return counted + content.overhead + content.images + guessed, is_exact


@dataclass(slots=True)
class _Content:
    """The texts of a body, and what is in it besides."""

    texts: list[str] = field(default_factory=list)
    overhead: int = 0  #: tokens around messages, and those given as tokens
    images: int = 0  #: tokens
    image_bytes: int = 0  #: of images that lie in the line itself
    is_guessed: bool = False  #: there is more in it than texts

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self.texts.append(value)
        elif isinstance(value, list):
            self._add_list(value)
        elif isinstance(value, dict):
            self._add_object(value)

    def _add_list(self, value: list[Any]) -> None:
        if value and isinstance(value[0], int):
            self.overhead += len(value)  # a text in tokens already
            return
        if value and isinstance(value[0], dict) and "role" in value[0]:
            self.overhead += _PER_REPLY
        for one in value:
            self.add(one)

    def _add_object(self, value: dict[str, Any]) -> None:
        if value.get("type") in _IMAGES:
            self._add_image(value.get("image_url"), value)
            return
        if "role" in value:
            self.overhead += _PER_MESSAGE
        # A file, a sound, a call: only what is written in it can be counted.
        self.is_guessed |= any(name not in ("role", "type", *_READ[:2]) for name in value)
        for one in _read(value):
            self.add(one)

    def _add_image(self, image: Any, part: dict[str, Any]) -> None:
        url, detail = image, part.get("detail")
        if isinstance(image, dict):
            url, detail = image.get("url"), image.get("detail")
        self.is_guessed = True
        self.images += _SMALL_IMAGE if detail == "low" else _IMAGE
        if isinstance(url, str) and url.startswith("data:"):
            self.image_bytes += len(url)


def _read(value: dict[str, Any]) -> Iterator[Any]:
    return (value[name] for name in _READ if name in value)
