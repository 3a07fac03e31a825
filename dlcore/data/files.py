"""Data of the user's own: tables of comma-separated values, and arrays that NumPy wrote."""

from __future__ import annotations

import csv
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backends import get_default_dtype, host
from dlcore.data.datasets import ArrayDataset, Examples

Column = str | int
"""The name of a column, or its place from 0."""

MAPPED_FROM = 64 * 2**20
"""Bytes from which a file of an array is not read at once."""


def read_csv(path: str | os.PathLike[str], targets: Column | Sequence[Column] | None = None, *,
             labels: Column | None = None, columns: Sequence[Column] | None = None, delimiter: str = ",",
             header: bool = True) -> Examples:
    r"""The rows of a table in a file, as examples in the default float dtype.

    Args:
        path: of a text in UTF-8; its cells may be in double quotes.
        targets: the column or columns with the numbers to be learnt, which become (n, columns).
        labels: instead, the column with the classes: texts or numbers, which become int64 (n,); the
            result's ``classes`` has them in order.
        columns: the inputs; all others if None.
        delimiter: between the cells of a row.
        header: whether the first line names the columns; their names are their places if not.

    Raises:
        ValueError: a cell is empty or no finite number, which the message places by line and column; rows
            of unequal length; a column that does not exist; no rows; or a first line that is no header.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "iris.csv"
        ...     _ = path.write_text("length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n")
        ...     read_csv(path, labels="species")  # doctest: +ELLIPSIS
        Examples: 2 of inputs (2,) float32 and targets () int64; columns length, width; classes setosa, ...
    """
    if labels is not None and targets is not None:
        raise ValueError("read_csv: targets are numbers and labels are classes; a table gives one of them")
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        table = _Table(Path(path).name, csv.reader(file, delimiter=delimiter, strict=True), delimiter, header)
        wanted = [] if targets is None else [targets] if isinstance(targets, str | int) else targets
        answers = [table.place(column) for column in ([labels] if labels is not None else wanted)]
        inputs = table.inputs(answers) if columns is None else [table.place(column) for column in columns]
        numbers, sought, names = array("d"), array("d"), []
        for row in table.rows():
            numbers.extend(table.numbers(row, inputs))
            if labels is None:
                sought.extend(table.numbers(row, answers))
            else:
                names.append(table.text(row, answers[0]))
    if not len(numbers):
        raise ValueError(f"read_csv: {table.name} has no {'rows' if inputs else 'columns left to be inputs'}")
    found = host.array(numbers, get_default_dtype()).reshape(-1, len(inputs))
    known = [table.columns[i] for i in inputs]
    if labels is not None:
        classes = _in_order(names)
        codes = {name: i for i, name in enumerate(classes)}
        return Examples(found, host.array([codes[name] for name in names]), known, classes, table.name)
    values = host.array(sought, get_default_dtype()).reshape(-1, len(answers)) if answers else None
    return Examples(found, values, known, (), table.name)


def read_npy(path: str | os.PathLike[str]) -> Any:
    """The NumPy array in a ``.npy`` file; a large one stays there and is read where it is asked for.

    From 64 MiB on the file is mapped into memory, so that it may be larger than that; it must stay as it
    is then.  The array is for an :class:`ArrayDataset`, beside others of its length.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is cut, or no file of NumPy's, or holds Python objects; to read those is to unpickle
            them, which can run any code, and is not done.
        TypeError: it is an array of strings or records.
    """
    mapped = Path(path).stat().st_size >= MAPPED_FROM
    with _reading(f"read_npy: {Path(path).name}"):
        found = host.read_file(path, mapped=mapped)
    if not host.is_array(found):
        found.close()
        raise ValueError(f"read_npy: {Path(path).name} holds several arrays; read_npz reads them")
    return host.array(found)


def read_npz(path: str | os.PathLike[str], *names: str) -> ArrayDataset:
    """A dataset of the arrays in a ``.npz`` file.

    Args:
        path: of the file, which ``numpy.savez`` wrote.
        names: of the arrays, in the order of the parts of an example; all in the file's own order if none.

    Raises:
        ValueError: an array that is not there, arrays of unequal length, or a file that :func:`read_npy`
            would not read either.

        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/own.npz", y=np.arange(3), x=np.ones((3, 2)))
        ...     [part.shape for part in read_npz(f"{folder}/own.npz", "x", "y").arrays]
        [(3, 2), (3,)]
    """
    name = Path(path).name
    with _reading(f"read_npz: {name}"), Path(path).open("rb") as file:
        archive = host.read_file(file)  # of a path NumPy leaves the file open where it is no archive
        if host.is_array(archive):
            raise ValueError("it holds a single array; read_npy reads it")
        with archive:
            if missing := [wanted for wanted in names if wanted not in archive.files]:
                raise ValueError(f"it has no array {missing[0]!r}; it has {', '.join(archive.files)}")
            found = {wanted: archive[wanted] for wanted in names or archive.files}
    try:
        return ArrayDataset(*found.values())
    except (ValueError, TypeError) as error:
        error.add_note(f"read_npz: these are {', '.join(found)} of {name}; say which you want, "
                       "read_npz(path, 'x', 'y')")
        raise


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Says in the ``with`` block what is read, if it turns out not to be what it should."""
    from zipfile import BadZipFile  # 10 ms, needed only here

    try:
        yield
    except (ValueError, EOFError, BadZipFile) as error:
        unpickling = "pickle" in str(error) or "Python objects" in str(error)
        cause = ("it is no file of NumPy's, or holds Python objects; reading those can run any code and is "
                 "not done" if unpickling else str(error))
        raise ValueError(f"{what}: {cause}") from error


class _Table:
    """The cells of a file, and where each is, for errors that can be acted upon."""

    def __init__(self, name: str, reader: Any, delimiter: str, header: bool) -> None:
        self.name, self.reader = name, reader
        self.first = self._next()
        if self.first is None:
            raise ValueError(f"read_csv: {name} is empty")
        others = [mark for mark in ";\t|," if mark != delimiter and mark in self.first[0]]
        if len(self.first) == 1 and others:
            raise ValueError(f"read_csv: line 1 of {name} has no {delimiter!r}, but {others[0]!r}; pass "
                             f"delimiter={others[0]!r}")
        self.columns = [cell.strip() if header else str(i) for i, cell in enumerate(self.first)]
        if header:
            if all(map(_is_number, self.first)):
                raise ValueError(f"read_csv: line 1 of {name} holds numbers and no names: {self.first}; pass "
                                 "header=False")
            self.first = None

    def _next(self) -> list[str] | None:
        try:
            return next(self.reader, None)
        except UnicodeDecodeError as error:
            raise ValueError(f"read_csv: {self.name} is no text in UTF-8: {error}") from error
        except csv.Error as error:
            raise ValueError(f"read_csv: line {self.reader.line_num} of {self.name}: {error}") from error

    def place(self, column: Column) -> int:
        """The place of a column that is named or numbered."""
        if isinstance(column, int) and 0 <= column < len(self.columns):
            return column
        if column not in self.columns:
            raise ValueError(f"read_csv: {self.name} has no column {column!r}; it has "
                             f"{', '.join(self.columns)}")
        if self.columns.count(str(column)) > 1:
            raise ValueError(f"read_csv: {self.name} has several columns {column!r}; say the place of one")
        return self.columns.index(str(column))

    def inputs(self, answers: Sequence[int]) -> list[int]:
        """The places of all columns that are no answers."""
        places = [i for i in range(len(self.columns)) if i not in answers]
        if nameless := [i for i in places if not self.columns[i]]:
            raise ValueError(f"read_csv: column {nameless[0]} of {self.name} has no name, as pandas' index "
                             "has none; say which columns=[...] you want")
        return places

    def rows(self) -> Iterator[list[str]]:
        """The rows below the header, empty lines left out."""
        row = self.first if self.first is not None else self._next()
        while row is not None:
            if row and len(row) != len(self.columns):
                raise ValueError(f"read_csv: line {self.reader.line_num} of {self.name} has {len(row)} "
                                 f"cells, line 1 has {len(self.columns)}")
            if row:
                yield row
            row = self._next()

    def numbers(self, row: list[str], places: Sequence[int]) -> list[float]:
        """Cells as numbers."""
        try:
            found = [float(row[i]) for i in places]
            if math.isfinite(sum(found)):  # nan and infinity outlive a sum, which huge numbers may give too
                return found
        except ValueError:
            pass
        for i in places:
            if not _is_number(row[i]):
                raise ValueError(f"{self._cell(i)} {_complaint(row[i])}")
        return [float(row[i]) for i in places]

    def text(self, row: list[str], place: int) -> str:
        """A cell as a text that is not empty."""
        if not (found := row[place].strip()):
            raise ValueError(f"{self._cell(place)} {_complaint('')}")
        return found

    def _cell(self, place: int) -> str:
        return f"read_csv: line {self.reader.line_num} of {self.name}, column {self.columns[place]!r}:"


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _complaint(cell: str) -> str:
    if cell.strip().lower() in ("", "na", "n/a", "nan", "null", "none", "?", "-"):
        return f"the value is missing ({cell!r}); leave out the row, or fill it in"
    return f"{cell!r} is no finite number; leave the column out with columns=[...], or read it as labels="


def _in_order(names: Sequence[str]) -> list[str]:
    """The different names, whole numbers among themselves by size."""
    different = set(names)
    whole = all(name.removeprefix("-").isdecimal() for name in different)
    return sorted(different, key=int) if whole else sorted(different)
