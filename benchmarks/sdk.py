"""The SDK's own upload and create, for many files. `python sdk.py FOLDER`

What it says is the processor's time of the two calls, without the start and the imports.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from openai import OpenAI


def main(folder: Path) -> float:
    """Upload each file and create its batch; return the seconds of CPU that took."""
    client, paths = OpenAI(), sorted(folder.iterdir())
    started = time.process_time()
    for path in paths:
        with path.open("rb") as file:
            uploaded = client.files.create(file=file, purpose="batch")
        client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    return time.process_time() - started


if __name__ == "__main__":
    print(json.dumps({"work_seconds": main(Path(sys.argv[1]))}))
