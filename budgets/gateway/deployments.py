"""Azure's deployments: names that an owner gave to models, in the place of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from budgets.dialects import reading
from budgets.errors import InvalidValueError
from budgets.gateway.targets import Target
from budgets.money import shown

# https://learn.microsoft.com/azure/ai-foundry/openai/reference
_DEPLOYMENT = re.compile(r"/deployments/([^/?]+)/")


def asked_at(path: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request, its model the deployment where *path* names one: whatever else it says is not obeyed."""
    found = _DEPLOYMENT.search(path)
    return asked if found is None else {**asked, "model": reading.unescaped(found[1])}


def priced(target: Target, path: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    The request, its model the one that the deployment is.

    Raises:
        InvalidValueError: nobody has said which model that is.
    """
    if not target.deployments and _DEPLOYMENT.search(path) is None:
        return asked
    model = target.deployments.get(str(asked.get("model")))
    if model is None:
        name = str(asked.get("model"))
        known = ", ".join(map(shown, target.deployments)) or "none"
        raise InvalidValueError(
            f"nobody has said which model the deployment {shown(name)} at {target.name} is",
            hint=f"add it to `deployments` of the upstream {target.name}; known there: {known}",
            deployment=name,
        )
    return {**asked, "model": model}


def sent(target: Target, asked: Mapping[str, Any], body: Mapping[str, Any]) -> Mapping[str, Any]:
    """*body* as it goes out: a deployment is called by the name that was *asked* for."""
    return {**body, "model": asked.get("model")} if target.deployments and "model" in body else body
