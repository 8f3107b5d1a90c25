"""The log: one event a line, whoever says it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from telephony.system import configure_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers = logging.getLogger().handlers
    yield
    logging.getLogger().handlers = handlers
    structlog.reset_defaults()


def test_what_a_library_says_is_a_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    library = logging.getLogger("some.library")
    library.error("a channel %s closed\nunexpectedly", "_lossy")
    library.info("nobody wants to know")
    library.warning("%d", "no number")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["library"], line["said"]) for line in lines] == [
        ("error", "some.library", "a channel _lossy closed\nunexpectedly"),
        ("warning", "some.library", "%d"),
    ]


def test_a_closed_room_is_no_error_of_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    logging.getLogger("livekit").error("data channel closed unexpectedly")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["level"] == "warning"


def test_a_traceback_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    try:
        raise ValueError("lost")
    except ValueError:
        logging.getLogger("asyncio").exception("a task failed")
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told["level"] == "error"
    assert "ValueError: lost" in told["exception"]


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_variable(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", form)
    secret = "".join(["hun", "ter", "2"])
    try:
        raise ValueError(str(len(secret)))
    except ValueError:
        structlog.get_logger("x").exception("a task failed")
    said = capsys.readouterr().err
    assert "ValueError: 7" in said
    assert secret not in said
