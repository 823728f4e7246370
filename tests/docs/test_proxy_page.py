"""What the proxy server's page has as configuration is that, and says what the page says."""

from __future__ import annotations

import tomllib

from budgets.config import TABLES
from budgets.gateway.configured import configuration
from tests.docs.test_pages_run import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "proxy-server.md"


def test_the_whole_file_can_be_used() -> None:
    text, _ = blocks(PAGE, "toml")
    tables = tomllib.loads(text)
    assert set(tables) == set(TABLES)
    found = configuration(tables, {"OPENAI_API_KEY": "a", "OPENAI_EU_API_KEY": "b", "ANTHROPIC_API_KEY": "c"})
    assert [each.name for each in found.upstreams] == ["openai", "openai-eu", "anthropic", "gpu-box"]
    assert [each.missing_key for each in found.upstreams] == [()] * 4
    assert found.models is not None
    assert [each.weight for each in found.models["small"]] == [3, 1]
    assert found.allowed == {"ann": ("gpt-4o-mini", "small", "llama")}


def test_azures_part_of_it_can_be_used() -> None:
    _, text = blocks(PAGE, "toml")
    found = configuration(tomllib.loads(text), {"AZURE_OPENAI_API_KEY": "a"})
    (azure,) = found.upstreams
    assert azure.deployments == {"my-gpt": "gpt-4o-mini", "my-embedder": "text-embedding-3-small"}
    assert found.models is not None
    (deployment,) = found.models["gpt-4o-mini"]
    assert (deployment.target.name, deployment.target.model) == ("azure", "my-gpt")
