"""
Adds up by hand what `budget` says that a cost adds up to.

It reads what was printed, as a person with a pencil would, and knows nothing of the program: count times
price for each line, the sum of the products, rounded up to a billionth of a dollar.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any, NamedTuple

_PER = {"each": 1, "hour": 3_600, "million": 1_000_000}
_LINE = re.compile(r"^[a-z_0-9]+ +(?P<count>[0-9,]+) +\$(?P<price>\S+) +(?P<per>\w+) +\$(?P<product>\S+)$")
_NANO = Fraction(1, 10**9)


class Readded(NamedTuple):
    """What it came to, in dollars, and how many lines there were."""

    total: Fraction
    lines: int


def readd_text(text: str) -> Readded:
    """The printed sum, added up again; every figure on the way is compared."""
    products = []
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        per = _PER[found["per"]]
        product = int(found["count"].replace(",", "")) * _number(found["price"]) / per
        assert product == _number(found["product"]), line
        products.append(product)
    return Readded(
        _closed(products, *(_labelled(text, each) for each in ("exact sum", "rounded up", "total"))),
        len(products),
    )


def readd_document(document: dict[str, Any]) -> Readded:
    """The same for a JSON document."""
    products = []
    for each in document["sums"]:
        mine = []
        for line in each["lines"]:
            mine.append(line["count"] * _number(line["price_usd"]) / line["per"])
            assert mine[-1] == _number(line["product_usd"]), line
        assert sum(mine) == _number(each["exact_usd"])
        products += mine
    fields = ("exact_usd", "rounding_usd", "total_usd")
    return Readded(_closed(products, *(_number(document[each]) for each in fields)), len(products))


def _closed(products: list[Fraction], exact: Fraction, rounding: Fraction, total: Fraction) -> Fraction:
    """The total, once the exact sum is that of the products and the total is that, rounded up to a nano."""
    # A bill is one figure of the provider's, with nothing to add up.
    assert not products or sum(products) == exact
    assert exact + rounding == total
    assert total == math.ceil(exact / _NANO) * _NANO
    return total


def _labelled(text: str, label: str) -> Fraction:
    """The figure behind *label*, which is there once."""
    (found,) = re.findall(rf"^{label} +(?:by )?\$(\S+)", text, re.MULTILINE)
    return _number(found.removesuffix(","))


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))
