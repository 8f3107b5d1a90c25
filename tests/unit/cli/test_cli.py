"""The command on this machine's files and store; over HTTP it is tested with the API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from telephony.base.errors import BadInput, ConfigError, NotFound, Unavailable
from telephony.cli import app, main
from telephony.cli.show import table

runner = CliRunner()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEPHONY_DATA_DIR", str(tmp_path / "var"))


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_credits_are_granted_and_adjusted() -> None:
    assert run("credits", "grant", "25", "--note", "welcome") == "25.000000\n"
    assert run("credits", "adjust", "-30.000001", "--note", "slip") == "-5.000001\n"
    found = json.loads(run("credits", "balance", "--json"))
    assert found == {"organization": "org_default", "balance_usd": "-5.000001"}
    other = run("organizations", "create", "Zwei").strip()
    assert run("credits", "grant", "1", "--organization", other) == "1.000000\n"
    assert run("credits", "balance", "--organization", other) == "1.000000\n"
    for words in (["grant", "1"], ["adjust", "1", "--note", "x"], ["balance"]):
        with pytest.raises(NotFound, match="org_nobody"):
            run("credits", *words, "--organization", "org_nobody")
    for words, path in (
        (["grant", "0"], "amount"),
        (["grant", "--", "-1"], "amount"),
        (["grant", "1e5"], "amount"),
        (["grant", "0.0000001"], "amount"),
        (["grant", "1000000000.000001"], "amount"),
        (["grant", "1", "--note", "x" * 501], "note"),
        (["adjust", "0", "--note", "x"], "amount"),
        (["adjust", "1", "--note", " "], "note"),
    ):
        with pytest.raises(BadInput, match=path):
            run("credits", *words)
    assert run("credits", "balance") == "-5.000001\n"


def test_a_key_is_made_listed_and_revoked() -> None:
    secret = run("keys", "create", "--name", "laptop").strip()
    assert secret.startswith("sk_live_")
    made = json.loads(run("keys", "create", "--test", "--days", "7", "--json"))
    assert made["key"].startswith("sk_test_")
    assert made["live"] is False
    rows = json.loads(run("keys", "list", "--json"))
    assert [row["name"] for row in rows] == ["laptop", ""]
    listed = run("keys", "list")
    assert secret not in listed
    assert secret[-4:] in listed
    narrow = json.loads(run("keys", "create", "--scope", "read", "--rate", "2", "--json"))
    assert (narrow["scopes"], narrow["requests_per_second"]) == ("read", 2)
    turned = json.loads(run("keys", "rotate", narrow["id"], "--hours", "1", "--json"))
    assert (turned["scopes"], turned["expires_at"]) == ("read", None)
    assert turned["key"] != narrow["key"]
    by_id = {row["id"]: row for row in json.loads(run("keys", "list", "--json"))}
    assert by_id[narrow["id"]]["expires_at"] is not None
    assert by_id[turned["id"]]["expires_at"] is None
    other = run("organizations", "create", "Zwei").strip()
    theirs = json.loads(run("keys", "create", "--organization", other, "--json"))
    assert theirs["organization"] == other
    run("organizations", "rename", other, "Drei")
    assert [o["name"] for o in json.loads(run("organizations", "list", "--json"))] == ["Drei"]
    with pytest.raises(NotFound, match="org_nobody"):
        run("keys", "create", "--organization", "org_nobody")
    for row in (narrow, turned, theirs):
        run("keys", "revoke", row["id"])
    run("keys", "revoke", made["id"])
    assert len(json.loads(run("keys", "list", "--json"))) == 1
    with pytest.raises(NotFound):
        run("keys", "revoke", made["id"])


def test_migrate_says_where_the_database_is() -> None:
    assert run("migrate").startswith("the database is at migration ")


def test_print_settings_names_each_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEPHONY_API_PORT", "99")
    monkeypatch.setenv("TELEPHONY_SECRET_KEY", "a very secret key of ours")
    lines = run("serve", "--print-settings").splitlines()
    assert "TELEPHONY_API_PORT\t99\tenvironment (TELEPHONY_API_PORT)" in lines
    assert "TELEPHONY_SIP_PORT\t5060\tdefault" in lines
    assert not any("a very secret key" in line for line in lines)


def test_a_bad_dialplan_is_named_line_by_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\nstart: [\n")
    result = runner.invoke(app, ["dialplan", "check", str(bad), "nowhere.yaml"])
    assert result.exit_code == 1
    assert f"{bad}:" in result.stdout
    assert "nowhere.yaml: cannot be read" in result.stdout


def test_the_dialplans_that_ship_are_good() -> None:
    import telephony

    folder = Path(telephony.__file__).parent / "dialplans"
    assert list(folder.glob("*.yaml"))
    assert run("dialplan", "check", str(folder)) == ""


def test_without_a_key_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TELEPHONY_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="TELEPHONY_API_KEY"):
        run("calls", "list")


def test_a_service_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEPHONY_API_KEY", "sk_live_something")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("urllib.request.OpenerDirector.open", refuse)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:8080 does not answer"):
        run("calls", "list")


def test_what_goes_wrong_is_one_line_and_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TELEPHONY_API_PROT", "1")
    monkeypatch.setattr("sys.argv", ["telephony", "serve"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "TELEPHONY_API_PROT" in said
    assert "Traceback" not in said


def test_cells_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    table([{"a": None, "b": True, "c": ["x", "y"], "d": {"k": 1}, "e": "one\ntwo"}], list("abcde"))
    assert capsys.readouterr().out == '-\tyes\tx, y\t{"k": 1}\tone two\n'
