"""`batchd sandbox`: a local stand-in for the OpenAI API, to try things without paying."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from batchd.sandbox.options import DEFAULT_PORT, Options


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="0 takes any free port.")
@click.option("--api-key", help="Accept this key only. Without it, any key will do.")
@click.option("--batch-seconds", default=3.0, show_default=True, help="How long a batch takes.")
@click.option(
    "--validate-seconds", default=0.5, show_default=True, help="How much of it validating takes."
)
@click.option("--seed", default="", help="Shuffle the outputs another way.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Keep the files here."
)
def sandbox(
    host: str,
    port: int,
    api_key: str | None,
    batch_seconds: float,
    validate_seconds: float,
    seed: str,
    folder: Path | None,
) -> None:
    """Serve files, batches and models locally, over real HTTP, for nothing."""
    options = Options(
        host=host,
        port=port,
        api_key=api_key,
        batch_seconds=batch_seconds,
        validate_seconds=validate_seconds,
        seed=seed,
        folder=folder,
    )
    asyncio.run(_serve(options))


async def _serve(options: Options) -> None:
    from batchd.sandbox.serving import running_sandbox  # late: `batchd --help` must stay quick

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_sandbox(options) as running:
        click.echo(f"sandbox listening on {running.base_url}")
        click.echo(f"export OPENAI_BASE_URL={running.base_url} OPENAI_API_KEY=sk-sandbox", err=True)
        await stop.wait()
