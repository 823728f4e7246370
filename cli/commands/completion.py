"""`budget completion`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from ..exits import UsageError
from ..results import Result
from ..session import Session

EXAMPLES = """
budget completion bash
budget completion zsh
budget completion fish
"""

# Each asks `budget __complete` (see `completing.py`) and hands on what it says.
_SCRIPTS: Final[Mapping[str, str]] = {
    "bash": r"""
# Completion of `budget` for bash. Put this line into ~/.bashrc:
#     eval "$(budget completion bash)"
_budget_complete() {
    local kind line
    COMPREPLY=()
    {
        IFS= read -r kind
        while IFS= read -r line; do COMPREPLY+=("$line"); done
    } < <("${1/#\~/$HOME}" __complete bash "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    # A bash that has no `compopt` (3.2) completes no files.
    if [[ $kind == files ]]; then compopt -o default 2>/dev/null; fi
}
complete -F _budget_complete budget
""",
    "zsh": r"""
#compdef budget
# Completion of `budget` for zsh. Put this line into ~/.zshrc, after `compinit`:
#     eval "$(budget completion zsh)"
_budget() {
    local -a lines values texts
    local line
    lines=("${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $lines[1] == files ]]; then
        _files
        return
    fi
    for line in "${(@)lines[2,-1]}"; do
        values+=("${line%%$'\t'*}")
        texts+=("${line#*$'\t'}")
    done
    (( $#values )) && compadd -l -d texts -a values
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _budget "$@"
else
    compdef _budget budget
fi
""",
    "fish": r"""
# Completion of `budget` for fish. Run this once:
#     budget completion fish > ~/.config/fish/completions/budget.fish
function __budget_complete
    set -l words (commandline -opc)
    # Without its quotes; one that is still open cannot be taken off in the usual way.
    set -l current (commandline -ct)
    set current (string unescape -- $current; or string trim --left --chars '\'"' -- $current)
    set -l lines ($words[1] __complete fish $words[2..-1] "$current" 2>/dev/null)
    if test "$lines[1]" = files
        __fish_complete_path "$current"
    else if test (count $lines) -gt 1
        printf '%s\n' $lines[2..-1]
    end
end
complete --command budget --no-files --arguments '(__budget_complete)'
""",
}


@dataclass(frozen=True)
class Script(Result):
    """A script for one shell."""

    shell: str
    script: str
    command = "completion"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"shell": self.shell, "script": self.script}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield from self.script.splitlines()


def completion(
    _session: Session,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"One of {', '.join(_SCRIPTS)}.")],
) -> Script:
    """
    Print a script that completes commands, options, and user names.

    Its first lines say where to put it. Names come from the store at the moment of the key press.
    """
    script = _SCRIPTS.get(shell)
    if script is None:
        raise UsageError(f"there is no completion for {shell}", hint=f"one of {', '.join(_SCRIPTS)}")
    return Script(shell, script.lstrip("\n"))
