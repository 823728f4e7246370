from __future__ import annotations

import tomllib

import pytest

from budgets.clock import utc_now
from budgets.errors import ConfigError
from budgets.gateway.configured import Configuration, configuration, missing_in
from budgets.prices import open_book

KEYS = {"OPENAI_API_KEY": "sk-1", "EU_KEY": "sk-2", "GEMINI_API_KEY": "g"}

WHOLE = """
[[upstreams]]
name = "openai"

[[upstreams]]
name = "eu"
provider = "openai"
base_url = "https://eu.api.openai.com/v1/"
key_variable = "EU_KEY"

[[upstreams]]
name = "gemini"

[[upstreams]]
name = "claude"
provider = "anthropic"

[[upstreams]]
name = "own"
base_url = "http://10.0.0.5:8000/v1"

[models.small]
deployments = [
    { upstream = "openai", model = "gpt-4o-mini", weight = 3 },
    { upstream = "eu", model = "gpt-4o-mini" },
]
aliases = ["fast", "default"]

[models.llama]
deployments = [{ upstream = "own" }]

[users.ann]
models = ["fast"]

[users.bob]
models = []
"""


def read(text: str, **environ: str) -> Configuration:
    return configuration(tomllib.loads(text), {**KEYS, **environ})


def test_a_whole_file() -> None:
    found = read(WHOLE)
    openai, eu, gemini, claude, own = found.upstreams
    assert (openai.name, openai.origin, openai.key) == ("openai", "https://api.openai.com", "sk-1")
    assert openai.bases == {"openai": "/v1"}
    assert (eu.provider.id, eu.origin, eu.key) == ("openai", "https://eu.api.openai.com", "sk-2")
    assert gemini.bases == {"openai": "/v1beta/openai", "gemini": "/v1beta"}
    assert claude.missing_key == ("ANTHROPIC_API_KEY",)
    assert (own.key, own.missing_key, own.provider.local) == (None, (), True)
    assert found.models is not None
    assert list(found.models) == ["small", "fast", "default", "llama"]
    assert [(each.target.name, each.target.model, each.weight) for each in found.models["fast"]] == [
        ("openai", "gpt-4o-mini", 3),
        ("eu", "gpt-4o-mini", 1),
    ]
    assert found.models["llama"][0].target.model == "llama"
    assert found.allowed == {"ann": ("small", "fast", "default"), "bob": ()}
    assert "sk-1" not in repr(found)


def test_without_tables_every_provider_is_an_upstream() -> None:
    found = configuration({}, {"GROQ_API_KEY": "k", "OPENAI_BASE_URL": "http://localhost:9/v1"})
    named = {each.name: each for each in found.upstreams}
    assert named["groq"].key == "k"
    assert named["groq"].bases == {"openai": "/openai/v1"}
    assert named["openai"].origin == "http://localhost:9"
    assert named["anthropic"].missing_key == ("ANTHROPIC_API_KEY",)
    # What runs on this machine is called only where the file says so.
    assert "ollama" not in named
    assert found.models is None


AZURE = """
[[upstreams]]
name = "azure"
base_url = "https://desk.openai.azure.com/openai/v1"
key_variable = "AZURE_KEY"
deployments = { "my-gpt" = "gpt-4o-mini", "odd" = "gpt-of-nobody" }
"""


def test_azures_deployments_have_the_prices_of_their_models() -> None:
    found = read(AZURE, AZURE_KEY="az")
    (azure,) = found.upstreams
    assert azure.deployments == {"my-gpt": "gpt-4o-mini", "odd": "gpt-of-nobody"}
    assert azure.provider.id == "azure"
    (missing,) = missing_in(found, open_book(), utc_now())
    assert missing.startswith("gpt-of-nobody at azure has no price")
    assert "AZURE_KEY is not set here, and the upstream azure needs it" in list(
        missing_in(read(AZURE), open_book(), utc_now())
    )


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/openai/deployments/my-gpt/chat/completions?api-version=1", None),
        ("/openai/responses?api-version=1", None),
        ("/openai/v1/chat/completions", None),
        ("/v1/chat/completions", "/openai/v1/chat/completions"),
    ],
)
def test_both_forms_of_azures_paths_lead_there(path: str, there: str | None) -> None:
    (azure,) = read(AZURE, AZURE_KEY="az").upstreams
    assert azure.address(path, "openai-chat") == f"https://desk.openai.azure.com{there or path}"


UP = '[[upstreams]]\nname = "openai"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("upstreams = 3", "no list of tables"),
        ("[upstreams]\n", "no list of tables"),
        ("[[upstreams]]\n", "upstream 1 has the name"),
        ('[[upstreams]]\nname = "A b"', "upstream 1 has the name"),
        ('[[upstreams]]\nname = "v1"\nprovider = "openai"', "upstream 1 has the name"),
        (UP + UP, "upstream 2 has the name"),
        (UP + 'api_key = "sk-live"', '"api_key", which does not exist'),
        (UP + "base_url = 3", "has 3 as its base_url"),
        (UP + 'provider = "mars"', "no provider that is known here"),
        ('[[upstreams]]\nname = "mars"', "no provider that is known here"),
        (UP + 'dialect = "soap"', 'the dialect "soap"'),
        (UP + 'base_url = "localhost"', "is no HTTP address"),
        (UP + 'base_url = "https://me:secret@x.example/v1"', "more than an address"),
        (UP + 'base_url = "https://x.example/v1?key=1"', "more than an address"),
        (UP + 'base_url = "http://x.example/v1"', "would travel unprotected"),
        (UP + 'deployments = ["gpt"]', "as its deployments"),
        (UP + 'deployments = { "prod" = 4 }', "has 4 as its prod"),
        (
            UP + 'deployments = { a = "gpt-4o" }\n[models.x]\ndeployments = [{ upstream = "openai" }]',
            '"x", which is no deployment of the upstream openai',
        ),
        (UP + "[models]\nx = 1", "the model x is no table"),
        (UP + "[models.x]", "has no deployments"),
        (UP + '[models.x]\ndeployments = ["openai"]', "is no table"),
        (UP + '[models.x]\ndeployments = [{ upstream = "mars" }]', 'names the upstream "mars"'),
        (UP + '[models.x]\ndeployments = [{ upstream = "openai", weight = 0 }]', "the weight 0"),
        (UP + '[models.x]\ndeployments = [{ upstream = "openai", weight = true }]', "the weight True"),
        (UP + '[models.x]\ndeployments = [{ upstream = "openai" }, { upstream = "openai" }]', "twice"),
        (UP + '[models.x]\ndeployments = [{ upstream = "openai" }]\naliases = ["x"]', "two models"),
        (UP + '[models.x]\ndeployments = [{ upstream = "openai" }]\naliases = "y"', "as its aliases"),
        (UP + '[models.x]\ndeployments = [{ upstream = "openai" }]\n[users.ann]\nmodels = ["y"]', "no model"),
        (UP + "[users]\nann = 1", "the user ann is no table"),
        (UP + '[users.ann]\nmodel = "x"', '"model", which does not exist'),
    ],
)
def test_what_cannot_be_used_is_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert words in refused.value.message
    assert refused.value.hint
    assert "secret" not in str(refused.value)
    assert "sk-live" not in str(refused.value)
