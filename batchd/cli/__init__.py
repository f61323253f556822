"""The command line: `batchd COMMAND`. stdout is data, stderr is messages, the exit code is known."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from batchd import __version__
from batchd.cli.exits import invoke, is_our_mistake
from batchd.cli.lazy import Lazy, LazyGroup

#: In the order in which somebody new needs them.
COMMANDS = {
    "demo": Lazy("batchd.cli.demo", "Show all of it in half a minute, without a key."),
    "init": Lazy(
        "batchd.cli.init",
        "Make a root: folders, a README in each, a configuration and tasks to begin with.",
    ),
    "run": Lazy("batchd.cli.run", "Run the daemon until it is stopped."),
    "status": Lazy(
        "batchd.cli.status",
        "Show the daemon, the inbox, the jobs, the batches, and what waits for what.",
    ),
    "check": Lazy(
        "batchd.cli.check",
        "Say what would become of files: batches, tokens, cost, and every mistake.",
    ),
    "task": Lazy(
        "batchd.cli.task", "Make, check and try the recipes that turn tables into requests."
    ),
    "submit": Lazy("batchd.cli.submit", "Drop copies of files into the inbox, whole and at once."),
    "wait": Lazy("batchd.cli.wait", "Wait until jobs are delivered, and exit by how they ended."),
    "retry": Lazy("batchd.cli.retry", "Drop again what failed of delivered jobs."),
    "why": Lazy("batchd.cli.why", "Say where a file or a job is, and why."),
    "jobs": Lazy(
        "batchd.cli.jobs", "List jobs, the youngest first: on their way, held, delivered."
    ),
    "show": Lazy(
        "batchd.cli.show",
        "Show everything that is known of a job, ending with what happened to it.",
    ),
    "logs": Lazy(
        "batchd.cli.logs",
        "Show what the daemon wrote down, of all jobs or of one.",
    ),
    "cancel": Lazy(
        "batchd.cli.cancel",
        "Cancel jobs: nothing more of them is sent, and what was answered is delivered.",
    ),
    "hold": Lazy(
        "batchd.cli.hold", "Hold jobs: nothing more of them is sent, until they are released."
    ),
    "release": Lazy(
        "batchd.cli.release", "Release held jobs: they go on, whatever the budget says."
    ),
    "pause": Lazy(
        "batchd.cli.pause", "Let intake, submission or both rest; everything else goes on."
    ),
    "resume": Lazy("batchd.cli.resume", "Let intake, submission or both go on."),
    "reload": Lazy("batchd.cli.reload", "Have the daemon read its settings again."),
    "spend": Lazy(
        "batchd.cli.spend",
        "Say what was spent, by day, month, model or task, and how the budget stands.",
    ),
    "service": Lazy("batchd.cli.service", "Put the systemd units in place, or take them away."),
    "config": Lazy(
        "batchd.cli.config",
        "Check the configuration in stages, or show every setting and where it comes from.",
    ),
    "doctor": Lazy(
        "batchd.cli.doctor",
        "Look at everything around batchd, and say for each thing that is wrong what mends it.",
    ),
    "bugreport": Lazy(
        "batchd.cli.bugreport",
        "Gather what a report of a problem needs, without prompts, names or keys.",
    ),
    "recover": Lazy("batchd.cli.recover", "Rebuild a ledger that is damaged, gone, or a backup."),
    "sandbox": Lazy(
        "batchd.cli.sandbox",
        "Serve a local stand-in for the OpenAI API: files, batches, models, at no cost.",
    ),
    "completion": Lazy(
        "batchd.cli.completion", "Print the script that completes commands in bash, zsh or fish."
    ),
    "version": Lazy("batchd.cli.version", "Say which versions are at work."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="batchd", message="%(prog)s %(version)s")
def batchd() -> None:
    """Drop a file into inbox/; later, at half the price, the answers lie in outbox/."""


def main() -> NoReturn:
    """The program `batchd`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no text at all
    sys.excepthook = is_our_mistake
    sys.exit(invoke(batchd, sys.argv[1:]))
