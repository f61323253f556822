"""Tables among what the soak drops: one record per request, or several; and what must come back."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.houses import read_lines
from tests.soak import weather
from tests.soak.contents import Content

MOST_ROWS = 300
PER_REQUEST = 7
_FOR_GOOD = "context_length_exceeded"  #: what the sandbox says with its 400
_SCHEMA = """
[parameters]
max_completion_tokens = 500
[output.schema]
type = "object"
additionalProperties = false
required = ["verdict", "score"]
properties = { verdict = { type = "string" }, score = { type = "integer" } }
"""
TASKS = {
    "alone": f'model = "gpt-4o-mini"\nprompt = "{{{{ text }}}}"\n{_SCHEMA}',
    "together": f"""
model = "gpt-4o-mini"
records_per_request = {PER_REQUEST}
prompt = \"\"\"
{{% for one in records %}}
{{{{ one.id }}}}: {{{{ one.text }}}}
{{% endfor %}}\"\"\"
{_SCHEMA}
[input]
id = "key"
""",
}


def write_tasks(folder: Path) -> None:
    """Put the tasks where a daemon of this folder finds them."""
    (folder / "tasks").mkdir()
    for name, text in TASKS.items():
        (folder / "tasks" / f"{name}.toml").write_text(text)


def table(task: str, label: str, chance: random.Random) -> Content:
    """1 to 300 rows, in one of the ways that spreadsheets write; one in ten has a broken row."""
    rows = [
        {"key": f"{label}-{n}", "text": f"{label}-{n}{chance.choice(_TEXTS)}", "": "ä"}
        for n in range(1, max(1, round(MOST_ROWS ** chance.uniform(0, 1))) + 1)
    ]
    delimiter, end = chance.choice(",;\t"), chance.choice(("\n", "\r\n"))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([rows[0].keys(), *(row.values() for row in rows)])
    is_bad = chance.random() < 0.1
    data = (text.getvalue() + (f"a{delimiter}b{end}" if is_bad else "")).encode(
        chance.choice(("utf-8", "utf-8-sig", "utf-16"))
    )
    asked = [
        {"custom_id": row["key"] if task == "together" else str(number), "row": row, "task": task}
        for number, row in enumerate(rows, start=1)
    ]
    return Content(data, None if is_bad else tuple(asked))


_TEXTS = ("", " is a text", ' says "no", and\nthinks; yes', " of\r\ntwo lines")


def is_table(content: Content | None) -> bool:
    """Whether these are the rows of a table."""
    return bool(content and content.requests and "task" in content.requests[0])


def differences(folder: Path, content: Content, receipt: dict[str, Any]) -> Iterator[str]:
    """What is not as it must be with the folder of a table."""
    asked = content.requests or ()
    results, rows = read_lines(folder / "results.jsonl"), _rows(folder / "results.csv", content)
    if [one["custom_id"] for one in results] != [one["custom_id"] for one in asked]:
        yield f"{folder.name}: {len(results)} results for {len(asked)} records"
    elif [row[: len(_header(content))] for row in rows] != [_header(content), *_sent(asked)]:
        yield f"{folder.name}: the sender's columns are {rows[:3]}"
    else:
        for result, row, one in zip(results, rows[1:], asked, strict=True):
            if not _is_good(result, row, one) and not _may_fail(result, row, one, receipt):
                yield f"{folder.name}: {result}, {row}, {one}"
        failed = [
            row[:3] for result, row in zip(results, rows[1:], strict=True) if not result["ok"]
        ]
        again = _rows(folder / "retry.csv", content)[1:] if failed else []
        if again != failed:
            yield f"{folder.name}: retry.csv has {len(again)} rows, {len(failed)} failed"


def asked_too_often(executions: Counter[str], content: Content) -> Iterator[str]:
    """A record alone runs again only where its answer was a passing failure or lost."""
    for name, times in executions.items() if is_alone(content) else ():
        spoilt = sum(rule["times"] for rule in weather.ANSWERS if "times" in rule)
        if times > weather.most_executions(name) + spoilt and not weather.may_be_missing(name):
            yield f"{name} was executed {times} times"


def is_alone(content: Content) -> bool:
    """Whether each request of it carries one record."""
    return bool(content.requests) and content.requests[0]["task"] == "alone"


def _header(content: Content) -> list[str]:
    return list((content.requests or ())[0]["row"])


def _sent(asked: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [list(one["row"].values()) for one in asked]


def _rows(path: Path, content: Content) -> list[list[str]]:
    """A table of results, read in the encoding and with the delimiter that were dropped."""
    encoding = "utf-16" if content.data[:2] == b"\xff\xfe" else "utf-8-sig"
    delimiter = content.data.decode(encoding)[3]  # behind "key"
    with path.open(newline="", encoding=encoding) as file:
        return list(csv.reader(file, delimiter=delimiter))


def _is_good(result: dict[str, Any], row: list[str], one: dict[str, Any]) -> bool:
    """Whether the answer is this record's: it has the beginning of the record's text in it."""
    output = result["output"]
    if not result["ok"] or not isinstance(output, dict):
        return False
    verdict, score = output["verdict"], output["score"]
    return (one["row"]["key"] in verdict.split()) and row[3:] == [verdict, str(score), ""]


def _may_fail(
    result: dict[str, Any], row: list[str], one: dict[str, Any], receipt: dict[str, Any]
) -> bool:
    """Failed for good at this sandbox, or called off; and its row says so, too."""
    if result["ok"] or row[3:5] != ["", ""] or not row[5].startswith(result["error"]["code"]):
        return False
    if receipt["cancelled"]:
        return True
    # Of several, the record that the request is named after decides.
    alone = one["task"] != "alone" or weather.fails_for_good(one["custom_id"])
    return alone and result["error"]["code"] == _FOR_GOOD
