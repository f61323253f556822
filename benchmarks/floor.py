"""The floor: the least that one file's way there and back costs. `python floor.py IN.jsonl OUT.jsonl`

Every line is decoded with a typed decoder, the file goes up from a file object, the output comes
down to disk, is decoded with a typed decoder and written in the order of the input. There is no
durability, no ledger, no second try, no receipt: whoever wants those pays for them on top.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import msgspec
from openai import OpenAI

POLL_SECONDS = 0.2


class Message(msgspec.Struct):
    role: str
    content: str


class Asked(msgspec.Struct):
    model: str
    messages: list[Message]


class Request(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: Asked


class Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Said(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    message: Said
    finish_reason: str | None = None


class Body(msgspec.Struct):
    model: str
    choices: list[Choice]
    usage: Usage


class Response(msgspec.Struct):
    status_code: int
    body: Body


class Answer(msgspec.Struct):
    custom_id: str
    response: Response


class Result(msgspec.Struct):
    custom_id: str
    ok: bool
    output: str | None
    finish_reason: str | None
    model: str
    usage: Usage


def main(source: Path, target: Path) -> None:
    """Take one file there and back."""
    order = ids_of(source)
    scratch = target.with_suffix(".part")
    fetch(OpenAI(), source, scratch)
    results = results_of(scratch)
    with target.open("wb") as sink:
        for custom_id in order:
            sink.write(results[custom_id])
    scratch.unlink()


def ids_of(source: Path) -> list[str]:
    """Decode every line, and keep the order."""
    decode = msgspec.json.Decoder(Request).decode
    with source.open("rb") as lines:
        return [decode(line).custom_id for line in lines]


def fetch(client: OpenAI, source: Path, target: Path) -> None:
    """Upload, create, poll, and stream the output to disk."""
    with source.open("rb") as file:
        uploaded = client.files.create(file=file, purpose="batch")
    batch = client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(POLL_SECONDS)
        batch = client.batches.retrieve(batch.id)
    assert batch.output_file_id, batch.status
    with client.files.with_streaming_response.content(batch.output_file_id) as content:
        content.stream_to_file(target)


def results_of(path: Path) -> dict[str, bytes]:
    """Decode every answer; return its result line by custom_id."""
    decode, encode = msgspec.json.Decoder(Answer).decode, msgspec.json.Encoder().encode
    results: dict[str, bytes] = {}
    with path.open("rb") as lines:
        for line in lines:
            answer = decode(line)
            body = answer.response.body
            (choice,) = body.choices
            results[answer.custom_id] = (
                encode(
                    Result(
                        custom_id=answer.custom_id,
                        ok=True,
                        output=choice.message.content,
                        finish_reason=choice.finish_reason,
                        model=body.model,
                        usage=body.usage,
                    )
                )
                + b"\n"
            )
    return results


if __name__ == "__main__":
    started = time.process_time()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps({"work_seconds": time.process_time() - started, "pid": os.getpid()}))
