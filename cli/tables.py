"""Tables: drawn for a terminal, plain for everything else. Both are understood without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .harmless import harmless

# The sixteen colours that every terminal shows readably on its own ground, light or dark.
_BOLD, _DIM, _RED, _GREEN, _YELLOW, _PLAIN = (f"\x1b[{code}m" for code in (1, 2, 31, 32, 33, 0))

_GAP = 2
_BAR_CELLS = 12
# A name keeps at least this many cells when a terminal is too narrow for it.
_LEAST_CELLS = 8


@dataclass(frozen=True, slots=True)
class Share:
    """So many hundredths of something, drawn as a bar where bars can be drawn."""

    percent: int

    def __str__(self) -> str:
        return f"{self.percent}%"


Cell: TypeAlias = str | Share


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Where a terminal is too narrow, those with the lowest `keep` go first."""

    title: str
    right: bool = False
    # `None`: it always stays.
    keep: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows. The cells may hold anything; they are made harmless when they are written."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def without(self, title: str) -> Table:
        """The same without the first column of that title."""
        return self._without(next(place for place, each in enumerate(self.columns) if each.title == title))

    def fitted(self, width: int | None) -> Table:
        """The same without the columns for which *width* has no room; `None`: there is room for all."""
        table = self
        while width is not None and sum(_widths(table)) + _GAP * (len(table.columns) - 1) > width:
            spare = [
                (column.keep, place) for place, column in enumerate(table.columns) if column.keep is not None
            ]
            if not spare:
                break
            table = table._without(min(spare)[1])
        return table

    def _without(self, place: int) -> Table:
        return Table(
            self.columns[:place] + self.columns[place + 1 :],
            tuple(row[:place] + row[place + 1 :] for row in self.rows),
        )


def plain_lines(table: Table, *, width: int | None) -> Iterator[str]:
    """Aligned text, for pipes and files: nothing but characters, and nothing is cut."""
    table = table.fitted(width)
    widths = _widths(table, bars=False)
    rows: list[Sequence[Cell]] = [[column.title for column in table.columns], *table.rows]
    for row in rows:
        cells = (
            _aligned(harmless(str(cell)), column, cells_wide)
            for column, cell, cells_wide in zip(table.columns, row, widths, strict=True)
        )
        yield (" " * _GAP).join(cells).rstrip()


def drawn_lines(table: Table, *, width: int, colour: bool, unicode: bool) -> Iterator[str]:
    """The same for a terminal, with bars and, where wanted, colours."""
    table = table.fitted(width)
    widths = _widths(table)
    # Figures are shown whole or not at all; what stands first, a name, gives way.
    room = width - sum(widths[1:]) - _GAP * len(widths[1:])
    widths[0] = min(widths[0], max(room, _LEAST_CELLS))
    gap = " " * _GAP
    titles = (
        _aligned(column.title, column, cells) for column, cells in zip(table.columns, widths, strict=True)
    )
    header = gap.join(titles).rstrip()
    yield f"{_BOLD}{header}{_PLAIN}" if colour else header
    for row in table.rows:
        cells = []
        for column, cell, cells_wide in zip(table.columns, row, widths, strict=True):
            if isinstance(cell, Share):
                blank = " " * (cells_wide - _BAR_CELLS)
                cells.append(_bar(cell.percent, colour=colour, unicode=unicode) + blank)
            else:
                cells.append(_aligned(_cut(harmless(cell), cells_wide, unicode=unicode), column, cells_wide))
        yield gap.join(cells).rstrip()


def _bar(percent: int, *, colour: bool, unicode: bool) -> str:
    full, empty = ("━", "─") if unicode else ("=", "-")
    # Rounded up, so that the first cent is seen; full only when nothing is left.
    filled = min(-(-percent * _BAR_CELLS // 100), _BAR_CELLS if percent >= 100 else _BAR_CELLS - 1)
    taken, rest = full * filled, empty * (_BAR_CELLS - filled)
    if not colour:
        return taken + rest
    style = _RED if percent >= 100 else _YELLOW if percent >= 80 else _GREEN
    return "".join(f"{style}{part}{_PLAIN}" for style, part in ((style, taken), (_DIM, rest)) if part)


def _aligned(text: str, column: Column, cells_wide: int) -> str:
    blank = " " * (cells_wide - _cell_length(text))
    return blank + text if column.right else text + blank


def _cut(text: str, cells_wide: int, *, unicode: bool) -> str:
    """At most so many cells of *text*, with a mark where something is missing."""
    if _cell_length(text) <= cells_wide:
        return text
    from rich.cells import set_cell_size

    mark = "…" if unicode else ""
    return set_cell_size(text, cells_wide - len(mark)).rstrip() + mark


def _widths(table: Table, *, bars: bool = True) -> list[int]:
    return [
        max([_cell_length(column.title), *(_cell_width(row[place], bars) for row in table.rows)])
        for place, column in enumerate(table.columns)
    ]


def _cell_width(cell: Cell, bars: bool) -> int:
    if isinstance(cell, Share):
        return _BAR_CELLS if bars else len(str(cell))
    return _cell_length(harmless(cell))


def _cell_length(text: str) -> int:
    """How many terminal cells *text* takes: an emoji or a Chinese character takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
