"""Errors, named by who must act. A class's docstring says what happens then."""

from __future__ import annotations

from batchd.core.reasons import ReasonCode


class BatchdError(Exception):
    """Something batchd knows the name of."""


class ConfigError(BatchdError):
    """The operator must act: exit 78, and systemd does not start it again."""


class LibraryMissing(BatchdError):
    """The operator must install it: what needs it waits, and is none the worse for that."""

    reason = ReasonCode.WAITING_FOR_TASK


class AlreadyRunning(BatchdError):
    """Somebody else has this root; exit 75, and trying again later may help."""


class InputError(BatchdError):
    """The sender must act: the job is rejected, and the reason is delivered with the input."""


class RemoteError(BatchdError):
    """The provider's end; which kind says who must act."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status  #: the HTTP status, where there was one
        self.code = code  #: the provider's own error code, where it gave one


class RemoteUnavailable(RemoteError):
    """Time will help: the work waits for its `due_at` and is done again."""

    def __init__(
        self,
        message: str,
        *,
        may_have_happened: bool,
        retry_after_seconds: float | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code)
        #: False only when the provider surely did nothing (429, connection refused).
        self.may_have_happened = may_have_happened
        self.retry_after_seconds = retry_after_seconds  #: what the provider asked for, if it did


class RemoteRefused(RemoteError):
    """Nothing will help: a definite no (4xx with the provider's reason). Nothing was done."""


class RemoteDenied(RemoteError):
    """The operator must act (401, 403, quota): remote stages rest, nothing is rejected."""


class BrokenInvariant(BatchdError):
    """We must act: exit 70, systemd restarts, and the log has the subject's history."""
