"""The published guide's workflow, as one would write it down. `python naive.py IN.jsonl OUT.jsonl`

The plain SDK, `json`, and everything in memory: what most people's first script looks like.
"""

from __future__ import annotations

import json
import sys
import time

from openai import OpenAI

POLL_SECONDS = 0.2


def main(source: str, target: str) -> None:
    """Upload, create, poll, read the whole output, and write it in the order of the input."""
    client = OpenAI()
    with open(source) as file:  # noqa: PTH123  # as the guide has it
        order = [json.loads(line)["custom_id"] for line in file.read().splitlines()]
    uploaded = client.files.create(file=open(source, "rb"), purpose="batch")  # noqa: PTH123, SIM115
    batch = client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(POLL_SECONDS)
        batch = client.batches.retrieve(batch.id)
    assert batch.output_file_id, batch.status
    lines = client.files.content(batch.output_file_id).text.splitlines()
    answers = {answer["custom_id"]: answer for answer in map(json.loads, lines)}
    with open(target, "w") as sink:  # noqa: PTH123
        for custom_id in order:
            body = answers[custom_id]["response"]["body"]
            content = body["choices"][0]["message"]["content"]
            sink.write(json.dumps({"custom_id": custom_id, "output": content}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
