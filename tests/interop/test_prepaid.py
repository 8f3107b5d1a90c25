"""Credits of a running service, changed by the command beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from tests.interop.service import Service, eventually, free_port

DIAL = {"to": "+12025550123", "dialplan": "front-desk"}


def credits(service: Service, *words: str) -> str:
    """What is left after it."""
    done = subprocess.run(
        [sys.executable, "-m", "telephony", "credits", *words, "--json"],
        cwd=service.folder, env=service.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return str(json.loads(done.stdout)["balance_usd"])


def test_who_pays_in_advance_dials_while_something_is_left(alone: Callable[..., Service]) -> None:
    gateway = f'[[trunks]]\nname = "main"\ngateways = ["127.0.0.1:{free_port()}"]\n'
    service = alone(gateway + '[rates]\noutbound = "0.01"\n')
    service.start(TELEPHONY_PREPAID="true")
    api = service.api

    def refused() -> bool:
        status, body = api.call("POST", "/v1/sessions/phone", DIAL)
        return (status, body.get("code")) == (402, "INSUFFICIENT_CREDITS")

    assert refused()
    assert api.sessions() == []
    assert credits(service, "grant", "0.5", "--note", "welcome") == "0.500000"
    assert api.get("/v1/credits/balance")["balanceUsd"] == 0.5
    session = api.dial(dialplan="front-desk")
    api.ended(session)
    assert api.report(session)["cost_micro_usd"] == "0"
    assert credits(service, "adjust", "-0.5", "--note", "a slip of the hand") == "0.000000"
    eventually("a refusal", refused)
    rows = api.get("/v1/credits/ledger")["entries"]
    assert [(row["kind"], row["amountMicroUsd"], row["note"]) for row in rows] == [
        ("adjustment", "-500000", "a slip of the hand"),
        ("grant", "500000", "welcome"),
    ]
    assert service.complaints() == []
