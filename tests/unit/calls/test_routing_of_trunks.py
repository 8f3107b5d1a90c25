"""Which trunk a call leaves by, and what a number is fit for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from telephony.accounts.agents import Agent
from telephony.accounts.model import NumberDirection, PhoneNumber, Trunk
from telephony.accounts.routing import agent_status, choose_trunk, find_trunk, plan_of, setup_status
from telephony.base.errors import BadInput

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def trunk(name: str, *caller_ids: str, sources: tuple[str, ...] = ()) -> Trunk:
    return Trunk(
        id=f"trunk_{name}",
        organization="org_default",
        name=name,
        gateways=("127.0.0.1",),
        caller_ids=caller_ids,
        allowed_sources=sources,
        created_at=NOW,
        updated_at=NOW,
    )


def number(e164: str, **more: object) -> PhoneNumber:
    return PhoneNumber(
        id="pn",
        organization="org_default",
        e164=e164,
        created_at=NOW,
        updated_at=NOW,
        **more,  # type: ignore[arg-type]
    )


A, B = trunk("a", "+12025550101"), trunk("b", "+12025550102")


def test_the_order_in_which_a_trunk_is_chosen() -> None:
    numbers = [number("+12025550101", trunk="b")]
    assert choose_trunk([A, B], numbers, "trunk_a", "+12025550102") is A
    assert choose_trunk([A, B], numbers, None, "+12025550101") is B
    assert choose_trunk([A, B], [], None, "+12025550102") is B
    assert choose_trunk([A, B], [], None, "+12025550199") is A
    assert choose_trunk([A, trunk("c", "+12025550101")], [], None, "+12025550101") is A
    assert choose_trunk([], [], None, "") is None
    assert choose_trunk([], [], "default", "") is None
    assert choose_trunk([A], [], "default", "") is A
    with pytest.raises(BadInput, match="no trunk 'zz'"):
        choose_trunk([A], [], "zz", "")


def test_default_means_the_first() -> None:
    assert find_trunk([A, B], "default") is A
    assert find_trunk([A, B], "b") is B
    assert find_trunk([], "default") is None


def test_sources_by_network() -> None:
    one = trunk("a", sources=("203.0.113.0/24", "2001:db8::/32", "198.51.100.7"))
    assert one.allows("203.0.113.9")
    assert one.allows("::ffff:203.0.113.9")
    assert one.allows("2001:db8::1%eth0")
    assert one.allows("198.51.100.7")
    assert not one.allows("198.51.100.8")
    assert not one.allows("not an address")


@pytest.mark.parametrize(
    ("row", "status", "inbound", "outbound", "issues"),
    [
        (number("+12025550101", trunk="a"), "ready", False, True, ()),
        (
            number("+12025550101", trunk="a", direction=NumberDirection.BOTH),
            "action_required",
            False,
            True,
            ("nothing answers this number: no dialplan and no agent",),
        ),
        (
            number("+12025550101", trunk="a", direction=NumberDirection.BOTH, dialplan="desk"),
            "ready",
            True,
            True,
            (),
        ),
        (
            number("+12025550101", trunk="gone", dialplan="nope"),
            "action_required",
            False,
            False,
            ("trunk gone does not exist", "dialplan nope does not exist"),
        ),
    ],
)
def test_the_truth_about_a_number(
    row: PhoneNumber, status: str, inbound: bool, outbound: bool, issues: tuple[str, ...]
) -> None:
    found = setup_status(row, [A, B], frozenset({"desk"}), None)
    assert (found.status, found.inbound_ready, found.outbound_ready) == (status, inbound, outbound)
    assert found.issues == issues


def test_no_trunk_at_all() -> None:
    found = setup_status(number("+12025550101", trunk="default"), [], frozenset(), None)
    assert (found.status, found.issues) == ("action_required", ("no trunk configured",))


# --- numbers with agents -------------------------------------------------------------------


def agent(dialplan: str | None = None) -> Agent:
    return Agent(
        id="agent_ada",
        organization="org_default",
        name="Ada",
        system_prompt="You are Ada.",
        language="en",
        dialplan=dialplan,
        created_at=NOW,
        updated_at=NOW,
    )


CANNOT = "agent Ada cannot talk, so callers hear that nobody is available: no server"
INBOUND = {"trunk": "a", "direction": NumberDirection.INBOUND, "agent": "agent_ada"}


@pytest.mark.parametrize(
    ("row", "who", "unfit", "inbound", "ready", "issues"),
    [
        (INBOUND, agent(), None, True, True, ()),
        (INBOUND, agent(), "no server", False, False, (CANNOT,)),
        (INBOUND, agent("desk"), "no server", True, True, ()),
        (INBOUND | {"dialplan": "desk"}, agent(), "no server", True, False, ()),
        (
            INBOUND,
            agent("nope"),
            "no server",
            False,
            False,
            ("dialplan nope does not exist", CANNOT),
        ),
        (
            INBOUND,
            None,
            None,
            False,
            False,
            (
                "agent agent_ada does not exist",
                "nothing answers this number: no dialplan and no agent",
            ),
        ),
        (
            INBOUND | {"direction": NumberDirection.OUTBOUND},
            agent(),
            "no server",
            False,
            False,
            (),
        ),
    ],
)
def test_the_truth_about_a_number_with_an_agent(
    row: dict[str, Any],
    who: Agent | None,
    unfit: str | None,
    inbound: bool,
    ready: bool,
    issues: tuple[str, ...],
) -> None:
    ours = number("+12025550101", **row)
    found = setup_status(ours, [A, B], frozenset({"desk"}), None, who, unfit)
    assert (found.inbound_ready, found.agent_ready, found.issues) == (inbound, ready, issues)
    assert found.status == ("action_required" if issues else "ready")


@pytest.mark.parametrize(
    ("who", "unfit", "ready", "issues"),
    [
        (agent(), None, True, 0),
        (agent(), "no server", False, 1),
        (agent("desk"), "no server", True, 0),
        (agent("nope"), "no server", False, 2),
        (agent("nope"), None, True, 1),
    ],
)
def test_the_truth_about_an_agent(who: Agent, unfit: str | None, ready: bool, issues: int) -> None:
    found = agent_status(who, {"desk"}, unfit)
    assert (found.ready, len(found.issues)) == (ready, issues)
    assert found.status == ("action_required" if issues else "ready")


def test_what_answers_where_an_agent_does_not() -> None:
    plans = {"desk", "night"}
    ours = number("+12025550101", dialplan="night")
    assert plan_of(ours, agent("desk"), plans, "desk") == "desk"
    assert plan_of(ours, agent(), plans, "desk") == "night"
    assert plan_of(number("+12025550101"), agent(), plans, "desk") is None
    assert plan_of(number("+12025550101"), None, plans, "desk") == "desk"
    assert plan_of(number("+12025550101", dialplan="nope"), None, plans, "desk") == "desk"
