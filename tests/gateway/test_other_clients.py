"""litellm as a client library, curl, and the `llm` command call the gateway, unmodified."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.checking import charged_as_billed, make_poor, refused_once
from tests.gateway.running import KEY, Running
from tests.gateway.wire import ANSWER, WireProvider

MESSAGES = [{"role": "user", "content": "Name three rivers"}]

# It warns of much that is its own.
litellms = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    return pytest.importorskip("litellm")


@litellms
@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("openai/gpt-4o-mini", "/openai/v1"),
        ("anthropic/claude-haiku-4-5", "/anthropic"),
        ("gemini/gemini-2.5-flash", "/google/v1beta"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_litellm(
    litellm: Any, gateway: Running, provider: WireProvider, model: str, place: str, stream: bool
) -> None:
    reply = litellm.completion(
        model=model, messages=MESSAGES, api_base=gateway.url + place, api_key=KEY, stream=stream
    )
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in reply)
    else:
        text = reply.choices[0].message.content
    assert text == ANSWER
    charged_as_billed(gateway, provider)


@litellms
def test_litellm_understands_a_refusal(litellm: Any, gateway: Running, provider: WireProvider) -> None:
    make_poor(gateway)
    with pytest.raises(litellm.APIError, match=r"ann has \$0.00000001 left") as caught:
        litellm.completion(
            model="openai/gpt-4o-mini", messages=MESSAGES, api_base=f"{gateway.url}/openai/v1", api_key=KEY
        )
    assert caught.value.status_code == 402
    refused_once(gateway, provider)


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A program to its end, without the proxies and the keys of whoever runs the tests."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        words, env={**clean, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("key", [f"authorization: Bearer {KEY}", f"api-key: {KEY}"])
def test_curl(gateway: Running, provider: WireProvider, key: str) -> None:
    body = json.dumps({"model": "gpt-4o-mini", "messages": MESSAGES})
    url = f"{gateway.url}/openai/v1/chat/completions"
    said = run("curl", "-sS", "--fail-with-body", "-H", key, "--json", body, url)
    assert json.loads(said.stdout)["choices"][0]["message"]["content"] == ANSWER
    charged_as_billed(gateway, provider)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_with_the_key_in_the_address_reads_a_stream_and_a_refusal(
    gateway: Running, provider: WireProvider
) -> None:
    body = json.dumps({"contents": [{"parts": [{"text": "Name three rivers"}]}]})
    url = f"{gateway.url}/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?key={KEY}&alt=sse"
    said = run("curl", "-sSN", "--json", body, url)
    chunks = [json.loads(line.removeprefix("data: ")) for line in said.stdout.splitlines() if line]
    assert "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks) == ANSWER
    assert provider.calls[0].path.endswith(":streamGenerateContent?alt=sse")
    charged_as_billed(gateway, provider)
    make_poor(gateway)
    refused = run("curl", "-sS", "--fail-with-body", "-D-", "--json", body, url)
    assert refused.returncode == 22
    assert "402 Payment Required" in refused.stdout
    assert "RESOURCE_EXHAUSTED" in refused.stdout


@pytest.mark.skipif(not shutil.which("llm"), reason="the llm command is not installed")
@pytest.mark.parametrize("options", [(), ("--no-stream",)])
def test_llm(gateway: Running, provider: WireProvider, tmp_path: Path, options: tuple[str, ...]) -> None:
    model = {"model_id": "mini", "model_name": "gpt-4o-mini", "api_base": f"{gateway.url}/openai/v1"}
    # Without a name for its key, it sends none to an address that is not OpenAI's.
    model["api_key_name"] = "gateway"
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))
    words = ("llm", "-m", "mini", "--key", KEY, *options, "Name three rivers")
    said = run(*words, LLM_USER_PATH=str(tmp_path))
    assert (said.stdout.strip(), said.returncode) == (ANSWER, 0), said.stderr
    charged_as_billed(gateway, provider)
    make_poor(gateway)
    refused = run(*words, LLM_USER_PATH=str(tmp_path))
    assert refused.returncode == 1
    assert "ann has" in refused.stderr
    assert [report.outcome for report in gateway.told(2)] == ["charged", "refused"]
