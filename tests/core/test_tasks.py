"""What a job keeps of its task is what it was given."""

import msgspec
import pytest

from batchd.core import tasks
from batchd.core.tasks import Images, Task, TaskInput, TaskOutput, merged

FULL = Task(
    name="sentiment",
    description="Is it a good review?",
    endpoint=tasks.RESPONSES,
    model="gpt-5-nano",
    system="You read reviews.",
    prompt="{{ Text }}\n",
    records_per_request=10,
    parameters={"temperature": 0, "reasoning": {"effort": "low"}},
    metadata={"team": "care"},
    input=TaskInput(format="csv", id="Id", delimiter=";"),
    output=TaskOutput(schema={"type": "object", "properties": {"z": {}, "a": {}}}, name="review"),
    images=Images(columns=("photo",), detail="low"),
)


def test_a_kept_task_comes_back_as_it_was():
    assert tasks.decode(tasks.encode(FULL)) == FULL


def test_the_fields_of_a_schema_keep_their_order():
    """They become columns in this order."""
    kept = tasks.decode(tasks.encode(FULL)).output.schema
    assert kept is not None
    assert list(kept["properties"]) == ["z", "a"]


def test_the_same_task_gives_the_same_bytes():
    again = tasks.decode(tasks.encode(FULL))
    assert tasks.encode(again) == tasks.encode(FULL)


def test_a_kept_task_is_not_understood_in_part():
    with pytest.raises(msgspec.ValidationError, match="colour"):
        tasks.decode(tasks.encode(FULL).replace(b'"model"', b'"colour": "red", "model"'))


@pytest.mark.parametrize(("count", "grouped"), [(1, False), (2, True), (10, True)])
def test_several_records_in_a_request_make_a_group(count, grouped):
    task = Task(name="t", model="m", prompt="p", records_per_request=count)
    assert task.is_grouped is grouped


def test_parameters_are_laid_over_each_other_in_depth():
    below = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert merged(below, {"a": {"c": 3}, "d": [2], "e": 4}) == {
        "a": {"b": 1, "c": 3},
        "d": [2],
        "e": 4,
    }
    assert below == {"a": {"b": 1, "c": 2}, "d": [1]}
