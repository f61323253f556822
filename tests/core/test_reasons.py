"""The list of reasons is closed, each says what to do, and docs/reasons.md shows them all."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchd.core.reasons import TOLD, ReasonCode, Standing, because

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "reasons.md"


def test_every_code_has_its_sentence_and_no_sentence_is_nobodys():
    assert set(TOLD) == set(ReasonCode)


def test_every_standing_is_somebodys():
    assert {told.standing for told in TOLD.values()} == set(Standing)


@pytest.mark.parametrize("code", ReasonCode)
def test_a_sentence_is_one_and_stands_without_its_facts(code):
    sentence = because(code).sentence

    assert not sentence[0].isupper()
    assert not sentence.endswith(".")
    assert "\n" not in sentence
    assert "{" not in sentence


def test_facts_are_shown_in_their_units():
    reason = because(ReasonCode.SETTLING, quiet_seconds=1.4, settle_seconds=2.0)

    assert reason.sentence == "it has been quiet for 1.4 s; it is taken after 2 s"
    assert (reason.standing, reason.setting) == (Standing.WAITING, "inbox.settle_seconds")


def test_a_fact_nobody_knows_is_a_question_mark():
    assert because(ReasonCode.DELIVERED, folder="a--1").sentence == "outbox/a--1 is there (?)"


def test_a_setting_that_a_reason_names_exists():
    named = {told.setting for told in TOLD.values() if told.setting}
    page = (ROOT / "config" / "batchd.toml").read_text(encoding="utf-8")
    known = {f"{section}.{key}" for section, key in _settings(page)}

    assert named - known == set()


def _settings(page: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in page.splitlines():
        if header := re.match(r"\[([\w.]+)\]", line):
            section = header[1]
            yield tuple(section.split(".")) if "." in section else (section, "")
        elif key := re.match(r"(?:# )?(\w+) = ", line):
            yield section, key[1]


def test_no_reason_is_written_where_it_is_recorded_as_a_text_of_its_own():
    """`reason="..."` in a stage would be a code that nobody can look up."""
    assert {place for path in _modules("stages") for place in _literal_reasons(path)} == set()


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / "batchd" / folder).glob("*.py"))


def _literal_reasons(path: Path) -> Iterator[str]:
    codes = {str(code) for code in ReasonCode}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and node.value in codes and "-" in node.value:
            yield f"{path.name}:{node.lineno} {node.value}"
        literal = isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant)
        if literal and node.arg == "reason":
            yield f"{path.name}:{node.value.lineno} {node.value.value}"


# The page


def page() -> str:
    """Draw the table of `docs/reasons.md`."""
    rows = ["| code | what is said | setting |", "|---|---|---|"]
    parts = []
    for standing in Standing:
        lines = [_row(code) for code in ReasonCode if TOLD[code].standing is standing]
        parts.append("\n".join([f"### {standing}", "", *rows, *lines, ""]))
    return "\n".join(parts)


def _row(code: ReasonCode) -> str:
    told = TOLD[code]
    sentence = re.sub(r"\{(\w+)\}", r"*\1*", told.sentence).replace("|", "\\|")
    return f"| `{code}` | {sentence} | {f'`{told.setting}`' if told.setting else ''} |"


def input_codes() -> set[str]:
    """What `error.json` may call a problem of a file."""
    tree = ast.parse((ROOT / "batchd" / "core" / "reading.py").read_text(encoding="utf-8"))
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Problem"
        and isinstance(node.args[0], ast.Constant)
    }


def test_the_page_shows_every_reason_as_it_is():
    """To draw it anew: `python -m tests.core.test_reasons`."""
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"<!-- reasons:begin -->\n(.*?)<!-- reasons:end -->", text, re.DOTALL)

    assert block, "docs/reasons.md has no block between reasons:begin and reasons:end"
    assert block[1].strip() == page().strip()


def test_the_page_names_every_problem_a_file_may_be_rejected_for():
    text = PAGE.read_text(encoding="utf-8")

    assert {code for code in input_codes() if f"`{code}`" not in text} == set()


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
