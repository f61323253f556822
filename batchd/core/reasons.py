"""Why a file or a job is where it is: a closed list of codes, each with a sentence and the way out.

The codes are what the ledger keeps and what every command, JSON answer and log line says; they are
never renamed. `docs/reasons.md` lists them, and a test keeps it equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from batchd.core.words import in_words


class Standing(StrEnum):
    """The few kinds of reasons; every path and every job has exactly one."""

    WAITING = "waiting"  #: in the inbox, and to be taken
    IGNORED = "ignored"  #: in the inbox, and never taken as it is
    CLAIMED = "claimed"  #: a job on its way, that needs nobody
    HELD = "held"  #: a job that somebody must look at
    REJECTED = "rejected"  #: the sender must mend it
    DONE = "done"  #: its folder has appeared in the outbox
    ELSEWHERE = "elsewhere"  #: neither a dropped file nor a job


class ReasonCode(StrEnum):
    """The closed list. The comment says why a code stands apart from its neighbours."""

    # Files in the inbox that will be taken
    NEW = "new"  #: it came, or changed, after the daemon's last look
    GROWING = "growing"  #: seen changing: a copy is under way
    SETTLING = "settling"  #: quiet, but not for long enough
    EMPTY = "empty"  #: Finder and `touch` make the name first: the content may still come
    LAST_LINE_CUT = "last-line-cut"  #: what a copy that has not ended looks like
    GZIP_BROKEN = "gzip-broken"  #: the same, where only inflating it can tell
    END_MISSING = "end-missing"  #: the same, for what has an end of its own: JSON, Parquet, Excel
    LAST_LINE_OPEN = "last-line-open"  #: many tables end so, and so does half a copy of one
    OPEN_WRITER = "open-writer"  #: the kernel says that somebody has it open for writing
    NO_DONE_FILE = "no-done-file"  #: its sender says when it is complete, and has not said so
    DONE_FILE = "done-file"  #: it speaks of another file, and leaves with that one
    NO_PERMISSION = "no-permission"  #: a person must act, and it is no fault of the content
    CANNOT_MOVE = "cannot-move"  #: the inbox itself forbids it
    TASK_MISSING = "task-missing"  #: its folder is to be a task's, and nobody wrote that one
    TASK_BROKEN = "task-broken"  #: the operator must mend the task, and the file is as good as ever
    LIBRARY_MISSING = (
        "library-missing"  #: the operator must install it; the file is as good as ever
    )
    QUEUE_FULL = "queue-full"  #: back-pressure: enough is on its way
    PAUSED = "paused"  #: somebody lets intake or submission rest
    DISK_LOW = "disk-low"  #: intake rests, everything else goes on
    READY = "ready"  #: settled: the very next look takes it
    NOT_LOOKED = "not-looked"  #: the daemon runs, but cannot list the inbox
    NOT_RUNNING = "not-running"  #: nobody is there to take it

    # Files in the inbox that stay there
    NOT_WANTED_NAME = "not-wanted-name"  #: another ending than ours
    TABLE_WITHOUT_TASK = "table-without-task"  #: only its place says what is to be done with it
    NOT_A_TABLE = "not-a-table"  #: a picture among tables
    TEMPORARY_NAME = "temporary-name"  #: how programs name what is not finished, or not for us
    IGNORED_NAME = "ignored-name"  #: the operator's own pattern
    HIDDEN = "hidden"  #: a name that begins with a dot is nobody's
    CANCEL_UNKNOWN = "cancel-unknown"  #: an order for a job that is not there
    CANCEL_REFUSED = "cancel-refused"  #: an order by somebody who may not give it
    STAGING = "staging"  #: where programs write before they rename
    DIRECTORY = "directory"  #: only files are taken
    SYMLINK = "symlink"  #: following one could take what lies outside
    SPECIAL_FILE = "special-file"  #: reading a pipe or a device may never end
    SUBFOLDER_WITHOUT_TASK = "subfolder-without-task"  #: too deep: only right in inbox/ is a task

    # Jobs, from claim to delivery
    UNLISTED = "unlisted"  #: between the rename and the ledger
    READING = "reading"  #: nothing is sent before every line is read
    JOINED = "joined"  #: the same file is on its way, and is paid for once
    UPLOADING = "uploading"  #: it has room and is due: it is being sent, or is next
    WAITING_FOR_ROOM = "waiting-for-room"  #: enough batches are open
    WAITING_FOR_THE_HOUR = "waiting-for-the-hour"  #: so many batches may be created in an hour
    SUBMISSION_PAUSED = "submission-paused"  #: as above, seen from a job
    WAITING_FOR_TOKENS = "waiting-for-tokens"  #: the account's queue limit for the model
    WAITING_FOR_EMBEDDINGS = "waiting-for-embeddings"  #: a limit over all models, shown nowhere
    SUBMITTING = "submitting"  #: the call that creates the batch is under way
    DOUBT = "doubt"  #: that call broke, and only the provider knows
    NOT_THERE = "not-there"  #: the provider was asked: no batch, so it is sent again
    PROVIDER_UNAVAILABLE = "provider-unavailable"  #: time will help
    DENIED = "denied"  #: key, quota or billing: nothing is rejected for it
    FILE_UNSEEN = "file-unseen"  #: the provider does not find the file that it has
    NO_ROOM = "no-room"  #: the provider's own word for a full queue
    CANCELLING = "cancelling"  #: what is open is called off, what was answered is fetched
    AT_THE_PROVIDER = "at-the-provider"  #: the long, ordinary wait
    COLLECTING = "collecting"  #: the batch has ended, its answers are fetched
    PLANNING_AGAIN = "planning-again"  #: what may pass is put together for another round
    BUILDING = "building"  #: every request has its last word
    PUBLISHING = "publishing"  #: the folder is complete, and about to appear

    # Jobs that a person must look at
    HELD = "held"  #: by somebody's word
    OVER_BUDGET = "over-budget"  #: it would cost more than may be spent
    COST_UNKNOWN = "cost-unknown"  #: there is a budget, and no price to hold against it
    STUCK = "stuck"  #: far longer at the provider than is usual; never given up
    DOUBT_UNSETTLED = "doubt-unsettled"  #: the provider cannot say, and a guess could pay twice
    BATCH_VANISHED = "batch-vanished"  #: a 404 alone ends nothing
    ANSWERS_MISSING = "answers-missing"  #: the batch has ended, and its files are not found
    INPUT_CHANGED = "input-changed"  #: what was checked is not what lies there
    KEPT_TASK_GONE = "kept-task-gone"  #: its task, as it was when its file was planned
    INPUT_MISSING = "input-missing"  #: somebody took it out of var/work
    WAITING_FOR_TASK = "waiting-for-task"  #: its task broke, or went, after it had been taken

    # Ends
    REJECTED = "rejected"  #: something in the file must be mended; it cost nothing
    DELIVERED = "delivered"  #: the folder is in the outbox
    TAKEN_AWAY = "taken-away"  #: it was delivered, and its reader has moved it

    # Neither a dropped file nor a job
    OWN = "own"  #: a folder or file that batchd needs
    FOREIGN = "foreign"  #: below the root, and not from batchd
    OUTSIDE = "outside"  #: not below the root
    UNKNOWN = "unknown"  #: neither there nor in the ledger


class Told(NamedTuple):
    """What is said of a code: facts stand in braces, and end with their unit."""

    standing: Standing
    sentence: str
    setting: str | None = None  #: the one to look at when it should be otherwise


_WAITING, _IGNORED, _CLAIMED, _HELD = list(Standing)[:4]
_REJECTED, _DONE, _ELSEWHERE = list(Standing)[4:]
_C = ReasonCode

# One entry, two or three lines: the formatter would make five of them, and a list no one reads.
# fmt: off
TOLD: Mapping[ReasonCode, Told] = {
    _C.NEW: Told(_WAITING, "the daemon looks at the inbox every {scan_seconds}, and has not yet seen"
        " it as it is now", "inbox.scan_seconds"),
    _C.GROWING: Told(_WAITING, "it is {size_bytes} and still changing; it is taken once it has been"
        " quiet for {settle_seconds}", "inbox.settle_seconds"),
    _C.SETTLING: Told(_WAITING, "it has been quiet for {quiet_seconds}; it is taken after"
        " {settle_seconds}", "inbox.settle_seconds"),
    _C.EMPTY: Told(_WAITING, "it is empty, and may still be filled; if not, it is rejected after"
        " {grace_seconds}", "inbox.empty_grace_seconds"),
    _C.LAST_LINE_CUT: Told(_WAITING, "its last line is cut off, as in an unfinished copy; finish it,"
        " or it is rejected after {grace_seconds}", "inbox.cut_grace_seconds"),
    _C.GZIP_BROKEN: Told(_WAITING, "its gzip data is cut off or damaged, as in an unfinished copy;"
        " finish it, or it is rejected after {grace_seconds}", "inbox.cut_grace_seconds"),
    _C.END_MISSING: Told(_WAITING, "its end is missing, as in an unfinished copy; finish it, or it is"
        " rejected after {grace_seconds}", "inbox.cut_grace_seconds"),
    _C.LAST_LINE_OPEN: Told(_WAITING, "its last line has no line break, as in an unfinished copy; it"
        " is taken as it is after {grace_seconds}", "inbox.cut_grace_seconds"),
    _C.OPEN_WRITER: Told(_WAITING, "a program has it open for writing; it is taken when that program"
        " closes it"),
    _C.NO_DONE_FILE: Told(_WAITING, "its sender has not said that it is complete; it is taken once"
        " {done} lies beside it", "inbox.done_file"),
    _C.DONE_FILE: Told(_WAITING, "it says that {name} is complete, and leaves together with it;"
        " without that file it stays", "inbox.done_suffix"),
    _C.NO_PERMISSION: Told(_WAITING, "it may not be read (owner {owner}, mode {mode}); it is taken"
        " after chmod g+r, or chmod a+r"),
    _C.CANNOT_MOVE: Told(_WAITING, "it can be read, but not moved out of the inbox; the daemon's user"
        " must be allowed to write there"),
    _C.TASK_MISSING: Told(_WAITING, "it lies in inbox/{task}/, and there is no task of that name"
        " ({tasks}); write that task, or move it into another's folder or into inbox/ itself"),
    _C.TASK_BROKEN: Told(_WAITING, "the task {task} must be mended ({problem}); then it is taken by"
        " itself"),
    _C.LIBRARY_MISSING: Told(_WAITING, "{kind} files need {library}, which is not installed here; pip"
        " install \"batchd[tables]\" where batchd is, and it is taken by itself"),
    _C.QUEUE_FULL: Told(_WAITING, "as many jobs are on their way as are allowed; the oldest file is"
        " taken when one is delivered", "inbox.max_claimed"),
    _C.PAUSED: Told(_WAITING, "{by} paused the intake; batchd resume takes it"),
    _C.DISK_LOW: Told(_WAITING, "the disk is nearly full and nothing is taken; make room, and it is"
        " taken by itself", "folders.min_free_bytes"),
    _C.READY: Told(_WAITING, "it is complete, and the next look takes it", "inbox.scan_seconds"),
    _C.NOT_LOOKED: Told(_WAITING, "the daemon runs, but has not listed the inbox for"
        " {silent_seconds}; var/log/batchd.jsonl says why", "inbox.scan_seconds"),
    _C.NOT_RUNNING: Told(_WAITING, "the daemon is not running; start it (batchd run) and it is taken"),

    _C.NOT_WANTED_NAME: Told(_IGNORED, "its name is not like {wanted}; rename it, and it is taken",
        "inbox.include"),
    _C.TABLE_WITHOUT_TASK: Told(_IGNORED, "it is a table, and only a task knows what to ask of one;"
        " put it into inbox/TASK/ ({tasks})"),
    _C.NOT_A_TABLE: Told(_IGNORED, "its name is not like {wanted}, and the task {task} reads nothing"
        " else; rename it, and it is taken"),
    _C.TEMPORARY_NAME: Told(_IGNORED, "its name matches {pattern}, like something unfinished or"
        " private; rename it, and it is taken"),
    _C.IGNORED_NAME: Told(_IGNORED, "its name matches {pattern}, which is to be left alone; rename"
        " it, or take the pattern out", "inbox.ignore"),
    _C.HIDDEN: Told(_IGNORED, "its name begins with a dot, and such files are left alone; rename it,"
        " and it is taken"),
    _C.CANCEL_UNKNOWN: Told(_IGNORED, "it asks to cancel job {job}, and there is none; batchd jobs"
        " lists those there are"),
    _C.CANCEL_REFUSED: Told(_IGNORED, "it asks to cancel job {job}, which is not its owner's"
        " ({owner}); the job's owner, root and the daemon's user may"),
    _C.STAGING: Told(_IGNORED, "it lies where programs write; rename it into inbox/, and it is taken"),
    _C.DIRECTORY: Told(_IGNORED, "it is a folder, and only files are taken; move what is in it into"
        " inbox/"),
    _C.SYMLINK: Told(_IGNORED, "it is a symbolic link, and links are never followed; put the file"
        " itself there"),
    _C.SPECIAL_FILE: Told(_IGNORED, "it is a pipe, a socket or a device, and such are never opened;"
        " put a file there"),
    _C.SUBFOLDER_WITHOUT_TASK: Told(_IGNORED, "it lies in inbox/{subfolder}/, and files are taken"
        " from inbox/ itself and from inbox/TASK/; move it there"),

    _C.UNLISTED: Told(_CLAIMED, "it left the inbox as job {job}, and the daemon's next look writes"
        " it into the ledger"),
    _C.READING: Told(_CLAIMED, "it is read line by line, or waits for that; nothing is sent before"
        " every line is read"),
    _C.JOINED: Told(_CLAIMED, "its content is that of job {first}, which is on its way; it gets the"
        " same answers", "inbox.identical"),
    _C.UPLOADING: Told(_CLAIMED, "{shard} is being sent, or is next"),
    _C.WAITING_FOR_ROOM: Told(_CLAIMED, "{open_batches} of {max_open} allowed batches are open;"
        " {shard} is sent when one ends", "batches.max_open"),
    _C.WAITING_FOR_THE_HOUR: Told(_CLAIMED, "{created} batches were created within the hour, and no"
        " more are allowed; {shard} is sent {again_seconds}", "batches.max_per_hour"),
    _C.SUBMISSION_PAUSED: Told(_CLAIMED, "{by} paused submission; batchd resume sends {shard}"),
    _C.WAITING_FOR_TOKENS: Told(_CLAIMED, "{queued_tokens} tokens of {model} are queued and"
        " {limit_tokens} are allowed; {shard} is sent when some are done", "batches.enqueued_tokens"),
    _C.WAITING_FOR_EMBEDDINGS: Told(_CLAIMED, "{embeddings} requests for embeddings are queued and"
        " {limit_embeddings} are allowed; {shard} is sent when some are done",
        "batches.enqueued_embeddings"),
    _C.SUBMITTING: Told(_CLAIMED, "the batch of {shard} is being created; if no answer comes, the"
        " provider is asked about it {again_seconds}"),
    _C.DOUBT: Told(_CLAIMED, "a call for {shard} broke ({text}), and only the provider knows whether"
        " there is a batch; it is asked {again_seconds}", "batches.doubt_seconds"),
    _C.NOT_THERE: Told(_CLAIMED, "a call for {shard} broke, and the provider has no batch for it; it"
        " is sent again"),
    _C.PROVIDER_UNAVAILABLE: Told(_CLAIMED, "the provider did not take or answer the call for"
        " {shard} ({text}); tried again {again_seconds}"),
    _C.DENIED: Told(_CLAIMED, "the provider refuses the key, the quota or the billing ({text}); mend"
        " it there, and it goes on by itself", "openai.api_key_file"),
    _C.FILE_UNSEEN: Told(_CLAIMED, "the provider does not find the uploaded file of {shard} yet;"
        " tried again {again_seconds}"),
    _C.NO_ROOM: Told(_CLAIMED, "the provider's queue for {model} is full ({text}); {shard} is tried"
        " again {again_seconds}", "batches.enqueued_tokens"),
    _C.CANCELLING: Told(_CLAIMED, "it was cancelled ({why}); batches that are open are called off,"
        " and what was answered is delivered"),
    _C.AT_THE_PROVIDER: Told(_CLAIMED, "batch {batch} is {status}: {completed} of {requests}"
        " requests, open for {open_seconds}", "batches.poll_max_seconds"),
    _C.COLLECTING: Told(_CLAIMED, "batch {batch} has ended ({status}), and its answers are being"
        " fetched"),
    _C.PLANNING_AGAIN: Told(_CLAIMED, "the requests that may still succeed are put together for"
        " round {round}", "retries.max_attempts"),
    _C.BUILDING: Told(_CLAIMED, "every request has its last word; the folder is being built"),
    _C.PUBLISHING: Told(_CLAIMED, "outbox/{folder} is complete, and about to appear"),

    _C.HELD: Told(_HELD, "it is held ({text}); batchd release {job} lets it go on"),
    _C.OVER_BUDGET: Told(_HELD, "{text}; batchd release {job} sends it all the same"),
    _C.COST_UNKNOWN: Told(_HELD, "{text}; give the price, or batchd release {job} sends it all the"
        " same", "prices.input"),
    _C.STUCK: Told(_HELD, "batch {batch} is {status} for {open_seconds}, far longer than is usual; it"
        " is asked for on and on; batchd cancel {job} delivers what there is"),
    _C.DOUBT_UNSETTLED: Told(_HELD, "the provider cannot say whether {shard} has a batch ({text});"
        " look for it there, for sending it again could pay twice"),
    _C.BATCH_VANISHED: Told(_HELD, "the provider says there is no batch {batch} ({text}); is this"
        " the key of its project? It is asked again {again_seconds}", "openai.api_key_file"),
    _C.ANSWERS_MISSING: Told(_HELD, "the provider does not find the answers of batch {batch}"
        " ({text}); is this the key of its project? It is asked again {again_seconds}, and they are"
        " given up as lost after a day", "openai.api_key_file"),
    _C.INPUT_CHANGED: Told(_HELD, "its file was changed in var/work after it had been checked; put"
        " back what was dropped"),
    _C.KEPT_TASK_GONE: Told(_HELD, "its task as it was when its file was planned is gone from"
        " var/work/{job}/task.json, or was changed there; put it back, or the task {task}, and it goes"
        " on by itself"),
    _C.INPUT_MISSING: Told(_HELD, "its file is gone from var/work/{job}/in; put it back"),
    _C.WAITING_FOR_TASK: Told(_HELD, "its task {task} cannot be used ({text}); mended, it goes on by"
        " itself"),

    _C.REJECTED: Told(_REJECTED, "it was rejected ({problem}) and cost nothing: error.txt in"
        " {where} says what to mend; then drop it again"),
    _C.DELIVERED: Told(_DONE, "outbox/{folder} is there ({outcome})"),
    _C.TAKEN_AWAY: Told(_DONE, "outbox/{folder} appeared ({outcome}), and somebody has taken it away"),

    _C.OWN: Told(_ELSEWHERE, "this is batchd's own; files are dropped into inbox/"),
    _C.FOREIGN: Told(_ELSEWHERE, "it is not from batchd, and is left alone; files are dropped into"
        " inbox/"),
    _C.OUTSIDE: Told(_ELSEWHERE, "it does not lie below {root}; files are dropped into inbox/ there",
        "folders.root"),
    _C.UNKNOWN: Told(_ELSEWHERE, "nothing of that name is there, and the ledger has no such job"),
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Reason:
    """One code with its facts."""

    code: ReasonCode
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def standing(self) -> Standing:
        """What kind of reason it is."""
        return TOLD[self.code].standing

    @property
    def setting(self) -> str | None:
        """The setting it depends on."""
        return TOLD[self.code].setting

    @property
    def sentence(self) -> str:
        """The sentence with its facts in it; what is not known is a question mark."""
        return TOLD[self.code].sentence.format_map(_InWords(self.facts))


def because(code: ReasonCode, **facts: object) -> Reason:
    """Make a reason."""
    return Reason(code, facts)


class _InWords(dict[str, str]):
    def __init__(self, facts: Mapping[str, object]) -> None:
        super().__init__({name: in_words(name, fact) for name, fact in facts.items()})

    def __missing__(self, name: str) -> str:
        return "?"
