"""The first of many are listed; all are counted."""

from batchd.core.problems import CAUTIONS, MAX_LISTED, Alike, Problem, Problems, Repairs, Warnings


def test_the_first_problems_are_kept_and_all_are_counted():
    problems = Problems()
    for line in range(1, 51):
        problems.add(Problem("invalid_json_line", "no", "mend it", line=line))
    assert problems.total == 50
    assert [problem.line for problem in problems.listed] == list(range(1, MAX_LISTED + 1))


def test_warnings_are_counted_by_code_with_their_first_lines():
    warnings = Warnings()
    assert not warnings
    for line in range(1, 9):
        warnings.add("no_output_limit", line)
    warnings.add("unknown_member", 3, "extra")
    warnings.add("unknown_member", 4, "another")
    assert warnings
    assert warnings.counts() == {"no_output_limit": 8, "unknown_member": 2}
    first, second = warnings.as_list()
    assert (first["lines"], first["total"]) == ([1, 2, 3, 4, 5], 8)
    assert (second["lines"], second["detail"]) == ([3, 4], "extra")
    assert first["message"] == CAUTIONS["no_output_limit"].message
    assert first["remedy"] == CAUTIONS["no_output_limit"].remedy


def test_every_caution_says_what_to_do():
    for caution in CAUTIONS.values():
        assert caution.message
        assert caution.remedy.endswith(".")


def test_a_repair_is_something():
    assert not Repairs()
    assert all((Repairs(bom=True), Repairs(crlf_lines=1), Repairs(blank_lines=1)))
    assert Repairs(blank_lines=2).as_dict() == {"bom": False, "crlf_lines": 0, "blank_lines": 2}


def test_problems_that_rows_have_alike_are_told_once_with_their_number():
    problems = Problems()
    alike = Alike(problems)
    for row in range(1, 101):
        alike.add(Problem("unknown_column", "there is no a", "name it", row=row))
        if row > 50:
            alike.add(Problem("invalid_image", f"no image: {row}", "name it", row=row))
    assert problems.total == 51
    assert len(problems.listed) == MAX_LISTED
    first, second = (alike.in_words(one, 100).message for one in problems.listed[:2])
    assert first == "there is no a (so it is in every row)"
    assert second == "no image: 51"
    assert alike.in_words(problems.listed[0], 200).message.endswith(
        "99 more rows, the last of them 100)"
    )


def test_of_two_rows_alike_the_other_is_named():
    problems = Problems()
    alike = Alike(problems)
    for row in (3, 7):
        alike.add(Problem("unknown_column", "there is no a", "name it", row=row))
    assert alike.in_words(problems.listed[0], 9).message == "there is no a (likewise in row 7)"
