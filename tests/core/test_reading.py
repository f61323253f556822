"""What is wrong with a line is said with its number, its code and a way out."""

import json
import random
import threading
import tracemalloc
from typing import Any

import pytest

from batchd.core.limits import ENDPOINTS, STREAMING_ENDPOINTS
from batchd.core.reading import (
    BOM,
    MAX_LISTED,
    Problem,
    RequestReader,
    Rules,
    custom_id_of,
    normalised,
)
from batchd.runtime.threads import STACK_BYTES

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]


def request(custom_id: Any = "a", **changes: Any) -> dict[str, Any]:
    body = {"model": "gpt-4o-mini", "messages": MESSAGES, "input": "hi", "prompt": "hi"}
    line = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body, **changes}
    return {name: value for name, value in line.items() if value is not ...}


def a_line(custom_id: Any = "a", **changes: Any) -> bytes:
    return json.dumps(request(custom_id, **changes)).encode()


def with_body(**changes: Any) -> bytes:
    body = {"model": "gpt-4o-mini", "messages": MESSAGES, **changes}
    return a_line(body={name: value for name, value in body.items() if value is not ...})


def with_content(json_text: bytes) -> bytes:
    return a_line().replace(b'"hi"', json_text, 1)


def read(content: bytes, *, max_line_bytes: int = 10_000_000, max_bytes: int = 200_000_000):
    reader = RequestReader(Rules(max_line_bytes=max_line_bytes, max_bytes=max_bytes))
    lines = _lines(content)
    for raw in lines:
        reader.take(raw)
    reader.finish()
    if reader.suspects:
        reader.confirm_duplicates(lines)
    return reader


def _lines(content: bytes) -> list[bytes]:
    """Cut at line feeds only, as a file does."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def the_problem(content: bytes, **limits: int) -> Problem:
    (problem,) = read(content, **limits).problems.listed
    return problem


def codes(content: bytes) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.line) for problem in read(content).problems.listed]


# What is fine


def test_a_good_file_is_requests_and_nothing_else():
    reader = RequestReader(Rules(max_line_bytes=1000, max_bytes=1000))
    raw = a_line("first") + b"\n"
    taken = reader.take(raw)
    assert taken is not None
    assert (taken.custom_id, taken.endpoint, taken.model) == ("first", CHAT, "gpt-4o-mini")
    assert taken.size == len(raw)
    reader.finish()
    assert (reader.row, reader.requests, reader.problems.total) == (1, 1, 0)
    assert not reader.repairs


@pytest.mark.parametrize("url", ENDPOINTS)
def test_every_endpoint_of_a_batch_is_taken(url: str):
    assert read(a_line(url=url)).problems.total == 0


@pytest.mark.parametrize(
    "line",
    [
        a_line("ü" * 600),
        a_line("with\ncontrol\x00characters"),
        a_line(extra="member"),
        with_body(stream=False),
        with_body(stream=None),
        with_body(seed=10**400, temperature=0.1),
        with_content(b"1e999"),
        with_content('"\\ud83d\\ude00 ü 😀 \u2028"'.encode()),
        with_content(b'"\\u0000 \\" \\\\"'),
        with_content(b"[" * 200 + b"]" * 200),
        a_line(url="/v1/embeddings", body={"model": "m", "input": [[1, 2], [3]]}),
        a_line(url="/v1/embeddings", body={"model": "m", "input": "a", "stream": True}),
        a_line(url="/v1/responses", body={"model": "m", "prompt": {"id": "pmpt_1"}}),
        a_line(url="/v1/responses", body={"model": "m", "previous_response_id": "resp_1"}),
        a_line(url="/v1/completions", body={"model": "m", "prompt": ["a", "b"]}),
        a_line(url="/v1/videos", body={"model": "m", "prompt": "a", "input_reference": {}}),
    ],
)
def test_what_the_provider_takes_is_taken(line: bytes):
    assert read(line).problems.listed == []


def test_the_last_line_needs_no_line_break_and_counts_one_all_the_same():
    """It gets one when it travels with others."""
    reader = RequestReader(Rules(max_line_bytes=1000, max_bytes=1000))
    taken = reader.take(a_line())
    assert taken is not None
    assert taken.size == len(a_line()) + 1
    assert not reader.repairs


# What is mended


def test_what_is_mended_is_counted():
    reader = read(BOM + a_line("a") + b"\r\n\n \t\r\n" + a_line("b") + b"\r\n")
    assert reader.problems.total == 0
    assert reader.requests == 2
    assert reader.repairs
    assert reader.repairs.as_dict() == {"bom": True, "crlf_lines": 2, "blank_lines": 2}


def test_blanks_around_a_line_are_no_repair():
    reader = read(b"  " + a_line() + b" \t\n")
    assert reader.problems.total == 0
    assert not reader.repairs


def test_a_line_travels_without_its_line_break_and_mark():
    assert normalised(BOM + b" {} \r\n", 1) == b"{}"
    assert normalised(b" \r\n", 2) == b""
    assert normalised(BOM + b"\n", 1) == b""
    assert normalised(BOM + b"{}\n", 2) == BOM + b"{}"


@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xa0"])
def test_only_the_blanks_of_json_are_blanks(blank: bytes):
    """Python strips a form feed, too; then the file would be sent as it is, and refused."""
    assert normalised(b"{}" + blank + b"\n", 1) == b"{}" + blank
    assert read(a_line("a") + blank + b"\n" + blank + b"\n").problems.total == 2


@pytest.mark.parametrize("content", [b" " + BOM + a_line(), a_line("b") + b"\n" + BOM + a_line()])
def test_a_mark_that_is_not_at_the_very_beginning_is_not_mended(content: bytes):
    (problem,) = read(content).problems.listed
    assert problem.code == "invalid_json_line"


# What is the sender's to mend


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n", BOM, BOM + b"\r\n"])
def test_a_file_without_a_request_is_empty(content: bytes):
    problem = the_problem(content)
    assert (problem.code, problem.line) == ("empty_file", None)
    assert "at least one" in problem.remedy


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"12",
        b"not json",
        a_line() + a_line(),
        a_line()[:-1],
        with_content(b"NaN"),
        with_content(b"Infinity"),
        with_content(b"-Infinity"),
        with_content(b"01"),
        with_content(b"+1"),
        with_content(b"'hi'"),
        with_content(b'"\\x"'),
        with_content(b'"a\tb"'),
        with_content(b'"a\x00b"'),
        with_content(b'"\\ud83d"'),
        with_content(b'"\\ude00"'),
        with_content(b'"\\u12"'),
        with_content(b"[1,]"),
        with_content(b"1 // why"),
        b'{"custom_id": "\\ud83d", "method": "POST", "url": "/v1/responses", "body": {}}',
        b"\x00" * 10,
    ],
)
def test_a_line_that_is_no_json_object_is_refused(line: bytes):
    problem = the_problem(a_line("first") + b"\n" + line + b"\n")
    assert (problem.code, problem.line) == ("invalid_json_line", 2)
    assert problem.excerpt
    assert "one JSON object" in problem.remedy


def test_a_cut_line_and_a_wrong_escape_are_told_apart():
    assert "ends in the middle" in the_problem(a_line()[:-5]).message
    assert "escape" in the_problem(with_content(b'"\\ud83d"')).message


@pytest.mark.parametrize("nest", [b"[", b'{"a":'])
def test_a_hundred_thousand_brackets_are_a_problem_and_no_crash(nest: bytes):
    line = with_content(nest * 100_000)
    assert "nested too deeply" in the_problem(line).message


def test_deep_nesting_crashes_no_thread_either():
    """Validation runs in a thread, and how much stack that has is ours to say."""
    found: list[Problem] = []
    before = threading.stack_size(STACK_BYTES)
    thread = threading.Thread(
        target=lambda: found.append(the_problem(with_content(b"[" * 100_000)))
    )
    thread.start()
    threading.stack_size(before)
    thread.join()
    assert [problem.code for problem in found] == ["invalid_json_line"]


@pytest.mark.parametrize("name", ["custom_id", "method", "url", "body"])
@pytest.mark.parametrize("value", [..., None, 7, 7.5, True, ["a"]])
def test_a_member_that_is_missing_or_of_another_kind_is_named(name: str, value: Any):
    problem = the_problem(a_line(**{name: value}))
    assert (problem.code, problem.param) == ("missing_required_parameter", name)
    assert f'"{name}"' in problem.message
    assert "custom_id" in problem.remedy


def test_every_missing_member_is_named():
    listed = read(b"{}\n").problems.listed
    assert [problem.param for problem in listed] == ["custom_id", "method", "url", "body"]
    assert {problem.line for problem in listed} == {1}


def test_a_body_is_an_object():
    assert the_problem(a_line(body="{}")).param == "body"


def test_an_empty_custom_id_is_none():
    assert the_problem(a_line("")).code == "missing_required_parameter"


@pytest.mark.parametrize("method", ["GET", "post", ""])
def test_only_post_is_taken(method: str):
    assert the_problem(a_line(method=method)).code == "invalid_method"


@pytest.mark.parametrize(
    "url",
    ["", "/v1/chat", "v1/responses", f"https://api.openai.com{CHAT}", CHAT + "/", "/v1/files"],
)
def test_other_urls_are_no_endpoints(url: str):
    problem = the_problem(a_line(url=url))
    assert (problem.code, problem.param) == ("invalid_url", "url")
    assert CHAT in problem.remedy


@pytest.mark.parametrize("model", [..., None, "", 4, ["gpt-4o"]])
def test_a_body_names_its_model(model: Any):
    problem = the_problem(with_body(model=model))
    assert (problem.code, problem.param) == ("invalid_request", "body.model")


@pytest.mark.parametrize("messages", [..., None, [], "hi", {"role": "user"}])
def test_a_chat_has_messages(messages: Any):
    """Without, the provider refuses the whole batch (reference B.3)."""
    problem = the_problem(with_body(messages=messages))
    assert (problem.code, problem.param) == ("invalid_request", "body.messages")


@pytest.mark.parametrize("url", ["/v1/embeddings", "/v1/moderations"])
@pytest.mark.parametrize("given", [..., None, []])
def test_what_is_embedded_or_moderated_is_given(url: str, given: Any):
    body = {"model": "m", "input": given}
    line = a_line(url=url, body={name: value for name, value in body.items() if value is not ...})
    assert the_problem(line).param == "body.input"


def test_a_list_of_blanks_is_an_empty_list():
    assert the_problem(with_content(b"1").replace(b'[{"role": "user", "content": 1}]', b"[ \t]"))


@pytest.mark.parametrize("url", STREAMING_ENDPOINTS)
def test_nothing_streams_in_a_batch(url: str):
    body = request()["body"] | {"stream": True}
    assert the_problem(a_line(url=url, body=body)).code == "streaming_unsupported"


@pytest.mark.parametrize("stream", ["yes", 1, 0, []])
def test_stream_is_true_or_false(stream: Any):
    problem = the_problem(with_body(stream=stream))
    assert (problem.code, problem.param) == ("invalid_request", "body.stream")
    assert "neither true nor false" in problem.message


def test_a_repeated_key_is_not_blamed_on_another():
    """The last one counts for most readers, but not for all; the message is about neither."""
    line = with_body(stream=False).replace(b'{"custom_id"', b'{"custom_id": 5, "custom_id"', 1)
    problem = the_problem(line)
    assert (problem.code, problem.param) == ("invalid_json_line", None)


def test_a_repeated_key_counts_last():
    line = a_line("b").replace(b'{"custom_id"', b'{"custom_id": "a", "custom_id"', 1)
    assert read(line + b"\n" + a_line("a")).problems.total == 0
    assert custom_id_of(line) == "b"


# Encodings


def test_latin_1_is_recognised_and_its_place_named():
    content = a_line("a") + b"\n  " + a_line("tea").replace(b"tea", b"caf\xe9") + b"\n"
    problem = the_problem(content)
    assert (problem.code, problem.line) == ("not_utf8", 2)
    assert f"byte {content.index(0xE9):,} of the file" in problem.message
    assert "iconv -f LATIN1 -t UTF-8" in problem.remedy
    assert r"caf\xe9" in problem.excerpt


def test_a_mark_does_not_shift_the_place():
    content = BOM + b" " + a_line().replace(b"hi", b"caf\xe9")
    assert f"byte {content.index(0xE9):,} of" in the_problem(content).message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_recognised_and_the_rest_not_worth_reading(encoding: str):
    mark = b"" if encoding == "utf-16" else b"\xfe\xff"
    content = mark + (a_line("a") + b"\n" + a_line("b")).decode().encode(encoding)
    reader = RequestReader(Rules(max_line_bytes=10_000, max_bytes=10_000))
    assert reader.take(_lines(content)[0]) is None
    assert reader.hopeless
    assert reader.problems.listed[0].code == "not_utf8"
    assert "iconv -f UTF-16" in reader.problems.listed[0].remedy


def test_other_broken_bytes_do_not_end_the_reading():
    assert not read(a_line().replace(b"hi", b"\xff\xfe")).hopeless


@pytest.mark.parametrize("broken", [b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80"])
def test_what_only_looks_like_utf_8_is_none(broken: bytes):
    assert the_problem(a_line().replace(b"hi", broken)).code == "not_utf8"


# Limits


def test_a_line_may_be_as_long_as_the_limit_and_no_longer():
    line = a_line() + b"\n"
    assert read(line, max_line_bytes=len(line)).problems.total == 0
    reader = read(line, max_line_bytes=len(line) - 1)
    (problem,) = reader.problems.listed
    assert (problem.code, problem.line) == ("line_too_long", 1)
    assert "inbox.max_line_bytes" in problem.remedy
    assert reader.hopeless


def test_a_line_longer_than_a_batch_is_too_long():
    assert the_problem(a_line(), max_bytes=50).code == "line_too_long"


def test_the_excerpt_of_a_long_line_says_that_it_goes_on():
    assert the_problem(a_line("x" * 500), max_line_bytes=400).excerpt.endswith("x…")
    assert the_problem(b'{"' + "é".encode() * 500).excerpt == '{"' + "é" * 59 + "…"
    assert the_problem(b"{").excerpt == "{"


def test_twenty_problems_are_listed_and_all_are_counted():
    reader = read(b"bad\n" * 500)
    assert reader.problems.total == 500
    assert [problem.line for problem in reader.problems.listed] == list(range(1, MAX_LISTED + 1))


def test_a_bad_line_hides_no_other():
    content = b"\n".join([a_line("a"), b"", b"bad", a_line("b"), a_line(""), a_line("c")])
    assert codes(content) == [("invalid_json_line", 3), ("missing_required_parameter", 5)]


def test_what_a_sender_wrote_breaks_no_message():
    """The first line of error.txt is the reason; a terminal shows it."""
    nasty = "a\nb\x1b[2J"
    content = b"\n".join(
        [a_line(method=nasty), a_line(url=nasty), a_line(nasty), a_line(nasty), b"\x1b[2J{"]
    )
    listed = read(content).problems.listed
    assert len(listed) == 4
    for problem in listed:
        assert problem.message.isprintable()
        assert problem.excerpt.isprintable()


# Ids


def test_a_repeated_id_is_named_with_its_first_line():
    content = b"\n".join([a_line("a"), b"", a_line("b"), a_line("a"), a_line("a")])
    reader = read(content)
    assert [(p.code, p.line, p.param) for p in reader.problems.listed] == [
        ("duplicate_custom_id", 4, "custom_id"),
        ("duplicate_custom_id", 5, "custom_id"),
    ]
    assert "line 1" in reader.problems.listed[0].message
    assert reader.problems.listed[0].excerpt.startswith('{"custom_id": "a"')


def test_several_repeated_ids_are_all_named():
    ids = ["a", "b", "c", "b", "a", "b"]
    assert codes(b"\n".join(map(a_line, ids))) == [
        ("duplicate_custom_id", 4),
        ("duplicate_custom_id", 5),
        ("duplicate_custom_id", 6),
    ]


def test_an_id_is_compared_as_text_and_not_as_written():
    content = a_line("\u00fc") + b"\n" + a_line().replace(b'"a"', '"ü"'.encode()) + b"\n"
    assert codes(content) == [("duplicate_custom_id", 2)]


def test_a_hash_that_came_twice_is_only_a_suspicion():
    """Other ids of the same hash are no repeats; the second reading finds that out."""
    reader = RequestReader(Rules(max_line_bytes=1000, max_bytes=1000))
    lines = [a_line("a"), a_line("b"), b"bad", b"", b"[" * 100_000]
    for line in lines[:2]:
        reader.take(line)
    reader.finish()
    assert reader.suspects == set()
    reader.suspects = {hash("a"), hash("b")}
    reader.confirm_duplicates(lines)
    assert reader.problems.total == 0


def test_a_hundred_thousand_ids_take_no_memory_to_speak_of():
    """Eight bytes each; as a set of hashes they took ninety."""
    reader = RequestReader(Rules())
    lines = [a_line(f"id-{number}") for number in range(100_000)]
    tracemalloc.start()
    for line in lines:
        reader.take(line)
    reader.finish()
    current, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (reader.requests, reader.suspects) == (100_000, set())
    assert peak < 100_000 * 12
    assert current <= peak


def test_random_files_are_judged_line_by_line():
    chance = random.Random(6)
    good, bad = (b"\n", b"\r\n"), (b"bad", a_line(""), with_body(model=...), with_body(stream=2))
    for _ in range(100):
        rows, wrong, seen = [], [], set()
        for row in range(1, chance.randint(2, 40)):
            kind = chance.random()
            custom_id = f"id-{chance.randrange(30)}"
            if kind < 0.2:
                rows.append(b"")
            elif kind < 0.4:
                rows.append(chance.choice(bad))
                wrong.append(row)
            else:
                rows.append(a_line(custom_id))
                if custom_id in seen:
                    wrong.append(row)
                seen.add(custom_id)
        # An id stands on good lines only, so that bad lines are nobody's repeat.
        bad_as_is = {json.loads(b)["custom_id"] for b in bad[2:]}
        assert not bad_as_is & seen
        reader = read(b"".join(row + chance.choice(good) for row in rows))
        expected = wrong if seen or wrong else [None]
        assert reader.problems.total == len(expected)
        if len(expected) <= MAX_LISTED:
            assert sorted(p.line or 0 for p in reader.problems.listed) == [
                row or 0 for row in expected
            ]
