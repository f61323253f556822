"""What a notice says, to a command and to an address."""

from __future__ import annotations

import json

from batchd.core import events as e
from batchd.core.model import CancelWhy
from batchd.notices.notice import Kind, of_job, of_problem
from batchd.spool.folders import Folders
from tests.store.lives import JOB, claimed, open_ledger, rejected

AT = 1_790_000_000.0


async def ended(tmp_path, *events, outcome: str):
    tmp_path.mkdir(exist_ok=True)
    async with open_ledger(tmp_path) as ledger:
        end = e.PublishStarted(job=JOB, folder="f--0", outcome=outcome, summary={"requests": 3})
        await ledger.record(claimed(), *events, rejected(), end, e.JobDelivered(job=JOB), at=AT)
        return of_job(await ledger.job(JOB), folders=Folders(tmp_path), root=ledger.root)


async def test_a_rejected_file_has_its_reason(tmp_path):
    notice = await ended(tmp_path, outcome="rejected")

    assert notice.kind is Kind.REJECT
    assert notice.environment == {
        "BATCHD_NOTICE": "reject",
        "BATCHD_JOB": JOB,
        "BATCHD_DIR": str(tmp_path / "outbox" / "f--0"),
        "BATCHD_OUTCOME": "rejected",
        "BATCHD_FILE": "caf\udce9.jsonl",
        "BATCHD_REASON": "invalid",
        "BATCHD_TEXT": "",
    }


async def test_every_other_end_is_complete_and_says_how_it_ended(tmp_path):
    cancelled = e.JobCancelled(job=JOB, why=CancelWhy.ASKED, text="by \x1b root")
    notice = await ended(tmp_path, cancelled, outcome="cancelled")

    assert notice.kind is Kind.COMPLETE
    assert notice.environment["BATCHD_OUTCOME"] == "cancelled"
    assert notice.environment["BATCHD_REASON"] == "asked"
    assert notice.environment["BATCHD_TEXT"] == "by \\x1b root"
    body = json.loads(notice.body)
    assert body["type"] == "batchd.job.complete"
    assert body["timestamp"] == "2026-09-21T14:13:20.000Z"
    assert body["data"]["file"] == "caf\\xe9.jsonl"
    assert body["data"]["requests"] == 3


async def test_it_has_the_same_id_whenever_it_is_told(tmp_path):
    first = await ended(tmp_path / "a", outcome="completed")
    again = await ended(tmp_path / "b", outcome="completed")
    assert first.id.endswith(f"_{JOB}_complete")
    assert first.id.rpartition("_")[2] == again.id.rpartition("_")[2]


def test_a_problem_of_many_jobs_is_one_notice():
    jobs = [f"0tr1c{n}" for n in range(8)]
    notice = of_problem("stuck", "batch b\x00 is stuck", jobs=jobs, at=AT, root="r")

    assert notice.environment["BATCHD_REASON"] == "stuck"
    assert notice.environment["BATCHD_JOB"] == "0tr1c0"
    assert "and 7 more jobs: 0tr1c1, 0tr1c2" in notice.text
    assert "\0" not in notice.text
    assert json.loads(notice.body)["data"]["jobs"] == jobs
    assert json.loads(notice.body)["type"] == "batchd.problem"
