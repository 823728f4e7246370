"""`budget prices`, and `budget prices list`, `show`, `set`, `import`, `diff`, `update`, and `check`."""

from ...session import Session
from .check import EXAMPLES as CHECK_EXAMPLES
from .check import check
from .diff import EXAMPLES as DIFF_EXAMPLES
from .diff import diff
from .import_ import EXAMPLES as IMPORT_EXAMPLES
from .import_ import import_
from .list import EXAMPLES as LIST_EXAMPLES
from .list import list  # noqa: A004
from .set import EXAMPLES as SET_EXAMPLES
from .set import set  # noqa: A004
from .show import EXAMPLES as SHOW_EXAMPLES
from .show import show
from .update import EXAMPLES as UPDATE_EXAMPLES
from .update import update

__all__ = [
    "CHECK_EXAMPLES",
    "DIFF_EXAMPLES",
    "EXAMPLES",
    "IMPORT_EXAMPLES",
    "LIST_EXAMPLES",
    "SET_EXAMPLES",
    "SHOW_EXAMPLES",
    "UPDATE_EXAMPLES",
    "check",
    "diff",
    "import_",
    "list",
    "prices",
    "set",
    "show",
    "update",
]

EXAMPLES = """
budget prices list --search sonnet --sort output
budget prices show gpt-4o-mini
budget prices set my-model --input 0.15 --output 0.60
budget prices check
"""


def prices(_session: Session) -> None:
    """
    Show prices, set your own, and take in a newer book.

    Your own prices win over the bundled ones. They are kept in a file; a change is a new dated line.
    """
