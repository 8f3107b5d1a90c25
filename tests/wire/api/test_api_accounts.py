"""Numbers, trunks and phones: written, read, and secrets never shown."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.accounts.model import (
    DEFAULT_ORGANIZATION,
    MediaEncryption,
    NumberDirection,
    Phone,
    PhoneNumber,
    Transport,
    Trunk,
    TrunkKind,
)
from telephony.base.clock import ManualClock
from telephony.store import FileRows

TRUNK = {
    "name": "main",
    "gateways": ["gw1.example", "gw2.example:5080", "sip:acme@192.0.2.1", "[2001:db8::1]:5060"],
    "transport": "tcp",
    "username": "acme",
    "password": "secret-of-the-trunk",
    "register": False,
    "allowedSources": ["203.0.113.0/24", "2001:db8::/32"],
    "callerIds": ["+12025550100"],
    "country": "us",
    "strip": "00",
    "prefix": "9",
    "callsPerSecond": 1.5,
    "maxCalls": 10,
    "headers": {"X-Account": "7"},
}


async def test_a_trunk_is_made_changed_and_forgotten(api: Any) -> None:
    made = await api.post("/v1/trunks", TRUNK)
    assert made.status == 201, made.body
    row = made.body
    assert row["hasPassword"] is True
    assert "secret-of-the-trunk" not in made.raw.decode()
    assert {k: row[k] for k in TRUNK if k not in ("password", "country")} == {
        k: v for k, v in TRUNK.items() if k not in ("password", "country")
    }
    assert row["country"] == "US"
    (kept,) = api.store.directory.trunks()
    assert kept.password == "secret-of-the-trunk"
    assert kept.transport is Transport.TCP

    path = f"/v1/trunks/{row['id']}"
    changed = await api.ask(
        "PATCH", path, {"gateways": ["gw3"], "maxCalls": None, "username": None, "register": True}
    )
    assert changed.status == 200
    assert changed.body["gateways"] == ["gw3"]
    assert changed.body["maxCalls"] is None
    assert changed.body["username"] is None
    assert changed.body["register"] is True
    assert changed.body["hasPassword"] is True
    assert (await api.get(path)).body == changed.body
    assert (await api.get("/v1/trunks")).body == [changed.body]
    cleared = await api.ask("PATCH", path, {"password": None, "name": None, "gateways": None})
    assert cleared.body["hasPassword"] is False
    assert (cleared.body["name"], cleared.body["gateways"]) == ("main", ["gw3"])

    assert (await api.ask("DELETE", path)).body == {"deleted": True}
    assert (await api.ask("DELETE", path)).status == 404
    assert (await api.ask("PATCH", path, {})).status == 404


LIVEKIT = {"name": "lk", "kind": "livekit", "livekitTrunkId": "ST_abc", "mediaEncryption": "allow"}


async def test_a_trunk_of_livekit_s_and_a_number_on_it(api: Any) -> None:
    made = await api.post("/v1/trunks", LIVEKIT)
    assert made.status == 201, made.body
    row = made.body
    assert {k: row[k] for k in LIVEKIT} == LIVEKIT
    assert row["gateways"] == []
    (kept,) = api.store.directory.trunks()
    assert (kept.kind, kept.media_encryption) == (TrunkKind.LIVEKIT, MediaEncryption.ALLOW)
    number = {"e164": "+12025550100", "sipTrunkId": "ST_abc", "dialplan": "front-desk"}
    imported = (await api.post("/v1/phone-numbers/import", number)).body
    assert imported["setupStatus"]["issues"] == []
    path = f"/v1/trunks/{row['id']}"
    inline = {"livekitTrunkId": None, "mediaEncryption": None, "gateways": ["gw"]}
    changed = (await api.ask("PATCH", path, inline)).body
    assert (changed["livekitTrunkId"], changed["mediaEncryption"]) == (None, "disable")
    assert changed["gateways"] == ["gw"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"kind": "pstn"}, "kind"),
        ({"livekitTrunkId": "x"}, "livekitTrunkId"),
        ({"livekitTrunkId": None}, "livekitTrunkId"),
        ({"mediaEncryption": "always"}, "mediaEncryption"),
        ({"register": True}, "register"),
        ({"kind": "sip"}, "gateways"),
    ],
)
async def test_a_trunk_of_livekit_s_that_leads_nowhere_is_named(
    api: Any, change: dict[str, Any], path: str
) -> None:
    refused = await api.post("/v1/trunks", LIVEKIT | change)
    assert refused.status == 400
    assert [issue["path"] for issue in refused.body["issues"]] == [path]
    made = (await api.post("/v1/trunks", LIVEKIT)).body
    again = await api.ask("PATCH", f"/v1/trunks/{made['id']}", change)
    assert (again.status, again.body) == (400, refused.body)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "default"}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": ""}, "name"),
        ({"gateways": []}, "gateways"),
        ({"gateways": ["x"] * 17}, "gateways"),
        ({"gateways": ["a b"]}, "gateways.0"),
        ({"gateways": ["h:99999"]}, "gateways.0"),
        ({"gateways": ["h", "sip:a@b\r\nVia: x"]}, "gateways.1"),
        ({"gateways": ["sips:h"]}, "gateways.0"),
        ({"gateways": ["[zz]:1"]}, "gateways.0"),
        ({"gateways": "h"}, "gateways"),
        ({"transport": "tls"}, "transport"),
        ({"password": "a\r\nb"}, "password"),
        ({"register": "yes"}, "register"),
        ({"allowedSources": ["carrier.example"]}, "allowedSources.0"),
        ({"callerIds": ["100"]}, "callerIds.0"),
        ({"country": "USA"}, "country"),
        ({"prefix": "abc"}, "prefix"),
        ({"callsPerSecond": 0}, "callsPerSecond"),
        ({"maxCalls": 0}, "maxCalls"),
        ({"headers": {"Contact": "x"}}, "headers"),
        ({"headers": {"X-A": "a\nb"}}, "headers"),
    ],
)
async def test_a_wrong_trunk_is_named(api: Any, change: dict[str, Any], path: str) -> None:
    reply = await api.post("/v1/trunks", {**TRUNK, **change})
    assert reply.status == 400
    assert path in [issue["path"] for issue in reply.body["issues"]]
    assert "secret-of-the-trunk" not in reply.raw.decode()
    assert (await api.get("/v1/trunks")).body == []


async def test_a_name_is_taken_once(api: Any) -> None:
    assert (await api.post("/v1/trunks", TRUNK)).status == 201
    reply = await api.post("/v1/trunks", TRUNK)
    assert (reply.status, reply.body["code"]) == (409, "CONFLICT")


async def test_a_phone_is_made_changed_and_forgotten(api: Any) -> None:
    made = await api.post("/v1/phones", {"user": "1000", "password": "secret-of-the-phone"})
    assert made.status == 201
    assert "password" not in made.body
    assert "secret-of-the-phone" not in made.raw.decode()
    path = f"/v1/phones/{made.body['id']}"
    changed = await api.ask("PATCH", path, {"name": "Desk"})
    assert changed.body["name"] == "Desk"
    (kept,) = api.store.directory.phones()
    assert kept.password == "secret-of-the-phone"
    await api.ask("PATCH", path, {"password": "another", "user": "2000"})
    (kept,) = api.store.directory.phones()
    assert (kept.user, kept.password, kept.name) == ("1000", "another", "Desk")
    assert (await api.post("/v1/phones", {"user": "1000", "password": "x"})).status == 409
    assert (await api.ask("DELETE", path)).body == {"deleted": True}
    assert (await api.get("/v1/phones")).body == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"user": "1000"}, "password"),
        ({"user": "1000", "password": ""}, "password"),
        ({"user": "10 00", "password": "x"}, "user"),
        ({"user": "", "password": "x"}, "user"),
        ({"user": "x@y", "password": "x"}, "user"),
    ],
)
async def test_a_wrong_phone_is_named(api: Any, body: dict[str, Any], path: str) -> None:
    reply = await api.post("/v1/phones", body)
    assert reply.status == 400
    assert path in [issue["path"] for issue in reply.body["issues"]]


# --- numbers -------------------------------------------------------------------------------

NUMBER = {"e164": "+12025550100", "sipTrunkId": "default"}


async def test_a_number_tells_the_truth_about_itself(api: Any) -> None:
    body = {**NUMBER, "direction": "both", "dialplan": "front-desk"}
    made = (await api.post("/v1/phone-numbers/import", body)).body
    assert made["setupStatus"]["status"] == "action_required"
    assert made["setupStatus"]["issues"] == ["no trunk configured"]
    assert made["setupStatus"]["forwardingRequired"] is False
    await api.post("/v1/trunks", {"name": "main", "gateways": ["gw"]})
    setup = (await api.get(f"/v1/phone-numbers/{made['id']}")).body["setupStatus"]
    assert setup == {
        "status": "ready",
        "inboundReady": True,
        "outboundReady": True,
        "agentReady": False,
        "forwardingRequired": True,
        "forwardingSipUri": "sip:+12025550100@127.0.0.1:5060",
        "sipConnectionReady": True,
        "issues": [],
    }


async def test_a_number_that_says_what_answers_wants_to_be_called(api: Any) -> None:
    answered = {**NUMBER, "dialplan": "front-desk"}
    assert (await api.post("/v1/phone-numbers/import", answered)).body["direction"] == "both"
    other = {**NUMBER, "e164": "+12025550101"}
    assert (await api.post("/v1/phone-numbers/import", other)).body["direction"] == "outbound"


async def test_the_newer_name_of_the_trunk_wins(api: Any) -> None:
    trunk = (await api.post("/v1/trunks", {"name": "main", "gateways": ["gw"]})).body["id"]
    body = {**NUMBER, "sipTrunkId": "nope", "sipConnectionInstallationId": trunk}
    made = await api.post("/v1/phone-numbers/import", body)
    assert made.status == 200
    assert made.body["sipConnectionInstallationId"] == trunk
    assert made.body["sipTrunkId"] is None


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"e164": "2025550100"}, 400, "e164"),
        ({"sipTrunkId": "nope"}, 400, "sipTrunkId"),
        ({"sipConnectionInstallationId": "nope"}, 400, "sipConnectionInstallationId"),
        ({"direction": "sideways"}, 400, "direction"),
        ({"label": "x" * 121}, 400, "label"),
        ({"dialplan": "nope"}, 400, "dialplan"),
        ({"dispatchMetadataTemplate": []}, 400, "dispatchMetadataTemplate"),
        ({"agentId": "agent_x"}, 404, None),
    ],
)
async def test_a_wrong_number_is_named(
    api: Any, change: dict[str, Any], status: int, path: str | None
) -> None:
    reply = await api.post("/v1/phone-numbers/import", {**NUMBER, **change})
    assert reply.status == status
    if path is not None:
        assert path in [issue["path"] for issue in reply.body["issues"]]
    assert (await api.get("/v1/phone-numbers")).body == []


async def test_a_patch_writes_what_is_there_and_null_clears(api: Any) -> None:
    body = {**NUMBER, "label": "Desk", "dispatchMetadataTemplate": {"a": "{{b}}"}, "agentId": None}
    path = f"/v1/phone-numbers/{(await api.post('/v1/phone-numbers/import', body)).body['id']}"
    row = (await api.ask("PATCH", path, {"direction": "inbound", "record": True})).body
    assert (row["direction"], row["record"], row["label"]) == ("inbound", True, "Desk")
    row = (await api.ask("PATCH", path, {"label": None, "direction": None, "agentId": None})).body
    assert (row["direction"], row["label"]) == ("inbound", None)
    assert row["dispatchMetadataTemplate"] == {"a": "{{b}}"}
    row = (await api.ask("PATCH", path, {"dispatchMetadataTemplate": None})).body
    assert row["dispatchMetadataTemplate"] is None
    assert (await api.ask("PATCH", path, {"agentId": "agent_x"})).status == 404
    row = (await api.ask("PATCH", path, {"smsAutomationEnabled": True})).body
    assert row["smsAutomationEnabled"] is True
    row = (await api.ask("PATCH", path, {"smsAutomationEnabled": None, "label": "x"})).body
    assert (row["smsAutomationEnabled"], row["label"]) == (True, "x")


async def test_a_released_number_is_gone(api: Any) -> None:
    made = (await api.post("/v1/phone-numbers/import", NUMBER)).body
    assert (await api.post("/v1/phone-numbers/import", NUMBER)).status == 409
    path = f"/v1/phone-numbers/{made['id']}"
    assert (await api.ask("DELETE", path)).body == {"released": True}
    assert (await api.get(path)).status == 404


async def test_what_the_file_made_is_read_only(start: Any) -> None:
    now = ManualClock().now()
    common = {"organization": DEFAULT_ORGANIZATION, "from_file": True,
              "created_at": now, "updated_at": now}  # fmt: skip
    files = FileRows(
        trunks=(Trunk(id="trunk_main", name="main", gateways=("gw",), **common),),
        phones=(Phone(id="phone_1000", user="1000", password="x", **common),),
        numbers=(
            PhoneNumber(id="num_1", e164="+12025550100", direction=NumberDirection.BOTH, **common),
        ),
    )
    api = await start(files)
    for path in ("trunks/trunk_main", "phones/phone_1000", "phone-numbers/num_1"):
        row = await api.get(f"/v1/{path}")
        assert row.body["readOnly"] is True
        assert (await api.ask("PATCH", f"/v1/{path}", {})).status == 409
        assert (await api.ask("DELETE", f"/v1/{path}")).status == 409
