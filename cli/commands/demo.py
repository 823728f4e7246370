"""`budget demo`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

from ..env import Env
from ..exits import DONE, FAILED
from ..output import line as tell
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from budgets.upstream import Upstream

EXAMPLES = """
budget demo
budget demo --json
"""

# What is typed, and the exit code that it ends with.
STORY = (
    ("budget create --user ann --total 0.05 --every day", 0),
    ('budget wrap --user ann --model gpt-4o-mini --no-stream "Name three rivers"', 0),
    ('budget wrap --user ann --model gpt-4o-mini --stream "And three lakes"', 0),
    ('budget wrap --user ann --model claude-haiku-4-5 --no-stream "Why do rivers bend?"', 0),
    ('budget wrap --user ann --model claude-haiku-4-5 --stream "And why do lakes not?"', 0),
    ('budget wrap --user ann --model claude-opus-4-1 --max-output-tokens 4000 "Write a saga"', 3),
    ("budget status", 0),
    ("budget check", 0),
)


@dataclass(frozen=True)
class Step:
    """One command of the story, and how it ended."""

    line: str
    exit_code: int
    # How the story says that it ends.
    expected: int
    # Its JSON document, where the demo was asked for one.
    document: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Demo(Result):
    """The commands, each run for real, and the sums of what they charged."""

    steps: tuple[Step, ...]
    sums: tuple[str, ...]
    command = "demo"

    @property
    def exit_code(self) -> int:
        """Failed when a command did not end as the story says."""
        return DONE if all(step.exit_code == step.expected for step in self.steps) else FAILED

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "simulated": True,
            "steps": [
                {"line": step.line, "exit_code": step.exit_code, "document": step.document}
                for step in self.steps
            ],
            "sums": list(self.sums),
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield ""
        yield "The sums, from the entries, to be added up by hand:"
        for line in self.sums:
            yield f"  {line}"
        for step in self.steps:
            if step.exit_code != step.expected:
                yield f"`{step.line}` ended with {step.exit_code}, not {step.expected}: please report it"
        yield ""
        yield "next: budget create --user NAME --total 10 --every month"


def demo(session: Session) -> Demo:
    """
    Watch a budget work: calls are metered, and one is refused.

    Nothing leaves this machine and no key is needed: the provider is simulated, in its true wire format.
    Every line is the command itself, run on a store in a temporary folder that is removed at the end.
    """
    env = session.env
    with _stage(env) as stage:
        if not session.as_json:
            tell(env, "The provider is simulated: no model is asked, no money is spent. The rest is real.")
        steps = tuple(_step(session, stage, line, expected) for line, expected in STORY)
        return Demo(steps, _sums(Session(stage, run=session.run)))


@contextmanager
def _stage(env: Env) -> Iterator[Env]:
    """The same world with a store, a configuration and a provider of its own."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="budget-demo-") as folder:
        own = {name: value for name, value in env.environ.items() if not name.startswith("BUDGET_")}
        for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL"):
            own.pop(name, None)
        own |= {
            "BUDGET_STORE": str(Path(folder, "budgets.sqlite")),
            "BUDGET_CONFIG": str(Path(folder, "config.toml")),
            "OPENAI_API_KEY": "simulated",
            "ANTHROPIC_API_KEY": "simulated",
        }
        yield replace(env, environ=own, upstream=_simulated)


def _simulated() -> Upstream:
    from budgets.simulated import SimulatedUpstream
    from budgets.tokens.counting import count_text

    return SimulatedUpstream(count_text)


def _step(session: Session, stage: Env, line: str, expected: int) -> Step:
    """Run one command for real; whether it ended as the story says is seen at the end."""
    import json
    import shlex

    _, *argv = shlex.split(line)
    if not session.as_json:
        tell(stage)
        tell(stage, f"$ {line}")
        # One stream, so that the lines stay in order wherever they go.
        return Step(line, session.run(replace(stage, argv=tuple(argv), stderr=stage.stdout)), expected)
    out = StringIO()
    code = session.run(replace(stage, argv=(*argv, "--json"), stdout=out, stderr=StringIO()))
    return Step(line, code, expected, json.loads(out.getvalue()))


def _sums(session: Session) -> tuple[str, ...]:
    """Every charge written out as a sum, and their total, for whoever adds it up again."""
    from budgets.explaining import of_entry
    from budgets.money import exact_usd, money

    with closing(session):
        charges = [entry for entry in session.engine.entries("ann") if entry.kind == "charge"]
        spent = session.engine.status("ann").limits[0].totals.spent_nanos
    lines = []
    for entry in charges:
        (used,) = of_entry(entry).sums
        terms = " + ".join(
            f"{line.count:,} {line.unit} x ${exact_usd(line.picos, line.per)}" for line in used.lines
        )
        lines.append(f"{entry.model}: {terms} per million = {money(entry.nanos)}")
    lines.append(f"in all: {' + '.join(money(entry.nanos) for entry in charges)} = {money(spent)}")
    return tuple(lines)
