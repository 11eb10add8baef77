"""Commands that read a console with a token."""

from __future__ import annotations

import pytest
from console_feed import Client, logs, prediction
from console_server import running

from otel_ml import semconv
from otel_ml.cli import main
from otel_ml.console._options import Options

TOKEN = "a-token-of-32-letters-and-digits"


@pytest.mark.parametrize("is_file", [True, False])
def test_the_token_opens_profile_and_report(tmp_path, monkeypatch, capsys, is_file):
    """Both take it from a file or from the environment, and say in one line what to give if they have none."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with running(Options(token=TOKEN)) as console:
        client = Client(console.address, {"authorization": f"Bearer {TOKEN}"})
        assert client.export(logs(*(prediction(f"p-{age}", features={"age": age}) for age in range(60)))).status == 200
        start = ["--from-console", console.address, "--model", "fraud"]
        profile = ["profile", *start, "--name", "may", "--output", str(tmp_path / "p.json")]
        report = ["report", *start, "--output", str(tmp_path / "r.html")]
        for command in (profile, report):
            assert main(command) == 2
            assert capsys.readouterr().err.endswith(
                f"needs its token: --token-file FILE or {semconv.ENV_CONSOLE_TOKEN}\n"
            )
        monkeypatch.setenv(semconv.ENV_CONSOLE_TOKEN, "wrong" if is_file else TOKEN)
        given = ["--token-file", str(tmp_path / "token")] if is_file else []
        assert [main([*command, *given]) for command in (profile, report)] == [0, 0]
        assert TOKEN not in capsys.readouterr().err
    assert (tmp_path / "r.html").stat().st_size > 1000
