"""How the program ends: the codes, which error is which, and the one place that says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from types import TracebackType

import click

from batchd.core import errors
from batchd.core.hiding import redact


class Exit(IntEnum):
    """What the shell gets. A code that is not here counts as failed."""

    OK = 0
    FAILED = 1  #: it was tried and did not work
    USAGE = 2  #: the command line is wrong
    PARTLY = 3  #: some of it worked
    NOT_FOUND = 4  #: no such job or file
    NOT_RUNNING = 5  #: the daemon is needed and not there
    REFUSED = 6  #: it could be done, and something forbids it
    STILL_RUNNING = 7  #: `wait` has waited long enough
    INTERNAL = 70  #: our mistake (sysexits: EX_SOFTWARE)
    IO = 74  #: the disk or the network (EX_IOERR)
    TRY_AGAIN = 75  #: time will help (EX_TEMPFAIL)
    PERMISSION = 77  #: somebody may not (EX_NOPERM)
    CONFIGURATION = 78  #: the settings or the key (EX_CONFIG); systemd does not restart
    INTERRUPTED = 130  #: Ctrl-C


#: The first that fits; OSErrors are what the disk says where nobody translated it.
CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (errors.ConfigError, Exit.CONFIGURATION),
    (errors.AlreadyRunning, Exit.TRY_AGAIN),
    (errors.RemoteUnavailable, Exit.TRY_AGAIN),
    (errors.RemoteDenied, Exit.PERMISSION),
    (errors.BrokenInvariant, Exit.INTERNAL),
    (errors.BatchdError, Exit.FAILED),
    (PermissionError, Exit.PERMISSION),
    (OSError, Exit.IO),
)


def exit_of(error: Exception) -> Exit:
    return next(code for kind, code in CODES if isinstance(error, kind))


def invoke(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command; its result is the exit code, and known errors are one message each."""
    try:
        code = command.main(list(arguments), prog_name="batchd", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.UsageError as error:
        complain(error.format_message())
        where = error.ctx.command_path if error.ctx else "batchd"
        click.echo(f"see {where} --help", err=True)
        return Exit.USAGE
    except click.ClickException as error:
        complain(error.format_message())
        return Exit.FAILED
    except click.Abort:
        complain("interrupted")
        return Exit.INTERRUPTED
    except errors.BatchdError as error:
        complain(str(error))
        return exit_of(error)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return exit_of(error)
    return int(code or Exit.OK)


def complain(message: str) -> None:
    """On stderr, every line marked as ours, and never a key that somebody mistyped into place."""
    for line in redact(message).splitlines():
        click.echo(f"batchd: {line}", err=True)


def is_our_mistake(
    kind: type[BaseException], error: BaseException, at: TracebackType | None
) -> None:
    """Python's last word on an exception that nobody knew: loud, and with its own exit code.

    A hook, because catching everything is what hides mistakes.
    """
    if issubclass(kind, KeyboardInterrupt):
        raise SystemExit(Exit.INTERRUPTED)
    sys.__excepthook__(kind, error, at)
    cause = type(_innermost(error)).__name__
    complain(f"internal error ({cause}); nothing is lost, and this is a bug worth a report")
    raise SystemExit(Exit.INTERNAL)


def _innermost(error: BaseException) -> BaseException:
    """Task groups wrap what happened in them, each once more."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
