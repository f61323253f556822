"""What the socket says of tasks: which there are, one of them, a draft of one, a table held to one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from batchd.control.messages import MOST_SENT
from batchd.control.shapes import Check
from batchd.control.task_shapes import Draft, Recipe, TaskList
from batchd.control.tasks import BrokenTask, whole
from tests.control.speaking import listening_house, refusal, say
from tests.houses import write_task

TABLE = b"id,text\na,one\nb,two\n"


async def test_tasks_are_listed_and_of_a_broken_one_the_line_and_the_remedy(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        write_task(tmp_path, "good")
        write_task(tmp_path, "bad", 'model = "m"\nprompt = "x"\npromt = 1\n')

        told = await say(services, "GET", "tasks", kind=TaskList)

        bad, good = told.tasks
        assert (told.folder, told.source) == (str(tmp_path / "config" / "tasks"), "the daemon")
        assert (good.name, good.model, good.problems) == ("good", "m", [])
        assert "bad.toml, line 3: " in bad.problems[0]
        assert "did you mean" in bad.problems[0]


async def test_a_task_is_told_as_it_is_resolved_and_a_broken_one_with_all_its_mistakes(
    tmp_path: Path,
):
    async with listening_house(tmp_path) as services:
        write_task(tmp_path, "good")
        write_task(tmp_path, "bad", "model =\n")

        good = await say(services, "GET", "tasks", "good", kind=Recipe)
        bad = await say(services, "GET", "tasks", "bad", kind=Recipe)

        assert whole(good) == services.recipes.get("good")
        with pytest.raises(BrokenTask, match=r"bad\.toml, line 1"):
            whole(bad)
        missing = await refusal(services, "GET", "tasks", "goot")
        assert (missing.code, str(missing).split("; ")[1]) == ("not-found", "did you mean good?")


async def test_a_draft_is_a_text_and_nothing_is_written(tmp_path: Path):
    async with listening_house(tmp_path, defaults={"model": "m"}) as services:
        told = await say(
            services, "POST", "tasks", "new", "draft", sent=TABLE, file="a.csv", kind=Draft
        )

        assert told.file == str(tmp_path / "config" / "tasks" / "new.toml")
        assert 'id = "id"\n' in told.text
        assert "{{ text }}  one\n" in told.text
        assert "What [defaults] says, m," in told.text
        assert not Path(told.file).exists()
        Path(told.file).parent.mkdir(parents=True)
        Path(told.file).write_text(told.text)
        assert whole(await say(services, "GET", "tasks", "new", kind=Recipe)).input.id == "id"


@pytest.mark.parametrize("file", ["", "..", "a/b.csv", "a\0b.csv", "x" * 256])
async def test_what_is_handed_in_has_a_name_and_no_path(tmp_path: Path, file):
    async with listening_house(tmp_path) as services:
        no = await refusal(services, "POST", "tasks", "new", "draft", sent=TABLE, file=file)

        assert no.code == "invalid"


async def test_what_is_no_table_or_no_name_of_a_task_is_said(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        draft = ("POST", "tasks", "new", "draft")
        assert (await refusal(services, *draft, sent=b"?", file="a.xyz")).code == "unusable"
        assert (await refusal(services, *draft, sent=b"", file="a.csv")).code == "unusable"
        odd = await refusal(services, "POST", "tasks", ".x", "draft", sent=TABLE, file="a.csv")
        assert odd.code == "invalid"


async def test_only_so_much_is_taken(tmp_path: Path):
    async with listening_house(tmp_path) as services:
        most = b"text\n" + b"x\n" * (MOST_SENT // 2)
        no = await refusal(services, "POST", "tasks", "n", "draft", sent=most, file="a.csv")

        assert no.code == "too-large"


async def test_a_table_is_checked_by_the_task_the_queue_and_the_budget(tmp_path: Path):
    async with listening_house(tmp_path, budget={"per_job": 0.0000001}) as services:
        write_task(tmp_path, "good", 'model = "gpt-4o-mini"\nprompt = "{{ text }}"\n')
        write_task(tmp_path, "bad", "model =\n")
        check = ("POST", "tasks", "good", "check")

        (fine,) = (await say(services, *check, sent=TABLE, file="a.csv", kind=Check)).files
        (wrong,) = (await say(services, *check, sent=b"no\n1\n", file="b.csv", kind=Check)).files

        assert (fine.file, fine.fate, fine.requests, fine.columns) == (
            "a.csv", "held", 2, ["id", "text"],
        )  # fmt: skip
        assert "budget.per_job" in fine.budget[0]
        assert (wrong.fate, wrong.problems.total) == ("rejected", 1)
        assert (await refusal(services, *check[:2], "bad", "check", sent=TABLE, file="a.csv")).code \
            == "unusable"  # fmt: skip
        assert (await refusal(services, *check[:2], "no", "check", sent=TABLE, file="a.csv")).code \
            == "not-found"  # fmt: skip
        assert msgspec.to_builtins(fine)["task"] == "good"
