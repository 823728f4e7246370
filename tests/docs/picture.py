"""A picture of a terminal session: what a real run says, as an SVG that is the same on every machine."""

from __future__ import annotations

import re
from html import escape

from rich.cells import cell_len

_CELL_WIDTH, _LINE_HEIGHT, _MARGIN = 8.4, 19, 16
COLUMNS = 116

# Colours that are told apart on the dark ground also by those who see few of them.
_GROUND, _BAR, _TEXT = "#16181d", "#22262e", "#d7dae0"
_STYLES = {
    "1": "font-weight:bold",
    "2": "fill:#6b7280",
    "31": "fill:#ff7b72",
    "32": "fill:#7ee787",
    "33": "fill:#e3b341",
    "36": "fill:#79c0ff",
}
_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


def picture(text: str, *, title: str) -> str:
    """
    An SVG of *text* as a terminal shows it, lines wrapped where the terminal's would be.

    Raises:
        KeyError: the text has an escape that no picture was made of yet.
    """
    rows = [row for line in text.rstrip("\n").split("\n") for row in _rows(_prompted(line))]
    width = round(2 * _MARGIN + COLUMNS * _CELL_WIDTH)
    top = 2 * _LINE_HEIGHT
    height = top + len(rows) * _LINE_HEIGHT + _MARGIN
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
            f' height="{height}" role="img" aria-label="{escape(title)}">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{_GROUND}"/>',
        (
            f'<path d="M0 {_LINE_HEIGHT + 8}V8a8 8 0 0 1 8-8H{width - 8}a8 8 0 0 1 8 8V{_LINE_HEIGHT + 8}Z"'
            f' fill="{_BAR}"/>'
        ),
        (
            f'<text x="{width // 2}" y="18" fill="{_TEXT}" font-size="12" font-family="sans-serif"'
            f' text-anchor="middle">{escape(title)}</text>'
        ),
        (
            f'<g fill="{_TEXT}" font-size="14" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'
            f'DejaVu Sans Mono,monospace" xml:space="preserve">'
        ),
    ]
    for number, row in enumerate(rows):
        y = top + number * _LINE_HEIGHT + 12
        column = 0
        for style, piece in row:
            cells = cell_len(piece)
            if piece.strip():
                styled = f' style="{style}"' if style else ""
                # The given length keeps columns straight whatever font the reader has.
                lines.append(
                    f'<text x="{_MARGIN + column * _CELL_WIDTH:g}" y="{y}"'
                    f' textLength="{cells * _CELL_WIDTH:g}"{styled}>{escape(piece)}</text>'
                )
            column += cells
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _prompted(line: str) -> str:
    """What was typed stands out."""
    return f"\x1b[1;36m{line}\x1b[0m" if line.startswith("$ ") else line


def _rows(line: str) -> list[list[tuple[str, str]]]:
    """One line as rows of pieces, each with its style."""
    rows: list[list[tuple[str, str]]] = [[]]
    style, column = "", 0
    for number, part in enumerate(_ESCAPE.split(line)):
        if number % 2:
            codes = [code for code in part.split(";") if code not in ("", "0")]
            style = ";".join(_STYLES[code] for code in codes)
            continue
        for piece in re.findall(r"\s+|\S+", part):
            cells = cell_len(piece)
            if column + cells > COLUMNS and column:
                rows.append([])
                column = 0
                if not piece.strip():
                    continue
            row = rows[-1]
            if row and row[-1][0] == style:
                row[-1] = (style, row[-1][1] + piece)
            else:
                row.append((style, piece))
            column += cells
    return rows
