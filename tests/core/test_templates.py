"""A template sees its record and nothing else, and says what is wrong in the template's words."""

import pytest
from jinja2 import TemplateSyntaxError

from batchd.core.templates import (
    BadRecord,
    Fields,
    Text,
    columns_used,
    listed,
    names_used,
    nearest,
    shorten,
    syntax_problem,
)


def render(source, fields=None, **more):
    fields = Fields(fields or {})
    names = {**fields, "record": fields, **more}
    return Text(source, key="prompt").render(names, row=17, columns=fields)


def problem_of(source, fields=None):
    with pytest.raises(BadRecord) as caught:
        render(source, fields)
    problem = caught.value.problem
    assert problem.row == 17
    assert problem.remedy
    return problem


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ title }}", "Cook"),
        ('{{ record["Job Title"] }}', "Chef"),
        ("{{ record.title }}", "Cook"),
        ("{{ address.city }}", "Bonn"),
        ("{{ address.items }}", "3"),
        ("{{ none }}|{{ record['Nothing'] }}", "|"),
        ("{{ yes }} {{ price }}", "true 1.5"),
        ("{{ tags }} {{ address }}", '["a", "ü"] {"city": "Bonn", "items": 3}'),
        ("{{ tags | tojson }}", '["a", "ü"]'),
        ("{{ tags | join(', ') }}", "a, ü"),
        ("{{ gone | default('-') }}{{ record.gone is defined }}", "-false"),
        ("{% for tag in tags %}\n* {{ tag }}\n{% endfor %}", "* a\n* ü\n"),
        ("{{ address.get('zip', 'none') }}", "none"),
        ("{{ html }}", "<b>&amp;</b>"),
        ("{{ tags[1] }} {{ title[0] }}", "ü C"),
        ("one\n", "one"),
    ],
)
def test_what_a_template_may_say(source, text):
    fields = {
        "title": "Cook",
        "Job Title": "Chef",
        "address": {"city": "Bonn", "items": 3},
        "Nothing": None,
        "none": None,
        "yes": True,
        "price": 1.5,
        "tags": ["a", "ü"],
        "html": "<b>&amp;</b>",
    }
    assert render(source, fields) == text


@pytest.mark.parametrize("field", ["{{ 7 * 7 }}", "{% for x in y %}", "{# hidden #}", "{{"])
def test_a_template_in_a_field_is_only_text(field):
    assert render("{{ a }}", {"a": field}) == field


def test_a_record_is_written_as_json():
    assert render("{{ record }} {{ record ~ '!' }}", {"a": None}) == '{"a": null} {"a": null}!'


def test_all_columns_of_a_record_can_be_listed():
    source = "{% for name, value in record.items() %}\n{{ name }}: {{ value }}\n{% endfor %}"
    assert render(source, {"a": 1, "b c": "x"}) == "a: 1\nb c: x\n"


@pytest.mark.parametrize(
    ("source", "meant"),
    [("{{ Title }}", "{{ title }}"), ("{{ job_title }}", '{{ record["Job Title"] }}')],
)
def test_a_column_that_is_not_there_is_named_with_the_one_that_was_meant(source, meant):
    problem = problem_of(f"first line\n{source}", {"title": "x", "Job Title": "y"})
    assert problem.code == "unknown_column"
    assert problem.message.startswith("prompt, line 2: there is no column")
    assert "there is title, Job Title" in problem.message
    assert problem.remedy == f"Did you mean {meant}?"


def test_a_column_that_resembles_none_may_be_missing_on_purpose():
    assert 'default("")' in problem_of("{{ colour }}", {"title": "x"}).remedy


def test_a_column_in_brackets_is_looked_for_like_any_other():
    problem = problem_of('{{ record["Job Titel"] }}', {"Job Title": "x"})
    assert (problem.code, problem.param) == ("unknown_column", "Job Titel")
    assert 'record["Job Title"]' in problem.remedy


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ a.town }}", 'no "town" here; there is city'),
        ("{{ a.city.zip }}", 'no "zip" in a text'),
        ("{{ n + 1 }}", "NoneType"),
        ("{{ 1 / zero }}", "division by zero"),
        ("{{ a.city.upper }}", "with parentheses"),
        ("{{ a.city.__class__ }}", "__class__"),
        ("{{ a.city.format.__globals__ }}", "__globals__"),
        ("{{ a.update(city=1) }}", "update"),
        ("{{ tags.append(1) }}", "append"),
        ("{{ range(1000000) | list }}", "too big"),
        ("{% include 'x' %}", "loader"),
    ],
)
def test_what_goes_wrong_in_a_template_names_its_line(source, said):
    fields = {"a": {"city": "Bonn"}, "n": None, "zero": 0, "tags": []}
    problem = problem_of(f"\n\n{source}", fields)
    assert problem.code == "template_error"
    assert problem.message.startswith("prompt, line 3: ")
    assert said in problem.message


@pytest.mark.parametrize("name", ["lipsum", "cycler", "joiner"])
def test_nothing_in_a_template_is_left_to_chance(name):
    assert problem_of(f"{{{{ {name} }}}}").code == "unknown_column"


@pytest.mark.parametrize("name", ["random", "nosuchfilter"])
def test_a_filter_that_is_not_there_is_an_error_of_the_template(name):
    line, why = syntax_problem(f"\n{{{{ [1] | {name} }}}}") or (0, "")
    assert line == 2
    assert name in why


@pytest.mark.parametrize(
    "source", ["{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}"]
)
def test_there_are_no_other_templates(source):
    assert syntax_problem(f"\n{source}") == (
        2,
        "there are no other templates to include, import or extend",
    )


@pytest.mark.parametrize("source", ["{{ a", "{% if a %}", "{% nothing %}", "{{ a b }}"])
def test_what_is_no_template_is_said_before_anything_is_rendered(source):
    line, why = syntax_problem(f"\n{source}") or (0, "")
    assert line == 2
    assert why
    with pytest.raises(TemplateSyntaxError):
        Text(f"\n{source}", key="prompt")


def test_a_template_that_compiles_has_no_problem():
    assert syntax_problem("{{ a }}{% if b %}c{% endif %}") is None


@pytest.mark.parametrize(
    ("source", "constant"),
    [("plain", "plain"), ("", ""), ("{{ a }}", None), ("{% if a %}{% endif %}", None)],
)
def test_a_text_without_holes_is_rendered_once(source, constant):
    assert Text(source, key="system").constant == constant


@pytest.mark.parametrize(
    ("text", "chars", "short"),
    [
        ("hello wonderful world", 40, "hello wonderful world"),
        ("hello wonderful world", 18, "hello wonderful…"),
        ("hello wonderful world", 16, "hello wonderful…"),
        ("hello wonderful world", 15, "hello…"),
        ("x" * 30, 10, "xxxxxxxxx…"),
        ("ab " + "x" * 30, 20, "ab " + "x" * 16 + "…"),
        ("abc", 0, "…"),
        ("one\n\ttwo three", 8, "one…"),
        ("a" + " " * 50_000 + "b", 40_000, "a" + " " * 39_998 + "…"),
        (None, 5, ""),
        (12345678, 5, "1234…"),
    ],
)
def test_a_text_is_shortened_at_a_words_end(text, chars, short):
    assert shorten(text, chars) == short
    assert len(short) <= max(chars, 1) or short == text


def test_shortening_is_a_filter():
    assert render("{{ a | shorten(6) }}", {"a": "abc defghi"}) == "abc…"


@pytest.mark.parametrize(
    ("name", "columns", "column"),
    [
        ("Title", ["title", "text"], "title"),
        ("job_title", ["Job Title"], "Job Title"),
        ("compnay", ["company"], "company"),
        ("zzz", ["title"], None),
        ("%%", ["title"], None),
        ("title", [], None),
    ],
)
def test_the_column_that_was_meant(name, columns, column):
    assert nearest(name, columns) == column


def test_hundreds_of_columns_are_not_all_named_but_the_one_that_was_meant():
    columns = [f"c{number}" for number in range(100)] + ["title"]
    text = listed(columns, meant="Title")
    assert text.startswith("title, c0, ")
    assert text.endswith("and 89 more")
    assert listed([]) == "nothing"


def test_the_names_that_a_template_takes():
    source = 'A {{ title | upper }} {{ record["Job Title"] }} {{ a.b }} {% for r in records %}{{ r.id }}{% endfor %}'
    assert names_used(source) >= {"title", "Job Title", "b", "id", "records"}


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ("{{ title | shorten(9) | default('') }} {{ range(3) | list }}", {"title"}),
        ("{{ record['Job Title'] }} {{ record.a.b }} {{ id }} {{ row }}", {"Job Title", "a"}),
        ("{% for k, v in record.items() %}{{ k }}{{ v }}{{ more }}{% endfor %}", {"more"}),
        ("{% for r in records %}{{ r.id }} {{ r.tx }} {{ r['x y'] }}{% endfor %}", {"tx", "x y"}),
        ("{% for r in records[:2] | list %}{{ r.tx }}{% endfor %}", {"tx"}),
        ("{% set a = b %}{{ a }}{% if c is defined %}{{ tags[0] }}{% endif %}", {"b", "c", "tags"}),
        ("{{ record[title] }}", {"title"}),
        ("plain", set()),
    ],
)
def test_the_columns_that_a_template_takes(source, columns):
    assert columns_used(source) == columns


@pytest.mark.parametrize(
    "source",
    [
        "{{ title }}",
        "100 % of {{ title }}\n\n{{ id }}: {{title}} %s {{ name }}\n",
        "{# who? #}{{ title }}{% raw %}{{ }}{% endraw %}",
        "{{- title -}} {{ range }}",
    ],
)
def test_columns_with_words_between_them_are_put_in_as_the_template_does(source):
    fields = {"title": "a %s\n<b>{{ name }}", "id": "7", "name": "", "range": " to "}
    quick = Text(source, key="prompt").of_texts(fields)
    assert quick == render(source, fields)
    assert quick is not None


@pytest.mark.parametrize(
    "source",
    [
        "{{ n }}",
        "{{ title }}{{ none }}",
        "{{ gone }}",
        "{{ record }}",
        "words alone",
        "{{ title[0] }}",
        "{{ title | upper }}",
        "{% if title %}{{ title }}{% endif %}",
        "{% set n = title %}{{ n }}",
    ],
)
def test_all_else_is_left_to_the_template(source):
    fields = {"title": "a", "n": 1, "none": None, "record": "b"}
    assert Text(source, key="prompt").of_texts(fields) is None
