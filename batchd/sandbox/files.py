"""The files the sandbox holds: objects in memory, bytes in a folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from batchd.sandbox.wire import ApiError, new_file_id

RETENTION_SECONDS = 2_592_000  # 30 days; API reference "Files", seen 2025-03
_HASH_STEP = 1 << 20


@dataclass(slots=True, eq=False)
class StoredFile:
    """A File object and where its bytes lie."""

    filename: str
    purpose: str
    path: Path
    bytes: int
    sha256: str
    lifetime: int = RETENTION_SECONDS  #: seconds until it expires, as it was told
    id: str = field(default_factory=new_file_id)
    created_at: int = field(default_factory=lambda: int(time.time()))
    born: float = field(default_factory=time.monotonic)
    deleted: bool = False
    expired: bool = False
    withheld: int = 0  #: downloads that were answered 404 although the file is there

    def as_object(self) -> dict[str, object]:
        """The File object as the API sends it (reference E.1)."""
        return {
            "id": self.id,
            "object": "file",
            "purpose": self.purpose,
            "filename": self.filename,
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.created_at + self.lifetime,
            "status": "processed",
            "status_details": None,
        }


class Shelf:
    """Every file by id, in the order of arrival. Those that are gone stay known to the ledger."""

    def __init__(self, folder: Path, *, speed: float = 1.0) -> None:
        self.folder = folder
        self.speed = speed  #: of the time after which files expire
        self._files: dict[str, StoredFile] = {}

    def place(self, name: str) -> Path:
        return self.folder / name

    def put(self, file: StoredFile) -> StoredFile:
        """Shelve it; its bytes get its id for a name."""
        home = self.folder / file.id
        file.path.rename(home)
        file.path = home
        self._files[file.id] = file
        return file

    def find(self, file_id: str) -> StoredFile | None:
        file = self._files.get(file_id)
        return None if file is None or self._is_gone(file) else file

    def get(self, file_id: str) -> StoredFile:
        file = self.find(file_id)
        if file is None:
            raise ApiError(404, f"No such File object: {file_id}", param="id")
        return file

    def delete(self, file_id: str) -> None:
        file = self.get(file_id)
        file.deleted = True
        file.path.unlink(missing_ok=True)

    def present(self) -> list[StoredFile]:
        return [file for file in self._files.values() if not self._is_gone(file)]

    def _is_gone(self, file: StoredFile) -> bool:
        """An expired file is gone for everybody who asks, and nobody else could tell."""
        if time.monotonic() - file.born >= file.lifetime / self.speed and not file.deleted:
            file.expired = True
            file.path.unlink(missing_ok=True)
        return file.deleted or file.expired

    def ever(self) -> list[StoredFile]:
        return list(self._files.values())


class Hash:
    """The SHA-256 of a file, computed in steps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sha = hashlib.sha256()

    def steps(self) -> Iterator[None]:
        with self._path.open("rb") as source:
            while chunk := source.read(_HASH_STEP):
                self._sha.update(chunk)
                yield

    def hexdigest(self) -> str:
        return self._sha.hexdigest()
