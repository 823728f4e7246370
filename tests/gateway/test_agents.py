"""
The `claude` and `codex` command lines, as their makers publish them, through the gateway, without an account.

They are large and come from npm's registry, so this runs only where it is asked for: `BUDGET_AGENTS=1`
installs them into a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.gateway.checking import charged_as_billed, make_poor
from tests.gateway.running import KEY, Running
from tests.gateway.wire import ANSWER, WireProvider

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("BUDGET_AGENTS") != "1",
        reason="BUDGET_AGENTS=1 installs them",
    ),
    pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed"),
]

PACKAGES = ("@anthropic-ai/claude-code@2.1.197", "@openai/codex@0.169.0")
QUESTION = "Name three rivers"

# `codex` of 2026 speaks Responses, and asks five times where an answer could not be had, whatever its status.
CODEX_CONFIG = """
model = "gpt-4o-mini"
model_provider = "budget"
[model_providers.budget]
name = "budget"
base_url = "{url}/openai/v1"
env_key = "BUDGET_KEY"
wire_api = "responses"
stream_max_retries = 0
"""


@pytest.fixture(scope="session")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agents")
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *PACKAGES],
        check=True,
        timeout=300,
        capture_output=True,
    )
    return folder / "node_modules"


def run(words: list[str | Path], folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """An agent to its end, at home in *folder*, with no settings, logins or keys but these."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"}
    return subprocess.run(
        words,
        cwd=folder,
        env={**clean, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_claude(agents: Path, gateway: Running, provider: WireProvider, tmp_path: Path) -> None:
    # The program itself; the one beside it is a stub until a script of the package has run.
    (claude,) = agents.glob("@anthropic-ai/claude-code-*/claude")
    words = [claude, "-p", QUESTION, "--model", "claude-haiku-4-5"]
    environ = {
        "ANTHROPIC_BASE_URL": f"{gateway.url}/anthropic",
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    answered = run(words, tmp_path, **environ)
    assert (answered.stdout.strip(), answered.returncode) == (ANSWER, 0)
    # It comes with its tools and its prompt, and asks for a stream.
    assert provider.calls[0].body["tools"]
    charged_as_billed(gateway, provider, len(provider.bills))

    make_poor(gateway)
    refused = run(words, tmp_path, **environ)
    assert refused.returncode == 1
    assert "API Error: 402 budget: ann has" in refused.stdout
    assert gateway.outcomes.count("refused") == 1


def test_codex(agents: Path, gateway: Running, provider: WireProvider, tmp_path: Path) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(CODEX_CONFIG.format(url=gateway.url))
    words = [agents / ".bin" / "codex", "exec", "--skip-git-repo-check", QUESTION]
    answered = run(words, tmp_path, BUDGET_KEY=KEY)
    assert (answered.stdout.strip(), answered.returncode) == (ANSWER, 0)
    charged_as_billed(gateway, provider, len(provider.bills))

    make_poor(gateway)
    refused = run(words, tmp_path, BUDGET_KEY=KEY)
    assert refused.returncode == 1
    assert "unexpected status 402 Payment Required: budget: ann has" in refused.stderr
    assert gateway.outcomes.count("refused") == 1
