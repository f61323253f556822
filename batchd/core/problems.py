"""What reading a file leaves to say: problems that reject it, warnings that don't, repairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

MAX_LISTED = 20  #: problems listed one by one; beyond these the total is enough (R33)
_FIRST_LINES = 5  #: lines named per kind of warning


@dataclass(frozen=True, slots=True)
class Caution:
    """What a warning means, and what can be done."""

    message: str
    remedy: str


#: What is worth saying and rejects nothing, by code.
CAUTIONS = {
    "no_output_limit": Caution(
        "no limit on output tokens: how long an answer gets, and what it costs, is left to the"
        " model",
        'Set "max_completion_tokens" (chat), "max_output_tokens" (responses) or "max_tokens"'
        " (completions) in the body.",
    ),
    "unknown_member": Caution(
        "the line has a member that the Batch API does not know",
        'Only "custom_id", "method", "url" and "body" belong there; parameters of the request go'
        " into the body.",
    ),
    "repeated_key": Caution(
        "an object of the line has the same key twice: most readers take the last, some the first",
        "Write each key once.",
    ),
    "long_custom_id": Caution(
        "the custom_id is longer than 512 characters, which some providers refuse",
        "Use a shorter one, and keep the long one in a table of your own.",
    ),
    "control_characters": Caution(
        "the custom_id has control characters, which are easily lost on the way",
        "Leave line breaks, tabs and their kin out of it.",
    ),
    "background_ignored": Caution(
        '"background": true asks for what a batch is anyway',
        'Remove "background" from the body.',
    ),
    "empty_input": Caution(
        "a text to embed is empty; the provider refuses such a request and answers the others",
        "Leave empty texts out.",
    ),
    "empty_record": Caution(
        "the record has nothing in it, as Excel leaves behind where rows were emptied; it is asked"
        " all the same, and paid for",
        "Delete such rows from the table, if nothing is meant by them.",
    ),
    "token_limit_exceeded": Caution(
        "the request alone seems to have more input tokens than batches.enqueued_tokens lets its"
        " model have queued; it travels alone, and may be refused",
        'Make it shorter. An estimate may be wrong: pip install "batchd[tokens]" to count.',
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing the sender must mend."""

    code: str
    message: str
    remedy: str
    line: int | None = None  #: 1-based; None where the file as a whole is meant
    param: str | None = None
    excerpt: str = ""  #: the beginning of the offending line
    row: int | None = None  #: of a table: the record's number, 1-based


@dataclass(slots=True)
class Problems:
    """The first problems in full, and how many there are."""

    listed: list[Problem] = field(default_factory=list)
    total: int = 0

    def add(self, problem: Problem) -> None:
        """Keep the first `MAX_LISTED`; count all."""
        self.total += 1
        if len(self.listed) < MAX_LISTED:
            self.listed.append(problem)


@dataclass(slots=True)
class Alike:
    """Problems of rows, what is wrong alike with many of them told once: it is one thing to mend.

    Only what is listed is compared: ten thousand different ones are only counted.
    """

    problems: Problems
    _rows: dict[Problem, list[int]] = field(default_factory=dict)  #: first, last, how many

    def add(self, problem: Problem) -> None:
        """Take a row's problem."""
        alike, row = replace(problem, row=None, line=None, excerpt=""), problem.row or 0
        if seen := self._rows.get(alike):
            seen[1], seen[2] = row, seen[2] + 1
            return
        if len(self.problems.listed) < MAX_LISTED:
            self._rows[alike] = [row, row, 1]
        self.problems.add(problem)

    def in_words(self, problem: Problem, rows: int) -> Problem:
        """Say of a listed problem how many of all rows have it."""
        alike = replace(problem, row=None, line=None, excerpt="")
        first, last, times = self._rows.get(alike, (0, 0, 1))
        if times == 1 or first != problem.row:
            return problem
        more = times - 1
        where = (
            f"in {more:,} more rows, the last of them {last:,}" if more > 1 else f"in row {last:,}"
        )
        said = "so it is in every row" if times == rows else f"likewise {where}"
        return replace(problem, message=f"{problem.message} ({said})")


@dataclass(slots=True)
class Warned:
    """How often one kind of warning came, and where first."""

    detail: str = ""  #: what it was the first time, where the code does not say it
    total: int = 0
    lines: list[int] = field(default_factory=list)  #: the first few, 1-based


@dataclass(slots=True)
class Warnings:
    """What should be said and rejects nothing, counted by code: there may be one on every line."""

    by_code: dict[str, Warned] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_code)

    def add(self, code: str, line: int, detail: str = "") -> None:
        """Count one; `code` is a key of `CAUTIONS`."""
        warned = self.by_code.get(code)
        if warned is None:
            warned = self.by_code[code] = Warned(detail)
        warned.total += 1
        if len(warned.lines) < _FIRST_LINES:
            warned.lines.append(line)

    def counts(self) -> dict[str, int]:
        """By code, for the log."""
        return {code: warned.total for code, warned in self.by_code.items()}

    def as_dict(self) -> dict[str, Any]:
        """For the ledger: the sentences are kept in `CAUTIONS`."""
        return {
            code: {"total": warned.total, "lines": warned.lines, "detail": warned.detail}
            for code, warned in self.by_code.items()
        }

    def as_list(self) -> list[dict[str, Any]]:
        """For people's programs."""
        return [
            {
                "code": code,
                "total": warned.total,
                "lines": warned.lines,
                "message": CAUTIONS[code].message,
                "detail": warned.detail,
                "remedy": CAUTIONS[code].remedy,
            }
            for code, warned in self.by_code.items()
        ]


@dataclass(slots=True)
class Repairs:
    """What was mended by rule. Any of these, and batchd's own copy travels, not the file."""

    bom: bool = False
    crlf_lines: int = 0
    blank_lines: int = 0

    def __bool__(self) -> bool:
        return self.bom or bool(self.crlf_lines) or bool(self.blank_lines)

    def as_dict(self) -> dict[str, Any]:
        """For the ledger and the receipt."""
        return {"bom": self.bom, "crlf_lines": self.crlf_lines, "blank_lines": self.blank_lines}
