"""Which lines are about a job: by its id, its file's name, or a batch of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batchd.control.ledger import Reader
from batchd.control.log_files import Line
from batchd.control.places import Id, NoSuchJob, id_of, job_in
from batchd.control.why import Ambiguous
from batchd.core.names import is_job_id, printable, shown

_WORDS = ("job", "shard", "subject", "first")  #: facts that hold the id of a job, or of a shard


class Subject:
    """What somebody asks for by one word, and what is learned of it on the way."""

    def __init__(self, word: str) -> None:
        path = Path(word)
        self.word = word
        self.jobs: set[str] = set()
        self._batches: set[str] = set()
        self._id = id_of(word) or Id()
        self._files = {word, shown(word.encode("utf-8", "surrogateescape")), path.name}
        for part in path.parts[-3:]:  # inbox/a.jsonl, outbox/a--7k3c9q, var/work/7k3c9q/in/a.jsonl
            self.jobs |= {job for job in [job_in(part)] if job}
        self._files -= {"", *self.jobs}
        self._is_known = False  #: the ledger, or a line, has it

    @property
    def is_known(self) -> bool:
        """Whether there is, or was, such a thing."""
        return self._is_known

    @property
    def possible(self) -> set[str]:
        """The jobs that the word may mean, where it is the beginning of an id."""
        return {job for job in self.jobs if self._id.job and job.startswith(self._id.job)}

    def must_be_one(self) -> None:
        """Raises `Ambiguous` where it may be several jobs, `NoSuchJob` where nobody knows it."""
        word, several = printable(self.word), sorted(self.possible)
        if len(several) > 1:
            listed = ", ".join(several[:5])
            raise Ambiguous(f"{word} is the beginning of several: {listed}; write one letter more")
        if not self.is_known:
            raise NoSuchJob(
                f"nothing is known of {word}: no job, file or batch of that name, neither in the"
                " ledger nor in the log"
            )

    def ask(self, reader: Reader) -> None:
        """Let the ledger say what it knows of it."""
        name = next(iter(sorted(self._files, key=len)), "")
        for job in reader.jobs_named(name.encode("utf-8", "surrogateescape")):
            self._learn(job.id)
        if self._id.job:
            for job in reader.jobs_by_prefix(self._id.job):
                self._learn(job.id)
        if self._id.batch:
            for part in reader.parts_by_batch(self._id.batch):
                self._learn(part.shard.job)
        for job_id in list(self.jobs):
            for part in reader.parts_of(job_id):
                self._is_known = True
                self._batches |= {part.shard.batch} if part.shard.batch else set()

    @property
    def learned(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Jobs and batches that are meant, as far as is known."""
        return tuple(sorted(self.jobs)), tuple(sorted(self._batches))

    def recall(self, jobs: Iterable[str], batches: Iterable[str]) -> None:
        """Know again what was learned before."""
        self.jobs |= set(jobs)
        self._batches |= set(batches)
        self._is_known = self._is_known or bool(self.jobs or self._batches)

    def read(self, lines: Iterable[Line]) -> None:
        """Let the log itself say what it knows: a job may be forgotten, or the ledger gone."""
        for line in lines:
            self.knows(line.facts)

    def knows(self, facts: Mapping[str, Any]) -> bool:
        """Whether a line is about it; what it tells besides is learned."""
        ids = {_job(facts[name]) for name in _WORDS if name in facts} - {""}
        about = facts.get("file")
        batch = str(facts.get("batch", ""))
        is_it = (
            bool(self.jobs & ids)
            or (about is not None and str(about) in self._files)
            or (bool(batch) and batch in self._batches)
            or (bool(self._id.batch) and batch.startswith(self._id.batch))
            or (bool(self._id.job) and any(one.startswith(self._id.job) for one in ids))
        )
        if is_it:
            own = _job(facts.get("job") or facts.get("shard") or "")
            if own and not (self.jobs & ids):
                self.jobs.add(own)
            if batch:
                self._batches.add(batch)
            self._is_known = True
        return is_it and self._is_that_shard(facts)

    def _is_that_shard(self, facts: Mapping[str, Any]) -> bool:
        """Where a shard was asked for, the lines of the job's others are not wanted."""
        if self._id.number is None:
            return True
        shard = str(facts.get("shard") or facts.get("subject") or "")
        return "-" not in shard or shard == f"{self._id.job}-{self._id.number}"

    def _learn(self, job: str) -> None:
        self.jobs.add(job)
        self._is_known = True


def _job(value: object) -> str:
    """Return the job of a value that is its id, or a shard's."""
    job = str(value).partition("-")[0]
    return job if is_job_id(job) else ""
