"""
What a price costs in time: a warm cost beside other libraries', and a cold look-up. Run by hand:

    python tests/benchmarks/prices.py [--runs 15]

Beside `genai_prices.calc_price`, `litellm.completion_cost`, and `tokencost.calculate_cost_by_tokens`, where
they are installed. Sums are compared before rounding, and before anything is timed; then ours and each of
theirs are timed in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import TypeAlias

from budgets.prices import open_book
from budgets.pricing import Picos, cost
from budgets.usage import Usage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODELS = ("openai/gpt-4o-mini", "openai/gpt-5.4", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-pro")
FRESH, CACHED, WRITTEN = 1_204, 1_024, 311
CALLS = 2_000

# Floats end somewhere: two sums are the same where they differ by less than this part of themselves.
FLOAT_DIRT = Fraction(1, 10**12)

# The others have prices of another day.
MUST_AGREE = ("genai_prices", "litellm")

# What the call costs in US dollars, by a model's provider and name; raises where that is not known there.
Judge: TypeAlias = Callable[[str, str], Callable[[], object]]

# A new process: what its first look-up takes, the modules apart and with them.
COLD = """
import time
began = time.perf_counter()
from datetime import UTC, datetime
from budgets.prices import open_book
from budgets.prices import bundled, names, sheets
loaded = time.perf_counter()
open_book().find({model!r}, at=datetime(2026, 11, 22, tzinfo=UTC))
print(time.perf_counter() - loaded, time.perf_counter() - began)
"""


def judges() -> Iterator[tuple[str, Judge]]:
    """The others, as far as they are installed."""
    for name, judge in (
        ("genai_prices", genai_prices),
        ("litellm", litellm),
        ("tokencost", tokencost),
    ):
        try:
            yield name, judge()
        except ImportError:
            print(f"{name} is not installed: left out")


def genai_prices() -> Judge:
    """`calc_price` of the package that our book is made from."""
    import genai_prices

    def judge(provider: str, model: str) -> Callable[[], object]:
        used = genai_prices.Usage(
            input_tokens=FRESH + CACHED, cache_read_tokens=CACHED, output_tokens=WRITTEN
        )
        return lambda: (
            genai_prices.calc_price(
                used, model, provider_id=provider, genai_request_timestamp=NOW
            ).total_price
        )

    return judge


def litellm() -> Judge:
    """`completion_cost` of a reply in its own form."""
    # Otherwise it fetches its prices when it is imported.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    def judge(provider: str, model: str) -> Callable[[], object]:
        used = litellm.Usage(
            prompt_tokens=FRESH + CACHED,
            completion_tokens=WRITTEN,
            total_tokens=FRESH + CACHED + WRITTEN,
            prompt_tokens_details={"cached_tokens": CACHED},
        )
        reply = litellm.ModelResponse(model=model, usage=used)
        seller = "gemini" if provider == "google" else provider
        return lambda: litellm.completion_cost(
            completion_response=reply, model=model, custom_llm_provider=seller
        )

    return judge


def tokencost() -> Judge:
    """`calculate_cost_by_tokens`, once for each kind of token, as its own functions call it."""
    import tokencost

    def judge(provider: str, model: str) -> Callable[[], object]:
        del provider
        counts = (("input", FRESH), ("cached", CACHED), ("output", WRITTEN))
        return lambda: sum(
            tokencost.calculate_cost_by_tokens(count, model, kind)  # type: ignore[arg-type]
            for kind, count in counts
        )

    return judge


def microseconds(call: Callable[[], object]) -> float:
    """One of many calls in a row."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


def warm(runs: int) -> None:
    """Look a model up and price an ordinary call, here and there."""
    book = open_book()
    others = [*judges()]
    for full in MODELS:
        provider, _, model = full.partition("/")
        usage = Usage.of(input=FRESH, cached_input=CACHED, output=WRITTEN)

        def ours(model: str = model, provider: str = provider, usage: Usage = usage) -> Picos:
            return cost(usage, book.find(model, provider=provider, at=NOW)).exact_picos

        for name, judge in others:
            try:
                theirs = judge(provider, model)
                said = Fraction(str(theirs())) * 10**12
            except KeyError:
                print(f"{full}: not known to {name}")
                continue
            if said == ours():
                same = "the same sum"
            elif abs(said - ours()) < ours() * FLOAT_DIRT:
                same = "the same sum but for the dirt of floats"
            elif name in MUST_AGREE:
                raise SystemExit(f"{full}: {ours()} picos here, {float(said)} by {name}")
            else:
                same = f"another price: {float(said / ours()):.2f} times as much"
            pairs = [(microseconds(ours), microseconds(theirs)) for _ in range(runs)]
            mine, other = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            print(f"{full}: {mine:.2f} us, {name} {other:.1f} us, ratio {ratio:.0f}, {same}")


def cold(runs: int) -> None:
    """The first look-up of a process."""
    for model in (*MODELS, "deepinfra/zai-org/GLM-5"):
        found = []
        for _ in range(runs):
            code = COLD.format(model=model)
            answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            found.append([float(each) * 1e3 for each in answer.stdout.split()])
        look_up, whole = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"{model}: {look_up:.1f} ms for the first look-up, {whole:.1f} ms with the modules")


def main() -> None:
    """Both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    warm(runs)
    cold(runs)


if __name__ == "__main__":
    main()
