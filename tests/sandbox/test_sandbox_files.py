"""Uploads, and what can be asked about files (API reference B.4, E)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable

import pytest

from batchd.sandbox.uploads import Received
from tests.sandbox.support import chat_lines, jsonl, talking

NOT_JSONL = "Invalid file format for Batch API. Must be .jsonl"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # a folder rings no bell
            await asyncio.sleep(0.005)


async def test_an_upload_is_answered_with_a_file_object():
    content = jsonl(chat_lines(2))
    async with talking() as talk:
        file = (await talk.send_file(content)).json()
        again = (await talk.http.get(f"/v1/files/{file['id']}")).json()

    assert re.fullmatch(r"file-[A-Za-z0-9]{22}", file["id"])
    assert file == again
    assert file["object"] == "file"
    assert file["bytes"] == len(content)
    assert file["filename"] == "input.jsonl"
    assert file["purpose"] == "batch"
    assert file["status"] == "processed"
    assert file["expires_at"] == file["created_at"] + 2_592_000


async def test_a_download_is_the_upload_again():
    content = jsonl(chat_lines(5000))
    async with talking() as talk:
        file = (await talk.send_file(content)).json()
        answer = await talk.http.get(f"/v1/files/{file['id']}/content")
        ledger = talk.sandbox.ledger()

    assert answer.content == content
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="input.jsonl"'
    assert int(answer.headers["content-length"]) == len(content)
    assert ledger["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"{}\n", NOT_JSONL),
        ("empty.jsonl", b"", NOT_JSONL),
        ("blank.jsonl", b"\n{}\n", NOT_JSONL),
        ("broken.jsonl", b"{broken\n{}\n", NOT_JSONL),
        (
            "latin.jsonl",
            b'{"a": 1}\n{"a": "\xe9"}\n',
            "Invalid file for Batch API. Must be utf-8 encoded",
        ),
        (
            "cut.jsonl",
            b'{"a": 1}\n{"a": "\xc3',
            "Invalid file for Batch API. Must be utf-8 encoded",
        ),
    ],
)
async def test_an_upload_that_is_no_jsonl_is_refused(name, content, message):
    async with talking() as talk:
        answer = await talk.send_file(content, name)

        assert answer.status_code == 400
        assert answer.json()["error"] == {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
        assert list(talk.sandbox.world.folder.iterdir()) == []


async def test_a_refused_format_comes_with_its_detail():
    async with talking() as talk:
        answer = await talk.send_file(b"{}", "notes.txt")

    assert answer.json()["detail"] == {"message": NOT_JSONL, "code": None}


@pytest.mark.parametrize("name", ["upload", "a.b.jsonl"])
async def test_a_name_without_suffix_is_taken_too(name):
    async with talking() as talk:
        assert (await talk.send_file(b"{}", name)).status_code == 200


async def test_a_file_beginning_with_a_bom_is_taken_and_fails_as_a_batch():
    async with talking() as talk:
        errors = await talk.errors_of([b"\xef\xbb\xbf" + jsonl(chat_lines(1))])

    assert [(error["code"], error["line"]) for error in errors] == [("invalid_json_line", 1)]


async def test_other_purposes_are_not_looked_into():
    async with talking() as talk:
        answer = await talk.send_file(b"\xff\xfe", "notes.txt", purpose="user_data")

    assert answer.status_code == 200


async def test_purpose_and_file_are_required():
    async with talking() as talk:
        unknown = await talk.send_file(b"{}", purpose="fun")
        nothing = await talk.http.post("/v1/files", files={"purpose": (None, "batch")})
        without = await talk.http.post("/v1/files", files={"file": ("a.jsonl", b"{}")})
        no_form = await talk.http.post("/v1/files", json={})

    assert unknown.json()["error"]["code"] == "invalid_value"
    assert unknown.json()["error"]["param"] == "purpose"
    assert nothing.json()["error"]["param"] == "file"
    assert without.json()["error"]["message"] == "Missing required parameter: 'purpose'."
    assert no_form.status_code == 400


async def test_expires_after_sets_the_lifetime():
    async with talking() as talk:
        fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        good = (await talk.send_file(b"{}", **fields)).json()
        short = await talk.send_file(b"{}", **(fields | {"expires_after[seconds]": "60"}))
        anchor = await talk.send_file(b"{}", **(fields | {"expires_after[anchor]": "now"}))

    assert good["expires_at"] == good["created_at"] + 3600
    assert short.json()["error"]["code"] == "integer_below_min_value"
    assert anchor.json()["error"]["param"] == "expires_after.anchor"


def test_a_file_of_more_than_512_mb_is_too_large_and_not_kept(tmp_path):
    received = Received(tmp_path / "x", "x.jsonl")
    received.bytes = 512 * 1024 * 1024
    assert not received.is_too_large
    received.write(b"x")
    received.close()

    assert received.is_too_large
    assert (tmp_path / "x").stat().st_size == 0


async def test_an_unknown_file_is_404():
    async with talking() as talk:
        for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/content")]:
            answer = await talk.http.request(method, f"/v1/files/file-none{path}")
            assert answer.status_code == 404
            assert answer.json()["error"]["message"] == "No such File object: file-none"


async def test_a_deleted_file_is_gone_and_stays_in_the_ledger():
    async with talking() as talk:
        file_id = await talk.upload(chat_lines(1))
        answer = await talk.http.delete(f"/v1/files/{file_id}")
        after = await talk.http.get(f"/v1/files/{file_id}")
        ledger = talk.sandbox.ledger()

    assert answer.json() == {"id": file_id, "object": "file", "deleted": True}
    assert after.status_code == 404
    assert [file["deleted"] for file in ledger["files"]] == [True]


async def test_a_batch_survives_the_deletion_of_its_input():
    async with talking() as talk:
        file_id = await talk.upload(chat_lines(3))
        batch = await talk.create(file_id)
        await talk.http.delete(f"/v1/files/{file_id}")
        batch = await talk.until(batch["id"], "completed", "failed")

    assert batch["status"] == "completed"


async def test_files_are_listed_newest_first_page_by_page():
    async with talking() as talk:
        ids = [await talk.upload(chat_lines(1)) for _ in range(3)]
        await talk.send_file(b"x", "x.txt", purpose="user_data")
        first = (await talk.http.get("/v1/files?limit=2&purpose=batch")).json()
        second = (
            await talk.http.get(f"/v1/files?limit=2&purpose=batch&after={first['last_id']}")
        ).json()
        oldest = (await talk.http.get("/v1/files?order=asc")).json()
        wrong = await talk.http.get("/v1/files?limit=0")

    assert [file["id"] for file in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"] is True
    assert [file["id"] for file in second["data"]] == [ids[0]]
    assert second["has_more"] is False
    assert oldest["data"][0]["id"] == ids[0]
    assert wrong.status_code == 400


async def test_the_order_of_the_forms_fields_does_not_matter():
    async with talking() as talk:
        fields = [("file", ("a.jsonl", b"{}")), ("purpose", (None, "batch"))]
        answer = await talk.http.post("/v1/files", files=fields)

    assert answer.status_code == 200


async def test_an_upload_that_breaks_off_leaves_nothing():
    async with talking() as talk:
        reader, writer = await asyncio.open_connection(talk.sandbox.host, talk.sandbox.port)
        writer.write(
            b"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'
        )
        await writer.drain()
        folder = talk.sandbox.world.folder
        await until(lambda: len(list(folder.iterdir())) == 1)
        writer.close()
        await writer.wait_closed()
        await until(lambda: list(folder.iterdir()) == [])

    assert await reader.read() == b""


async def test_a_file_is_gone_when_its_time_is_over():
    """An hour is a fifth of a second here."""
    hour = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    async with talking(expiry_speed=18_000) as talk:
        brief = (await talk.send_file(jsonl(chat_lines(1)), **hour)).json()
        long = (await talk.send_file(jsonl(chat_lines(1)))).json()
        assert brief["expires_at"] - brief["created_at"] == 3600
        path = talk.sandbox.world.shelf.get(brief["id"]).path
        await until(lambda: talk.sandbox.world.shelf.find(brief["id"]) is None)
        answers = [
            await talk.http.request(method, f"/v1/files/{brief['id']}{rest}")
            for method, rest in [("GET", ""), ("GET", "/content"), ("DELETE", "")]
        ]
        listed = (await talk.http.get("/v1/files")).json()["data"]
        ledger = talk.sandbox.ledger()["files"]
        late = await talk.create(brief["id"])
        failed = await talk.until(late["id"], "failed")
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert [file["id"] for file in listed] == [long["id"]]
    assert [file["expired"] for file in ledger] == [True, False]
    assert not path.exists()
    assert "Cannot find file" in failed["errors"]["data"][0]["message"]


async def test_what_came_of_a_batch_expires_by_its_own_time():
    expiry = {"anchor": "created_at", "seconds": 3600}
    async with talking(expiry_speed=18_000) as talk:
        batch = await talk.run(chat_lines(1), output_expires_after=expiry)
        output = batch["output_file_id"]
        assert (await talk.http.get(f"/v1/files/{output}/content")).status_code == 200
        await until(lambda: talk.sandbox.world.shelf.find(output) is None)
        assert (await talk.http.get(f"/v1/files/{output}/content")).status_code == 404
        assert (await talk.http.get(f"/v1/files/{batch['input_file_id']}")).status_code == 200


async def test_a_download_can_be_resumed_where_ranges_are_offered():
    content = jsonl(chat_lines(100))
    async with talking(faults={"ranges": True}) as talk:
        url = f"/v1/files/{(await talk.send_file(content)).json()['id']}/content"
        whole = await talk.http.get(url)
        etag = whole.headers["etag"]
        rest = await talk.http.get(url, headers={"range": "bytes=1000-", "if-range": etag})
        other = await talk.http.get(url, headers={"range": "bytes=1000-", "if-range": '"old"'})
        beyond = await talk.http.get(url, headers={"range": f"bytes={len(content)}-"})
        talk.sandbox.set_faults(ranges=None)
        ignored = await talk.http.get(url, headers={"range": "bytes=1000-"})
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    assert (rest.status_code, rest.content) == (206, content[1000:])
    assert rest.headers["content-range"] == f"bytes 1000-{len(content) - 1}/{len(content)}"
    assert (other.status_code, other.content) == (200, content)
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
    assert (ignored.status_code, ignored.content) == (200, content)
    assert "etag" not in ignored.headers
