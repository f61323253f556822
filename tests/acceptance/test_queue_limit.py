"""An account that lets 200,000 tokens queue, and a file of two million: nobody configured anything."""

from __future__ import annotations

import pytest

from tests.acceptance.outcomes import check_results, finished
from tests.houses import drop, read_receipt, request

pytestmark = pytest.mark.processes

LIMIT, MODEL = 200_000, "gpt-4o-mini"
REQUESTS, LINE_BYTES = 2_000, 4_000  # a quarter of a token per byte: two million together


def test_ten_times_what_the_account_lets_queue_goes_through_with_nothing_configured(
    processes, root
):
    lines = [
        request(f"r-{n}", text=f"question {n}: ".ljust(LINE_BYTES, "x")) for n in range(REQUESTS)
    ]
    sandbox = processes.sandbox(batch_seconds=0.3, enqueued_token_limit=LIMIT)
    daemon = processes.daemon(root, sandbox)
    dropped = drop(root, "large.jsonl", lines)
    size = dropped.stat().st_size
    assert size / 4 > 10 * LIMIT

    folder = finished(processes, root, "large", within=120)["large"]

    check_results(folder, lines)
    ledger = sandbox.ledger(executions=False)
    statuses = [batch["status"] for batch in ledger["batches"]]
    peak = ledger["peak_enqueued_tokens"][MODEL]
    uploads = ledger["calls"].get("POST /v1/files") or len(ledger["files"])
    seconds = read_receipt(folder)["times"]["seconds"]
    print(  # noqa: T201
        f"{size / 4:,.0f} tokens, {LIMIT:,} allowed: {len(statuses)} batches,"
        f" {statuses.count('failed')} refused, peak {peak:,}, {uploads} uploads, {seconds:.1f} s"
    )
    assert peak <= LIMIT
    told = [event["text"] for event in daemon.events("shard.too_large")]
    assert statuses.count("failed") == 1, told
    assert read_receipt(folder)["requests"]["succeeded"] == REQUESTS
    assert len(statuses) <= 1 + 12
    assert [e["text"] for e in daemon.events("shard.too_large")]
