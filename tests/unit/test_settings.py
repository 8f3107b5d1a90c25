"""Settings: where each value comes from, and how a wrong one is told."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from telephony.accounts.model import NumberDirection, Transport
from telephony.app import browser_tokens
from telephony.base.errors import ConfigError
from telephony.reports.cost import Rate
from telephony.settings import MASK, Loaded, MediaTimeout, PortRange, Settings, ensure_secret, load

NOW = datetime(2026, 1, 5, tzinfo=UTC)

FILE = """
api_port = 8081
log_level = "debug"

[[trunks]]
name = "main"
gateways = ["sip.carrier.example", "192.0.2.1:5080"]
transport = "tcp"
username = "acme"
password = "secret-of-the-trunk"
register = true
allowed_sources = ["203.0.113.0/24"]
caller_ids = ["+12025550100"]
country = "us"
headers = { X-Account = "7" }

[[phones]]
user = "1000"
password = "secret-of-the-phone"

[numbers]
"+12025550100" = { dialplan = "front-desk", trunk = "main" }
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(text: str | None = None, **env: str) -> Loaded:
    if text is not None:
        Path("telephony.toml").write_text(text)
    return load({f"TELEPHONY_{name}": value for name, value in env.items()})


def refused(text: str | None = None, **env: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(text, **env)
    return caught.value.message


def test_with_nothing_set_it_is_loopback_and_nobody_else() -> None:
    loaded = settings()
    found = loaded.settings
    assert (found.api_host, found.api_port) == ("127.0.0.1", 8080)
    assert (found.sip_host, found.sip_port) == ("127.0.0.1", 5060)
    assert found.sip_on_loopback
    assert not found.accept_strangers
    assert found.rtp_ports == PortRange(20000, 29999)
    assert found.media_timeout == MediaTimeout(30, 15)
    assert found.data_dir == Path.cwd() / "var"
    assert found.database == f"sqlite:///{Path.cwd()}/var/telephony.db"
    assert found.dialplans is None
    assert found.trunks == []
    assert set(loaded.sources.values()) == set()


def test_the_environment_goes_before_the_file_and_the_file_before_the_default() -> None:
    loaded = settings(FILE, API_PORT="99")
    assert loaded.settings.api_port == 99
    assert loaded.settings.log_level == "DEBUG"
    assert loaded.settings.sip_port == 5060
    shown = {name: (value, source) for name, value, source in loaded.lines()}
    assert shown["api_port"] == ("99", "environment (TELEPHONY_API_PORT)")
    assert shown["log_level"] == ("DEBUG", "telephony.toml")
    assert shown["sip_port"] == ("5060", "default")
    assert set(shown) == set(Settings.model_fields)


def test_the_file_can_lie_elsewhere(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("api_port = 7\n")
    assert settings(FILE, CONFIG=str(other)).settings.api_port == 7
    assert "cannot be read" in refused(CONFIG=str(tmp_path / "none.toml"))


def test_secrets_are_masked() -> None:
    loaded = settings(
        FILE,
        API_KEY="sk_live_0123456789",
        SECRET_KEY="k" * 32,
        DATABASE_URL="postgresql://user:pass-word@db/telephony",
    )
    shown = repr(loaded.lines()) + repr(loaded.settings)
    for secret in ("sk_live_0123456789", "k" * 32, "secret-of-the-trunk", "secret-of-the-phone"):
        assert secret not in shown
    assert "pass-word" not in repr(loaded.lines())
    assert ("secret_key", MASK, "environment (TELEPHONY_SECRET_KEY)") in loaded.lines()
    assert loaded.settings.secret_key == "k" * 32


def test_what_the_file_makes() -> None:
    found = settings(FILE).settings
    (trunk,) = found.file_trunks(NOW)
    assert (trunk.id, trunk.name, trunk.transport) == ("trunk_main", "main", Transport.TCP)
    assert trunk.gateways == ("sip.carrier.example", "192.0.2.1:5080")
    assert (trunk.password, trunk.register, trunk.country) == ("secret-of-the-trunk", True, "US")
    assert trunk.from_file
    assert trunk.created_at == NOW
    (phone,) = found.file_phones(NOW)
    assert (phone.id, phone.user, phone.password) == ("phone_1000", "1000", "secret-of-the-phone")
    (number,) = found.file_numbers(NOW)
    assert (number.e164, number.trunk, number.dialplan) == (
        "+12025550100", "trunk_main", "front-desk",
    )  # fmt: skip
    assert number.direction is NumberDirection.BOTH
    assert {row.organization for row in (trunk, phone, number)} == {"org_default"}


def test_the_rate_card() -> None:
    assert settings().settings.rate_card is None
    loaded = settings(
        FILE
        + '[rates]\ninbound = "0.0085"\noutbound = "9999.000000001"\nincrement = 6\n'
        + '[rates.trunks]\nmain = { outbound = "0.02" }\ntrunk_01 = { increment = 3600 }\n',
        PREPAID="true",
    )
    card = loaded.settings.rate_card
    assert card is not None
    base = Rate(inbound=Decimal("0.0085"), outbound=Decimal("9999.000000001"), increment=6)
    assert card.default == base
    assert card.of("trunk_main") == replace(base, outbound=Decimal("0.02"))
    assert card.of("trunk_01") == replace(base, increment=3600)
    assert card.of("trunk_02") == card.of(None) == base
    assert loaded.settings.prepaid
    shown = {name: value for name, value, _ in loaded.lines()}
    assert shown["rates"] == (
        "inbound 0.0085, outbound 9999.000000001, increment 6 s,"
        " main (outbound 0.02), trunk_01 (increment 3600 s)"
    )
    empty = settings("[rates]").settings.rate_card
    assert empty is not None and empty.default == Rate()
    assert "telephony.toml only" in refused(RATES="{}")


def test_lists_and_ranges_are_written_by_hand() -> None:
    found = settings(
        RTP_PORTS="30000-30100",
        MEDIA_TIMEOUT="10",
        CORS_ORIGINS="https://a.example, https://b.example",
        TRUSTED_PROXIES="10.0.0.0/8,::1",
        MEDIA_WORKERS="auto",
        ACCEPT_STRANGERS="true",
        CODECS="g.722, PCMA",
    ).settings
    assert found.codecs == ("G722", "PCMA")
    assert found.rtp_ports == PortRange(30000, 30100)
    assert found.media_timeout == MediaTimeout(10, 10)
    assert found.cors_origins == ("https://a.example", "https://b.example")
    assert [str(net) for net in found.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert found.media_workers == "auto"
    assert found.accept_strangers


def test_a_variable_set_to_nothing_is_not_set() -> None:
    assert settings(API_PORT="", API_KEY="").settings.api_port == 8080


def test_dialplans_are_those_beside_it_where_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "dialplans").mkdir()
    assert settings().settings.dialplans == tmp_path / "dialplans"
    assert settings(DIALPLANS="mine").settings.dialplans == tmp_path / "mine"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("API_PROT", "TELEPHONY_API_PORT"), ("DATADIR", "TELEPHONY_DATA_DIR"), ("api_port", "API")],
)
def test_an_unknown_variable_is_refused_with_its_neighbour(name: str, hint: str) -> None:
    said = refused(**{name: "1"})
    assert f"TELEPHONY_{name}" in said
    assert hint in said


def test_what_others_set_for_themselves_is_no_setting_of_ours() -> None:
    settings(
        SERVICE_HOST="10.0.0.1", PORT="tcp://10.0.0.1:80", PORT_80_TCP_ADDR="x", URL="http://x"
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("api_prot = 1", ["api_prot", "telephony.toml", "api_port"]),
        ("zzz = 1", ["zzz", "telephony.toml"]),
        ('[[trunks]]\nname="a"\ngateways=["h"]\ngatways=[]', ["trunks[0].gatways", "gateways"]),
        ('[[trunks]]\nname="a"', ["trunks[0]", "gateways", "at least one"]),
        ('[[trunks]]\nname="a"\nkind="livekit"', ["trunks[0]", "livekit_trunk", "gateway"]),
        (
            '[[trunks]]\nname="a"\nkind="livekit"\nlivekit_trunk="ST_1"',
            ["trunks", "a is LiveKit's", "LIVEKIT_URL is not set"],
        ),
        (
            '[[trunks]]\nname="a"\nkind="livekit"\nlivekit_trunk="x y"',
            ["trunks[0].livekit_trunk", "ST_abc123"],
        ),
        (
            '[[trunks]]\nname="a"\nkind="livekit"\ngateways=["h"]\nregister=true',
            ["trunks[0]", "register"],
        ),
        ('[[trunks]]\nname="a"\ngateways=["a b"]', ["trunks[0].gateways[0]", "'a b'"]),
        ('[[trunks]]\nname="default"\ngateways=["h"]', ["trunks[0].name", "default"]),
        ('[[trunks]]\nname="a"\ngateways=["h"]\n' * 2, ["trunks", "a is there twice"]),
        ('[[trunks]]\nname="a"\ngateways=["h"]\ncaller_ids=["7"]', ["trunks[0].caller_ids", "'7'"]),
        ('[[phones]]\nuser="1"', ["phones[0].password", "is required"]),
        ('[[phones]]\nuser="1 2"\npassword="x"', ["phones[0].user"]),
        ('[numbers]\n"100" = {}', ["numbers", "'100'"]),
        ('[numbers]\n"+12025550100" = { trunk = "man" }\n[[trunks]]\nname="main"\ngateways=["h"]',
         ["numbers.+12025550100.trunk", "'man'", "did you mean main?"]),
        ('[numbers]\n"+12025550100" = { dialplam = "x" }', ["dialplam", "did you mean dialplan?"]),
        ('api_port = "x"', ["api_port", "telephony.toml"]),
        ("x = [", ["telephony.toml", "not TOML"]),
        ("[rates]\ninbound = 0.01", ["rates.inbound", "in quotes"]),
        ('[rates]\ninbound = "-1"', ["rates.inbound", "in quotes"]),
        ('[rates]\ninbound = "0.0000000001"', ["rates.inbound"]),
        ('[rates]\ninbound = "10000"', ["rates.inbound"]),
        ('[rates]\ninbount = "1"', ["rates.inbount", "did you mean inbound?"]),
        ("[rates]\nincrement = 0", ["rates.increment"]),
        ("[rates]\nincrement = 3601", ["rates.increment"]),
        ('[rates.trunks.man]\n[[trunks]]\nname="main"\ngateways=["h"]',
         ["rates.trunks.man", "did you mean main?"]),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_where(text: str, parts: list[str]) -> None:
    said = refused(text)
    for part in parts:
        assert part in said, said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "x"), ("API_PORT", "65536"), ("API_PORT", "-1"), ("MAX_CALLS", "0"),
        ("RTP_PORTS", "1-2"), ("RTP_PORTS", "30000"), ("RTP_PORTS", "30000-20000"),
        ("MEDIA_TIMEOUT", "0"), ("MEDIA_TIMEOUT", "1,2,3"), ("MEDIA_WORKERS", "many"),
        ("TRUSTED_PROXIES", "proxy"), ("PUBLIC_URL", "phone.example"), ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"), ("SECRET_KEY", "short"), ("API_KEY", "a b c d e f"),
        ("DATABASE_URL", "no url"), ("SIP_HOST", "a b"), ("ACCEPT_STRANGERS", "perhaps"),
        ("CODECS", "PCMU,opus"), ("CODECS", "PCMU,pcmu"), ("CODECS", ","),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_setting_and_source(name: str, value: str) -> None:
    said = refused(**{name: value})
    assert name.lower() in said
    assert f"environment (TELEPHONY_{name})" in said


def test_livekit_takes_all_three_or_none() -> None:
    said = refused(LIVEKIT_URL="wss://livekit.example")
    assert "TELEPHONY_LIVEKIT_API_KEY" in said
    settings(LIVEKIT_URL="wss://l.example", LIVEKIT_API_KEY="k", LIVEKIT_API_SECRET="s")


def test_browsers_are_told_an_address_of_their_own() -> None:
    server = {
        "LIVEKIT_URL": "ws://127.0.0.1:7880", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s",
    }  # fmt: skip

    def told(**more: str) -> str | None:
        tokens = browser_tokens(settings(**server, **more).settings)
        return tokens and tokens.url

    assert told() == "ws://127.0.0.1:7880"
    assert told(LIVEKIT_PUBLIC_URL="https://rooms.example.com/x") == "wss://rooms.example.com/x"
    assert browser_tokens(settings().settings) is None
    said = refused(LIVEKIT_PUBLIC_URL="wss://rooms.example.com")
    assert "livekit_public_url" in said and "LIVEKIT_URL is not set" in said
    said = refused(**server, LIVEKIT_PUBLIC_URL="rooms.example.com")
    assert "livekit_public_url" in said


def test_tables_stand_in_the_file_only() -> None:
    assert "telephony.toml only" in refused(TRUNKS="[]")


# --- secret.key ----------------------------------------------------------------------------


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "deep"
    made = ensure_secret(folder)
    assert len(made) >= 32
    assert ensure_secret(folder) == made
    assert stat.S_IMODE(os.stat(folder / "secret.key").st_mode) == 0o600
    assert os.listdir(folder) == ["secret.key"]
    assert ensure_secret(tmp_path / "other") != made


def test_a_damaged_secret_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("")
    with pytest.raises(ConfigError, match="damaged"):
        ensure_secret(tmp_path)
    assert (tmp_path / "secret.key").read_text() == ""


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        ensure_secret(tmp_path / "file")
