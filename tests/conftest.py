"""Puts the checkout on the path, so that every test imports its helpers as `tests.support`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

_ROOT = str(Path(__file__).parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

# `BUDGET_FULL=1` runs the races, the kills and the machines at full size; by default they are modest.
settings.register_profile("full", max_examples=2_000, deadline=None)
settings.register_profile("modest", deadline=None)
settings.load_profile("full" if os.environ.get("BUDGET_FULL") == "1" else "modest")
