"""
Makes what is made from the program itself: reference pages, golden output, the gallery, the picture.

    python -m tests.docs.generate

Run it in the checkout after a change that people see, and read the difference: it is what they will see.
The tests compare, and never write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.docs import http_api, pages
from tests.docs.picture import COLUMNS, picture
from tests.support import gallery, golden
from tests.support.world import new_world

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "docs" / "reference"


def session() -> str:
    """The picture of `budget demo`."""
    with new_world() as world:
        world.environ["TERM"] = "xterm-256color"
        shown = world.type("budget demo", columns=COLUMNS, terminal=True, colour=True)
    return picture(f"$ budget demo\n{shown.out}", title="budget demo")


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file and what it has to say."""
    exhibits = [gallery.provoked(file) for file in gallery.files()]
    yield from ((gallery.FOLDER / f"{each.code}.txt", each.text) for each in exhibits)
    yield from ((case.file, golden.golden(case)) for case in golden.cases())
    yield REFERENCE / "commands.md", pages.commands()
    yield REFERENCE / "errors.md", pages.errors(exhibits)
    yield REFERENCE / "json.md", pages.json_documents(golden.cases(), exhibits)
    yield REFERENCE / "config.md", pages.config()
    yield REFERENCE / "python-api.md", pages.python_api()
    yield REFERENCE / "http-api.md", http_api.page()
    yield ROOT / "docs" / "session.svg", session()


def main() -> None:
    """Write what differs, and say which files those are."""
    for file, text in generated():
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
