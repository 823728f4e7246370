"""
What a price costs in time: a warm cost beside `genai_prices.calc_price`, and a cold look-up. Run by hand:

    python tests/benchmarks/prices.py [--runs 15]

Both sums are compared, exactly and before rounding, before anything is timed; the two are timed in turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import genai_prices

from budgets.prices import open_book
from budgets.pricing import Picos, cost
from budgets.usage import Usage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODELS = ("openai/gpt-4o-mini", "openai/gpt-5.4", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-pro")
CALLS = 5_000

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


def microseconds(call: Callable[[], object]) -> float:
    """One of many calls in a row."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


def warm(runs: int) -> None:
    """Look a model up and price an ordinary call, here and there."""
    book = open_book()
    for full in MODELS:
        provider, _, model = full.partition("/")
        usage = Usage.of(input=1_204, cached_input=1_024, output=311)
        theirs = genai_prices.Usage(input_tokens=2_228, cache_read_tokens=1_024, output_tokens=311)

        def ours(model: str = model, provider: str = provider, usage: Usage = usage) -> Picos:
            return cost(usage, book.find(model, provider=provider, at=NOW)).exact_picos

        def judge(
            model: str = model, provider: str = provider, usage: genai_prices.Usage = theirs
        ) -> Decimal:
            found = genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=NOW)
            return found.total_price

        if ours() != Fraction(judge()) * 10**12:
            raise SystemExit(f"{full}: {ours()} picos here, ${judge()} there")
        pairs = [(microseconds(ours), microseconds(judge)) for _ in range(runs)]
        mine, other = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{full}: {mine:.2f} us, genai_prices {other:.1f} us, ratio {ratio:.0f}")


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
