"""`batchd recover`: a new ledger from the folders, what is left of the old one, and the provider."""

from __future__ import annotations

import os

import click

from batchd.cli.options import reads_settings
from batchd.configuration import Loaded, api_key, base_url
from batchd.recovery.recovering import Outcome, Wish
from batchd.recovery.running import run_recovery
from batchd.spool.folders import keep_strangers_out


@click.command()
@reads_settings
@click.option("--dry-run", is_flag=True, help="Only show what would become of each job.")
@click.option("--root-id", metavar="ID", help="This root's id, where nobody knows it any more.")
@click.option(
    "--ignore",
    "ignored",
    metavar="BATCH",
    multiple=True,
    help="This batch is another program's. May be given several times.",
)
def recover(loaded: Loaded, dry_run: bool, root_id: str | None, ignored: tuple[str, ...]) -> None:
    """Rebuild a ledger that is damaged, gone, or a backup.

    The ledger is var/batchd.db: what was sent, and whose it is. This reads the work folders, the receipts in the outbox, what is left of the old ledger, and the
    provider's list of batches. What is at the provider is looked after again, and not sent again.
    Nothing is deleted: the old ledger is kept as var/batchd.db.damaged-TIME. The daemon must be
    stopped.
    """
    settings = loaded.settings
    keep_strangers_out()
    outcome = run_recovery(
        settings,
        api_key=api_key(settings, os.environ),
        base_url=base_url(settings, os.environ),
        wish=Wish(root_id=root_id, ignored=frozenset(ignored), dry_run=dry_run),
        tell=lambda line: click.echo(f"batchd: {line}", err=True),
    )
    for line in _table(outcome):
        click.echo(line)
    click.echo(_ending(outcome, dry_run=dry_run))


def _table(outcome: Outcome) -> list[str]:
    width = max((len(file) for file, _ in outcome.rows.values()), default=0)
    rows = [f"{job}  {file:<{width}}  {word}" for job, (file, word) in sorted(outcome.rows.items())]
    return [*rows, f"{outcome.delivered} finished jobs are known again"]


def _ending(outcome: Outcome, *, dry_run: bool) -> str:
    if dry_run:
        return "nothing was changed; without --dry-run this would become the ledger"
    kept = ", ".join(path.name for path in outcome.kept) or "there was none"
    return f"the ledger is rebuilt (root {outcome.root}); the old one is kept: {kept}"
