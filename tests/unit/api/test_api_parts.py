"""The table of routes, signed URLs, shapes: without a socket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from telephony.api import server
from telephony.api.body import MAX_DEPTH, parse_object
from telephony.api.errors import reply_of
from telephony.api.routes import Ask, Route, Table
from telephony.api.signing import Grant, Signer
from telephony.api.wire.base import parse_time, seconds
from telephony.base import errors
from telephony.base.errors import BadInput

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


async def nothing(ask: Ask) -> web.StreamResponse:
    return web.Response()


def table(*rows: str) -> Table:
    return Table(Route(*row.split(), nothing) for row in rows)


def test_a_fixed_segment_goes_before_an_id() -> None:
    found = table("GET /v1/a/{id}", "POST /v1/a/import", "GET /v1/a/{id}/b")
    assert found.find("POST", "/v1/a/import").route is not None
    # The fixed row has no GET, and is the row of this path all the same.
    assert found.find("GET", "/v1/a/import").allowed == ("OPTIONS", "POST")
    assert found.find("GET", "/v1/a/x").params == {"id": "x"}
    assert found.find("GET", "/v1/a/import/b").params == {"id": "import"}


def test_a_row_stands_in_the_table_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        table("GET /a", "GET /a/")


def test_the_real_table_can_be_built() -> None:
    rows = server.routes()
    assert len({(row.method, row.path) for row in rows}) == len(rows)
    Table(rows)


def test_a_token_opens_until_its_time_and_only_under_its_key() -> None:
    signer = Signer("k" * 20)
    for message in (None, "msg_1"):
        grant = Grant("org", "sess", NOW + timedelta(minutes=5), message)
        token = signer.sign(grant)
        assert signer.open(token, NOW) == grant
        assert signer.open(token, NOW + timedelta(minutes=5)) is None
        assert Signer("l" * 20).open(token, NOW) is None
    for bad in ("", ".", "a.b", "é.x", "x" * 2000):
        assert signer.open(bad, NOW) is None


def test_depth_has_a_ceiling() -> None:
    fine = b'{"a":' * (MAX_DEPTH - 1) + b"{}" + b"}" * (MAX_DEPTH - 1)
    assert parse_object(fine)
    with pytest.raises(BadInput, match="deeper"):
        parse_object(b'{"a":' * MAX_DEPTH + b"{}" + b"}" * MAX_DEPTH)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_object(b"\xef\xbb\xbf{}") == {}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05T09:00:00Z", NOW),
        ("2026-01-05T10:00:00+01:00", NOW),
        ("2026-01-05T10:00:00 01:00", NOW),
        ("2026-01-05T09:00:00", NOW),
        ("2026-01-05 09:00:00", NOW),
        ("2026-01-05", NOW.replace(hour=0)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize("value", ["", "now", "2026-13-01", "0001-01-01T00:00:00+14:00", 5, None])
def test_what_is_no_time_is_told_so(value: Any) -> None:
    with pytest.raises(ValueError, match="ISO-8601"):
        parse_time(value)


def test_seconds_are_whole_where_they_are() -> None:
    assert repr(seconds(61.0)) == "61"
    assert seconds(1.23456) == 1.235


def test_every_error_of_the_tree_has_a_status() -> None:
    def tree(cls: type[errors.TelephonyError]) -> list[type[errors.TelephonyError]]:
        return [cls, *(sub for child in cls.__subclasses__() for sub in tree(child))]

    for cls in tree(errors.TelephonyError):
        if cls.__module__ == errors.__name__:
            status = reply_of(cls("what")).status
            assert 400 <= status < 600, cls
            assert (status == 500) == (cls in (errors.TelephonyError, errors.MediaFailed)), cls
