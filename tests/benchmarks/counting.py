"""
How near counts before a call come to what providers reported, and how fast they are made. Run by hand:

    BUDGET_RECORDED=FOLDER python tests/benchmarks/counting.py [--runs 5] [--megabytes 10]

Beside `litellm.token_counter`, `tokencost`, and characters / 4, each given the same messages; and beside bare
tiktoken. All offline: what would fetch a picture, a vocabulary, or a count from elsewhere has no answer.
"""

from __future__ import annotations

import argparse
import json
import os
import pydoc_data.topics
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

# Before litellm is imported, which asks for prices otherwise, and keeps tokencost's vocabularies.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
import tokencost

from budgets.tokens import ranks
from budgets.tokens.counting import count_text
from tests.support.counted import Counted, counted_calls


def messages_of(call: Counted) -> list[dict[str, Any]]:
    """The request as OpenAI's chat format has it, which is what both peers read."""
    if call.ask.dialect == "openai-chat":
        return [{**message, "content": message.get("content") or ""} for message in call.request["messages"]]
    return [{"role": "user", "content": text} for text in call.ask.texts]


def tools_of(call: Counted) -> list[dict[str, Any]] | None:
    """The tools as OpenAI's chat format has them."""
    found = []
    for text in call.ask.tools:
        tool = json.loads(text)
        tool = tool.get("function") or tool.get("toolSpec") or tool
        names = ("parameters", "input_schema", "parameters_json_schema", "inputSchema")
        parameters = next((tool[name] for name in names if name in tool), {})
        found.append(
            {
                "type": "function",
                "function": {
                    "name": tool.get("name", ""),
                    "description": tool.get("description") or "",
                    "parameters": parameters.get("json", parameters),
                },
            }
        )
    return found or None


def by_litellm(call: Counted) -> int:
    """What `litellm.token_counter` says."""
    return int(
        litellm.token_counter(
            model=call.ask.model,
            messages=messages_of(call),
            tools=tools_of(call),
            use_default_image_token_count=True,
        )
    )


def by_tokencost(call: Counted) -> int:
    """What `tokencost.count_message_tokens` says, which knows no tools."""
    return int(tokencost.count_message_tokens(messages_of(call), call.ask.model))


def by_characters(call: Counted) -> int:
    """Characters / 4 of everything that is text."""
    return sum(map(len, (*call.ask.texts, *call.ask.tools, *call.ask.schemas))) // 4


PEERS: dict[str, Callable[[Counted], int]] = {
    "litellm": by_litellm,
    "tokencost": by_tokencost,
    "characters / 4": by_characters,
}


def quantile(values: list[float], share: float) -> float:
    """The value that *share* of *values* are not above."""
    return sorted(values)[max(0, -int(-len(values) * share // 1) - 1)]


def accuracy() -> None:
    """Likely counts and holds, by vendor and kind; a table in Markdown."""
    groups: dict[tuple[str, str], list[Counted]] = defaultdict(list)
    left_out = 0
    for call in counted_calls():
        if call.bounded:
            groups[call.vendor, call.kind].append(call)
        else:
            left_out += 1
    print(
        "| vendor, kind | calls | error, median | p95 | hold enough | hold / reported, median | p95 | ",
        end="",
    )
    print(" | ".join(f"{name}, median" for name in PEERS), "|")
    print("| --- |" + " ---: |" * (6 + len(PEERS)))
    for (vendor, kind), calls in sorted(groups.items()):
        errors = [call.error for call in calls]
        holds = [call.count.most / call.reported for call in calls]
        enough = sum(call.count.most >= call.reported for call in calls)
        row = [f"{vendor}, {kind}", str(len(calls)), f"{statistics.median(errors):.1%}"]
        row += [f"{quantile(errors, 0.95):.0%}", f"{enough} of {len(calls)}"]
        row += [f"{statistics.median(holds):.1f}", f"{quantile(holds, 0.95):.1f}"]
        row += [peer(name, calls) for name in PEERS]
        print("|", " | ".join(row), "|")
    print(f"\nnot bounded, and left out: {left_out}")


def peer(name: str, calls: list[Counted]) -> str:
    """The median error of what a peer says; in brackets how many calls it answers, where not all."""
    errors = []
    for call in calls:
        try:
            found = PEERS[name](call)
        # What tokencost raises where it has no answer; the table says how often.
        except (KeyError, TypeError, ValueError) as error:
            print(f"{name}: {call.id}: {type(error).__name__}", file=sys.stderr)
        else:
            errors.append(abs(found - call.reported) / call.reported)
    if not errors:
        return "no answer"
    few = f" ({len(errors)})" if len(errors) < len(calls) else ""
    return f"{statistics.median(errors):.0%}{few}"


def speed(runs: int, megabytes: int) -> None:
    """Tokens a second of ordinary text, ours and bare tiktoken's in turn."""
    text = "\n".join(pydoc_data.topics.topics.values())
    text = (text * (megabytes * 10**6 // len(text) + 1))[: megabytes * 10**6]
    encoding = ranks.load("o200k_base")
    ratios, rates = [], []
    for _ in range(runs):
        began = time.perf_counter()
        bare = len(encoding.encode(text, disallowed_special=()))
        between = time.perf_counter()
        ours = count_text(text)
        ended = time.perf_counter()
        assert ours == bare, "the same count"
        ratios.append((between - began) / (ended - between))
        rates.append(ours / (ended - between))
    print(f"\n{megabytes} MB of text: {statistics.median(rates):,.0f} tokens a second,", end=" ")
    print(f"{statistics.median(ratios):.2f} of bare tiktoken ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=10)
    asked = parser.parse_args()
    accuracy()
    speed(asked.runs, asked.megabytes)


if __name__ == "__main__":
    main()
