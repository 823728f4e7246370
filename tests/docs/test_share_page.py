"""What the page about sharing a budget tells a shell to do is done, on a server."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from budgets.config import load_settings
from budgets.server.engines import Engines
from tests.docs.test_pages_run import ROOT, blocks
from tests.support.provider import loopback_provider
from tests.support.serving import served

PAGE = ROOT / "docs" / "how-to" / "share-one-budget.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page uses curl")
def test_the_page_works_on_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"BUDGET_CONFIG": str(tmp_path / "config.toml")}
    engines = Engines(load_settings(environ, store=str(tmp_path / "budgets.sqlite")))
    program = tmp_path / "bin" / "budget"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m budgets_cli "$@"\n')
    program.chmod(0o755)
    said = []
    with served(engines) as address, loopback_provider() as provider:
        for block in blocks(PAGE, "bash"):
            ended = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                env={
                    **environ,
                    "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
                    "BUDGET_STORE": address,
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, ended
            said.append(ended.stdout)
        monkeypatch.setenv("BUDGET_STORE", address)
        monkeypatch.setenv("BUDGET_CONFIG", environ["BUDGET_CONFIG"])
        monkeypatch.setenv("OPENAI_API_KEY", "sk")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        (program_block,) = blocks(PAGE, "python")
        exec(program_block, {})
    out = capsys.readouterr().out
    assert out.endswith(" spent\n")
    assert not out.startswith("0.00 ")
    assert "ann" in said[0]
    assert '"cost_usd": "0.12"' in said[1]
