"""What is delivered is JSON a line, and words that say what to do."""

import json

from batchd.core.answers import Answer, read_answer
from batchd.core.reading import Problem, Problems
from batchd.core.rendering import error_line, problems_as_dict, problems_as_text, result_line
from batchd.core.usage import Usage


def test_a_success_is_a_line_of_results():
    answer = Answer("a", output="hi", finish_reason="stop", model="m", usage=Usage(12, 3, 4, 1))
    line = result_line(answer, as_json=False, attempts=2)
    assert json.loads(line) == {
        "custom_id": "a",
        "ok": True,
        "output": "hi",
        "error": None,
        "finish_reason": "stop",
        "model": "m",
        "usage": {"input_tokens": 12, "output_tokens": 3, "cached_tokens": 4},
        "attempts": 2,
    }


def test_a_failure_is_a_line_of_results_too():
    line = json.loads(result_line(Answer("a", code="odd", message="no"), as_json=True, attempts=1))
    assert (line["ok"], line["output"], line["usage"]) == (False, None, None)
    assert line["error"] == {"code": "odd", "message": "no"}


def test_a_json_answer_is_an_object_and_a_text_that_was_not_asked_to_be_stays_a_text():
    answer = Answer("a", output='{\n  "price": 1.10\n}')
    assert b'"output":{"price":1.10},' in result_line(answer, as_json=True, attempts=1)
    assert json.loads(result_line(answer, as_json=False, attempts=1))["output"] == answer.output


def test_a_body_that_is_no_json_makes_no_broken_line():
    """It was copied into results.jsonl as it came, and no reader got past that line."""
    line = b'{"custom_id": "a", "response": {"status_code": 200, "body": "plain\\ntext"}}'
    answer = read_answer(line, "/v1/chat/completions")
    written = result_line(answer, as_json=True, attempts=1)
    assert json.loads(written)["output"] == "plain\ntext"
    assert b"\n" not in written


def test_an_error_line_names_the_line_of_the_file():
    answer = Answer("a", code="odd", message="no", status=400)
    assert json.loads(error_line(answer, row=7, attempts=3)) == {
        "custom_id": "a",
        "line": 7,
        "error": {"code": "odd", "message": "no"},
        "status": 400,
        "attempts": 3,
    }


def found(count: int) -> Problems:
    problems = Problems()
    for row in range(1, count + 1):
        problems.add(Problem("invalid_json_line", "it is cut", "Mend it.", row, None, '{"a'))
    return problems


def test_the_first_line_of_a_rejection_says_where_what_and_what_to_do():
    text = problems_as_text("big.jsonl", problems_as_dict(found(2)))
    assert text.splitlines()[0] == "line 1: it is cut. Mend it."
    assert "big.jsonl was not accepted" in text
    assert "[invalid_json_line]" in text
    assert "more." not in text


def test_what_is_not_listed_is_counted():
    assert "... and 30 more." in problems_as_text("big.jsonl", problems_as_dict(found(50)))


def test_a_file_as_a_whole_has_no_line():
    problems = Problems()
    problems.add(Problem("empty_file", "nothing in it", "Fill it."))
    as_dict = problems_as_dict(problems)
    assert (as_dict["total"], as_dict["errors"][0]["line"]) == (1, None)
    text = problems_as_text("big.jsonl", as_dict)
    assert text.startswith("nothing in it. Fill it.\n")


def test_what_was_dropped_for_a_task_is_to_be_dropped_there_again():
    as_dict = problems_as_dict(found(1))
    assert "drop it into inbox/judge/ again" in problems_as_text("a.csv", as_dict, "judge")
    assert "drop it into the inbox again" in problems_as_text("a.jsonl", as_dict)
