"""`batchd sandbox`: a local stand-in for the OpenAI API, to try things without paying."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import secrets
import signal
from pathlib import Path
from typing import Any

import click

from batchd.sandbox.options import DEFAULT_PORT, DIALECTS, Options

_HINTS = """\
Any OpenAI client can use it:
  export OPENAI_BASE_URL={base_url}
  export OPENAI_API_KEY={key}
What it received:    curl {url}/sandbox/ledger
What is to go wrong: curl -X PUT {url}/sandbox/faults -d '{{"listing_lag_seconds": 5}}'
Ctrl-C ends it."""


_WHSEC = "whsec_"  #: what follows is base64 (Standard Webhooks)


class _WithFaults(click.Command):
    """Its help ends with the vocabulary of faults, read only when somebody asks for it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from batchd.sandbox.faults import vocabulary

        faults, *rules = vocabulary().items()
        _write_table(formatter, "Faults (--fault NAME=VALUE, or PUT /sandbox/faults)", faults[1])
        for heading, rows in rules:
            _write_table(formatter, heading.removesuffix(":"), rows)


def _write_table(
    formatter: click.HelpFormatter, heading: str, rows: list[tuple[str, str, str]]
) -> None:
    with formatter.section(heading):
        formatter.write_dl([(name, f"{value}: {what}") for name, value, what in rows])


def _faults(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE pairs, checked against the vocabulary. A value that is no JSON is a string."""
    from batchd.sandbox.faults import Faults, UnknownFault, changed

    faults = dict(_pair(each) for each in given)
    try:
        changed(Faults(), faults)
    except UnknownFault as error:
        raise click.BadParameter(str(error)) from error
    return faults


def _pair(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not equals:
        raise click.BadParameter(f"{given!r} is not NAME=VALUE.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _secret(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str:
    """A new one where none is given: 32 bytes, as Standard Webhooks recommends at the most."""
    if given is None:
        return _WHSEC + base64.b64encode(secrets.token_bytes(32)).decode()
    try:
        base64.b64decode(
            given.removeprefix(_WHSEC) if given.startswith(_WHSEC) else "", validate=True
        )
    except binascii.Error:
        raise click.BadParameter("it begins with whsec_, and what follows is no base64") from None
    return given


@click.command(name="sandbox", cls=_WithFaults)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="0 takes any free port.")
@click.option("--api-key", metavar="KEY", help="Accept this key only; without it, any will do.")
@click.option(
    "--batch-seconds",
    default=3.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How long a batch takes from its creation.",
)
@click.option(
    "--validate-seconds",
    default=0.5,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How much of that it is validating.",
)
@click.option(
    "--dialect",
    default="openai",
    show_default=True,
    metavar="NAME",
    type=click.Choice(DIALECTS),
    help=f"Speak as another server does: {', '.join(DIALECTS[1:])}.",
)
@click.option(
    "--expiry-speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Let files expire so many times sooner than they were told to.",
)
@click.option("--seed", default="", metavar="TEXT", help="Shuffle the outputs another way.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the files here instead of in a temporary folder.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="Ring there when a batch is over, as the API's webhooks do.",
)
@click.option(
    "--webhook-secret",
    metavar="TEXT",
    callback=_secret,
    help="Sign the rings with it (whsec_ and base64, or plain); without it, one is made and shown.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_faults,
    help="Something that goes wrong, see below. May be given several times.",
)
def sandbox(**given: Any) -> None:
    """Serve a local stand-in for the OpenAI API: files, batches, models, at no cost.

    Batches take seconds instead of hours; answers are made up, but always the same for the same
    request, and they satisfy a JSON schema where one is asked for.
    """
    asyncio.run(_serve(Options(**given)))


async def _serve(options: Options) -> None:
    from batchd.sandbox.serving import running_sandbox  # late: `batchd --help` must stay quick

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with running_sandbox(options) as running:
            click.echo(f"sandbox listening on {running.base_url}")  # tests wait for this line
            click.echo(_hints(running.url, running.base_url, options), err=True)
            await stop.wait()
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {options.host}:{options.port}: {error}"
        ) from None


def _hints(url: str, base_url: str, options: Options) -> str:
    key = options.api_key or "sk-sandbox  # any key will do"
    hints = _HINTS.format(url=url, base_url=base_url, key=key)
    if options.webhook is None:
        return hints
    return f"{hints}\nIt rings {options.webhook}, signed with {options.webhook_secret}"
