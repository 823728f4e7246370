"""
The entries of the JSON store: a file that only grows, one entry a line.

Only the beginning that the store's document has marked as committed counts. What stands behind it was
written by a process that was killed before its commit; it is never read, and cut off at the next write.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from budgets.errors import StoreCorruptError
from budgets.records import Entry
from budgets.stores.file_errors import file_errors
from budgets.stores.json_codec import Mark, commit_of, entry_line, line, read_entry

# A command asks for one id or two, for which a look through the bytes is enough. Whoever asks more often
# gets an index.
_MOST_SEARCHES = 4


class EntryFile:
    """The entries' file, and what was read of it. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # What is committed, and how far it was read.
        self._mark = self._read = Mark()
        self._entries: dict[str, dict[str, Entry]] = {}
        self._searches = 0

    def follow(self, mark: Mark) -> None:
        """From now on *mark* says what is committed; where it continues what was read, that is kept."""
        known, self._mark = self._read, mark
        continued = mark.size_bytes > known.size_bytes
        if not continued and (mark.size_bytes, mark.crc32) != (known.size_bytes, known.crc32):
            self.forget()

    def forget(self) -> None:
        """Nothing was read."""
        self._read = Mark()
        self._entries = {}
        self._searches = 0

    def of(self, project: str) -> ProjectEntries:
        """The committed entries of one project."""
        return ProjectEntries(self, project)

    def find(self, project: str, entry_id: str) -> Entry | None:
        """The entry of that id."""
        found = self._entries.get(project, {}).get(entry_id)
        if found is not None or self._read.size_bytes == self._mark.size_bytes:
            return found
        if self._searches < _MOST_SEARCHES:
            self._searches += 1
            if f'"id": {line(entry_id)},'.encode() not in self._unread():
                return None
        return self.all(project).get(entry_id)

    def all(self, project: str) -> dict[str, Entry]:
        """
        Every entry of a project by its id, in the order of writing.

        Raises:
            StoreCorruptError: the file is not what was written.
        """
        if self._read.size_bytes != self._mark.size_bytes:
            data = self._unread()
            if zlib.crc32(data, self._read.crc32) != self._mark.crc32:
                # Somebody has put another store in its place; or it is damaged, and a line will say so.
                self.forget()
                data = self._unread()
            self._take_in(data)
        return self._entries.get(project, {})

    def append(self, mark: Mark, entries: Sequence[tuple[str, Entry]]) -> Mark:
        """
        Write down the entries of the commit after *mark*, on disk, behind the committed ones.

        Gives the mark that makes them count, once it is committed itself.
        """
        data = b"".join(entry_line(project, mark.commit + 1, entry) for project, entry in entries)
        with file_errors(self.path), self.path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(mark.size_bytes)
            if size != mark.size_bytes:
                self._check_rest(size, mark, file.read())
                file.seek(mark.size_bytes)
                file.truncate()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return Mark(
            mark.commit,
            mark.entries + len(entries),
            mark.size_bytes + len(data),
            zlib.crc32(data, mark.crc32),
        )

    def added(self, mark: Mark, entries: Iterable[tuple[str, Entry]]) -> None:
        """Those entries were committed, and *mark* with them; they need not be read again."""
        if self._read.size_bytes == self._mark.size_bytes:
            for project, entry in entries:
                self._entries.setdefault(project, {})[entry.id] = entry
            self._read = mark
        self._mark = mark

    def _unread(self) -> bytes:
        size = self._mark.size_bytes - self._read.size_bytes
        with file_errors(self.path), self.path.open("rb") as file:
            file.seek(self._read.size_bytes)
            data = file.read(size)
        if len(data) < size:
            raise self._too_short(self._read.size_bytes + len(data), self._mark)
        return data

    def _take_in(self, data: bytes) -> None:
        number = self._read.entries
        for each in data.splitlines():
            number += 1
            try:
                project, entry = read_entry(each)
            except ValueError as error:
                raise self._damaged(f"line {number}: {error}".replace(": line 1:", ":")) from error
            self._entries.setdefault(project, {})[entry.id] = entry
        if (number, zlib.crc32(data, self._read.crc32)) != (self._mark.entries, self._mark.crc32):
            raise self._damaged("it is not what was written")
        self._read = self._mark

    def _check_rest(self, size: int, mark: Mark, rest: bytes) -> None:
        """What stands behind the committed entries must be what one killed process has left."""
        if size < mark.size_bytes:
            raise self._too_short(size, mark)
        for number, each in enumerate(rest.splitlines(), mark.entries + 1):
            commit = commit_of(each)
            if commit is not None and commit > mark.commit + 1:
                raise self._damaged(f"line {number} is newer than the store's other file")

    def _too_short(self, size: int, mark: Mark) -> StoreCorruptError:
        return self._damaged(f"it has {size:,} bytes, of {mark.size_bytes:,} that were written")

    def _damaged(self, what: str) -> StoreCorruptError:
        self.forget()
        return StoreCorruptError(
            f"{self.path} is damaged: {what}",
            hint="put back a copy of the store, both files of it from the same moment",
            path=str(self.path),
        )


class ProjectEntries:
    """See `budgets.stores.memory.Written`."""

    def __init__(self, file: EntryFile, project: str) -> None:
        self._file = file
        self._project = project

    def get(self, entry_id: str, /) -> Entry | None:
        return self._file.find(self._project, entry_id)

    def values(self) -> Iterable[Entry]:
        return self._file.all(self._project).values()
