"""A finished manifest, and the samples that its lines name, wherever these are: in files, in tars, or nowhere yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError

from .check import check_record, header_of, place_of
from .execute import Place
from .manifest import parsed
from .sinks import Record, Sink, find_sink
from .sound import refuse_functions, told


@dataclass(frozen=True)
class Shard:
    """A finished manifest, for those who read what it names.

    Attributes:
        path: of the manifest.
        header: its first line, which must be sound (`sound.check_header`).
        root: where the sources are now; None for where the header says.
    """

    path: Path
    header: Record
    root: Path | None = None

    @property
    def out(self) -> Path:
        """The folder of the data set."""
        return self.path.parent

    @property
    def home(self) -> Path:
        """The folder of the sources."""
        return self.root if self.root is not None else self.out / self.header["root"]

    @cached_property
    def sink(self) -> Sink:
        """What became of the samples; DataError if it is nothing that this anosynth knows."""
        with told(self.path, 1):
            return find_sink(self.header)

    @cached_property
    def place(self) -> Place:
        """Where samples are read, or made; DataError if they would not be made as they were."""
        with told(self.path, 1):
            if self.sink.stored:
                # How its samples were made is of no matter to who reads them.
                return Place(self.home, self.out, find_layout(self.header["layout"]), 0)
            return place_of(header_of(self.path), self.out, self.root)

    def lines(self) -> Iterator[tuple[int, Record]]:
        """Yield (byte at which its line begins, record) of each sample.

        Raises:
            DataError: the manifest cannot be read, or has a line that is no record.
        """
        start = 0
        try:
            with self.path.open("rb") as file:
                for number, text in enumerate(file, 1):
                    try:
                        record = parsed(text)
                    except ValueError:
                        raise DataError(f"{self.path}: line {number}: not a JSON record") from None
                    if not text.endswith(b"\n"):
                        raise DataError(f"{self.path}: line {number}: cut off")
                    if number > 1:
                        yield start, record
                    start += len(text)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}") from None

    def record(self, start: int) -> Record:
        """Return the record whose line begins at this byte.

        Raises:
            DataError: the manifest has changed, or cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return parsed(file.readline())
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise DataError(f"{self.path}: has changed while it was read: expected a finished data set") from None

    @contextmanager
    def opened(self, record: Record) -> Iterator[Path]:
        """Yield the folder in which the files of a made or copied record lie as `sink.plain` names them.

        Unless this is OUT, it goes at the end of the block; messages of the block then speak of OUT instead.

        Raises:
            DataError: as of `allow`, or the files cannot be had.
            WriteError: there is no room for them.
        """
        with ExitStack() as stack:
            with told(self.path):
                self.allow(record, str(self.path))
                if not self.sink.stored:
                    self._check_source(record)
                folder = stack.enter_context(self.sink.opened(record, self.place))
            try:
                yield folder
            except DataError as error:
                if folder == self.out:
                    raise
                raise DataError(str(error).replace(f"{folder}/", f"{self.out}: ")) from None

    def allow(self, record: Record, where: str) -> None:
        """Raise DataError if a record is not sound, leads out of OUT, or names a function that makes its sample.

        Args:
            where: the manifest and the line, for the message.
        """
        check_record(self.out, record, self.sink, where)
        if self.sink.stored or record["status"] != "made":
            return
        try:
            refuse_functions(record["generator"], self.place.reading.function, where)
        except DataError as error:
            raise DataError(
                f"{str(error).rpartition(': expected')[0]}: expected files\n"
                f"hint: anosynth replay {self.out} --write DIR --run-functions runs it, and makes a data set of files"
            ) from None

    def _check_source(self, record: Record) -> None:
        source = self.home / record["source"]["path"]
        if not source.is_file():
            raise DataError(
                f"{source}: no such file: {record['id']} is made of it whenever it is read\n"
                "hint: --root says where the sources are"
            )
