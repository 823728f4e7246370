"""Tables: drawn for a terminal, plain for everything else. Both are understood without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .harmless import harmless

if TYPE_CHECKING:
    from rich.text import Text

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
        cells = []
        for column, cell, cells_wide in zip(table.columns, row, widths, strict=True):
            text = harmless(str(cell))
            blank = " " * (cells_wide - _cell_length(text))
            cells.append(blank + text if column.right else text + blank)
        yield (" " * _GAP).join(cells).rstrip()


def drawn_lines(table: Table, *, width: int, colour: bool, unicode: bool) -> Iterator[str]:
    """The same for a terminal, with bars and, where wanted, colours."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = table.fitted(width)
    widths = _widths(table)
    # Figures are shown whole or not at all; what stands first, a name, gives way.
    room = width - sum(widths[1:]) - _GAP * len(widths[1:])
    drawn = RichTable(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for place, column in enumerate(table.columns):
        drawn.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis" if unicode else "crop",
            max_width=widths[place] if place else max(room, _LEAST_CELLS),
        )
    for row in table.rows:
        drawn.add_row(*(_drawn_cell(cell, unicode) for cell in row))
    console = Console(
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        no_color=not colour,
        legacy_windows=False,
        _environ={},
    )
    with console.capture() as captured:
        console.print(drawn)
    for line in captured.get().splitlines():
        yield line.rstrip()


def _drawn_cell(cell: Cell, unicode: bool) -> Text:
    from rich.text import Text

    # `Text` takes every character as it is; a plain string would be read as markup.
    if isinstance(cell, str):
        return Text(harmless(cell))
    full, empty = ("━", "─") if unicode else ("=", "-")
    # Rounded up, so that the first cent is seen; full only when nothing is left.
    filled = min(-(-cell.percent * _BAR_CELLS // 100), _BAR_CELLS if cell.percent >= 100 else _BAR_CELLS - 1)
    style = "red" if cell.percent >= 100 else "yellow" if cell.percent >= 80 else "green"
    return Text.assemble((full * filled, style), (empty * (_BAR_CELLS - filled), "dim"))


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
