"""Calls in both roles, against a peer written by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest

from telephony.sip.agent import AgentConfig, Destination, Source, UserAgent
from telephony.sip.auth import Credentials
from telephony.sip.events import (
    Answered,
    By,
    DigitReceived,
    EndKind,
    InfoReceived,
    InviteReceived,
    NeedResolve,
    OfferAnswered,
    OfferFailed,
    OfferReceived,
    Progress,
    ReferEnded,
    ReferProgress,
    ReferReceived,
    RequestAnswered,
    SessionConfirmed,
    SessionEnded,
    SessionRefreshed,
)
from telephony.sip.message import Request
from telephony.sip.parser import parse
from telephony.testing.peer import Peer

HERE = "192.0.2.1"
THERE = Destination(("192.0.2.9", 5060))


def new_peer(**options: Any) -> Peer:
    return Peer(UserAgent(AgentConfig(host=HERE, **options), random.Random(3)))


def call_out(peer: Peer, **options: Any) -> str:
    given: dict[str, Any] = {"body": b"offer", "destinations": [THERE]} | options
    return peer.agent.invite(
        target="sip:bob@192.0.2.9", from_="<sip:alice@192.0.2.1>", now=peer.now, **given
    )


def established_out(peer: Peer, **reply: Any) -> str:
    session = call_out(peer)
    peer.reply(peer.last_request("INVITE"), 200, body=b"answer", **reply)
    peer.collect()
    ack = peer.last_request("ACK")
    peer.to_tag, peer.call_id = ack.from_tag, ack.call_id
    return session


def call_in(peer: Peer, body: bytes = b"offer", **options: Any) -> str:
    peer.request("INVITE", body=body, **options)
    (event,) = peer.of(InviteReceived)
    assert isinstance(event, InviteReceived)
    return event.session


def established_in(peer: Peer, **options: Any) -> str:
    session = call_in(peer, **options)
    peer.agent.answer(session, b"answer", now=peer.now)
    peer.to_tag = peer.last_response(200).to_tag
    peer.request("ACK", cseq=1)
    peer.collect()
    return session


def ending(peer: Peer) -> Any:
    (event,) = peer.of(SessionEnded)
    assert isinstance(event, SessionEnded)
    return event.ending


def settle(peer: Peer) -> None:
    peer.pass_time(400)
    peer.collect()
    assert len(peer.of(SessionEnded)) == 1
    assert peer.agent.idle()


# -- calls out ------------------------------------------------------------------------------------


def test_forked_early_dialogs_and_a_second_2xx() -> None:
    peer = new_peer()
    call_out(peer)
    invite = peer.last_request("INVITE")
    peer.reply(invite, 180, tag="one")
    peer.reply(invite, 183, tag="two", body=b"early")
    progress = peer.of(Progress)
    assert [(e.fork, e.body) for e in progress] == [("one", b""), ("two", b"early")]  # type: ignore[union-attr]
    peer.reply(invite, 200, tag="two", body=b"answer")
    assert peer.words() == ["ACK"]
    peer.reply(invite, 200, tag="three", body=b"other")
    assert peer.words() == ["ACK", "BYE"]
    bye = peer.last_request("BYE")
    assert bye.to_tag == "three"
    peer.reply(bye, 200)
    assert len(peer.of(Answered)) == 1
    assert not peer.of(SessionEnded)


def test_a_repeated_2xx_gets_the_same_ack() -> None:
    peer = new_peer()
    established_out(peer)
    first = bytes(peer.last_request("ACK"))
    peer.reply(peer.last_request("INVITE"), 200, body=b"answer")
    assert peer.words() == ["ACK"]
    assert bytes(peer.last_request("ACK")) == first


def test_an_invite_without_offer_is_answered_in_the_ack() -> None:
    peer = new_peer()
    session = call_out(peer, body=b"")
    invite = peer.last_request("INVITE")
    assert "Content-Type" not in invite.headers
    peer.reply(invite, 200, body=b"their offer")
    (answered,) = peer.of(Answered)
    assert isinstance(answered, Answered)
    assert answered.needs_answer
    assert peer.words() == []
    assert peer.agent.acknowledge(session, b"our answer", now=peer.now)
    assert peer.last_request("ACK").body == b"our answer"


def test_cancel_waits_for_a_provisional_response() -> None:
    peer = new_peer()
    session = call_out(peer)
    invite = peer.last_request("INVITE")
    assert peer.agent.cancel(session, reason="SIP;cause=200", now=peer.now)
    assert peer.words() == []
    peer.reply(invite, 100)
    cancel = peer.last_request("CANCEL")
    assert cancel.top_via.branch == invite.top_via.branch
    assert cancel.cseq.number == invite.cseq.number
    assert cancel.headers.get("Reason") == "SIP;cause=200"
    assert not cancel.to_tag
    peer.reply(cancel, 200)
    peer.reply(invite, 487)
    assert ending(peer).kind is EndKind.CANCELLED
    settle(peer)


def test_a_2xx_that_crosses_the_cancel_is_acknowledged_and_hung_up() -> None:
    peer = new_peer()
    session = call_out(peer)
    invite = peer.last_request("INVITE")
    peer.reply(invite, 180)
    peer.agent.cancel(session, now=peer.now)
    peer.reply(invite, 200, body=b"answer")
    assert peer.words()[-2:] == ["ACK", "BYE"]
    assert (ending(peer).kind, ending(peer).answered) == (EndKind.CANCELLED, True)
    assert not peer.of(Answered)
    peer.reply(peer.last_request("BYE"), 200)
    settle(peer)


def test_a_cancel_nobody_answers_ends_the_call_all_the_same() -> None:
    peer = new_peer()
    session = call_out(peer)
    peer.reply(peer.last_request("INVITE"), 180)
    peer.agent.cancel(session, now=peer.now)
    settle(peer)
    assert ending(peer).kind is EndKind.CANCELLED


@pytest.mark.parametrize("why", ["silence", "503", "transport"])
def test_the_next_destination_is_tried_with_a_new_branch(why: str) -> None:
    peer = new_peer()
    second = Destination(("192.0.2.10", 5070))
    call_out(peer, destinations=[THERE, second])
    (send,) = peer.agent.take_sends()
    first = Peer(peer.agent)
    if why == "transport":
        peer.agent.transport_failed(send, peer.now)
    elif why == "silence":
        peer.pass_time(32.0)
    else:
        invite = parse(send.data)
        assert isinstance(invite, Request)
        first.reply(invite, 503)
    sends = [s for s in peer.agent.take_sends() if s.data.startswith(b"INVITE")]
    assert sends[-1].destination == second
    assert sends[-1].data.split(b"\r\n")[1] != send.data.split(b"\r\n")[1]
    for name in (b"Call-ID", b"CSeq"):
        rows = [
            next(r for r in s.data.split(b"\r\n") if r.startswith(name)) for s in (send, sends[-1])
        ]
        assert rows[0] == rows[1]
    assert not peer.of(SessionEnded)


def test_nobody_answers_anywhere() -> None:
    peer = new_peer()
    call_out(peer)
    settle(peer)
    assert (ending(peer).kind, ending(peer).status) == (EndKind.TIMEOUT, 408)


def test_a_call_that_rings_for_ever_is_cancelled() -> None:
    peer = new_peer()
    call_out(peer)
    peer.reply(peer.last_request("INVITE"), 180)
    peer.pass_time(241)
    assert peer.last_request("CANCEL")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "contacts"),
    [
        (486, (("Retry-After", "5"),), EndKind.REJECTED, ()),
        (
            302,
            (("Contact", "<sip:c@x>;q=0.1, <sip:d@x>"),),
            EndKind.REDIRECTED,
            ("sip:d@x", "sip:c@x"),
        ),
        (305, (("Contact", "<sip:evil@x>"),), EndKind.REJECTED, ()),
        (603, (("Reason", "Q.850;cause=21"),), EndKind.REJECTED, ()),
    ],
)
def test_a_refusal_is_acknowledged_and_told(
    status: int, headers: Any, kind: EndKind, contacts: tuple[str, ...]
) -> None:
    peer = new_peer()
    call_out(peer)
    peer.reply(peer.last_request("INVITE"), status, headers=headers)
    assert peer.words() == ["ACK"]
    told = ending(peer)
    assert (told.kind, told.status, told.contacts, told.by) == (kind, status, contacts, By.REMOTE)
    assert told.retry_after == (5 if status == 486 else None)
    assert told.cause == (21 if status == 603 else None)
    settle(peer)


def test_a_challenge_is_answered_once_with_the_next_cseq() -> None:
    peer = new_peer()
    call_out(peer, credentials=[Credentials("alice", "pw", "gw")])
    first = peer.last_request("INVITE")
    challenge = (("WWW-Authenticate", 'Digest realm="gw", nonce="n", qop="auth"'),)
    peer.reply(first, 401, headers=challenge)
    second = peer.last_request("INVITE")
    assert second.headers.get(
        "Authorization",
    )
    assert second.cseq.number == first.cseq.number + 1
    assert second.call_id == first.call_id
    peer.reply(second, 401, headers=challenge)
    assert ending(peer).status == 401


def test_a_challenge_of_another_realm_gets_no_credentials() -> None:
    peer = new_peer()
    call_out(peer, credentials=[Credentials("alice", "pw", "gw")])
    headers = (("WWW-Authenticate", 'Digest realm="evil", nonce="n"'),)
    peer.reply(peer.last_request("INVITE"), 401, headers=headers)
    assert ending(peer).status == 401
    assert peer.words() == []


def test_a_callee_that_challenges_our_bye_gets_nothing() -> None:
    # Threat 14: a caller's own challenge, in the realm of one of our trunks.
    peer = new_peer()
    session = established_in(peer)
    peer.agent.bye(session, now=peer.now)
    bye = peer.last_request("BYE")
    peer.reply(bye, 407, headers=(("Proxy-Authenticate", 'Digest realm="gw", nonce="n"'),))
    assert peer.words() == []


def test_422_is_answered_with_the_longer_interval() -> None:
    peer = new_peer()
    call_out(peer)
    peer.reply(peer.last_request("INVITE"), 422, headers=(("Min-SE", "3600"),))
    again = peer.last_request("INVITE")
    assert again.headers.get("Min-SE") == "3600"
    assert again.headers.get("Session-Expires") == "3600"
    assert not peer.of(SessionEnded)


@pytest.mark.parametrize("forged", ["branch", "Call-ID", "CSeq", "host"])
def test_forged_responses_are_dropped(forged: str) -> None:
    peer = new_peer()
    call_out(peer, credentials=[Credentials("alice", "pw")])
    invite = peer.last_request("INVITE")
    response = invite.reply(401, to_tag="x")
    response.headers.add("WWW-Authenticate", 'Digest realm="gw", nonce="n"')
    source = peer.source
    if forged == "branch":
        response.set_top_via(response.top_via.with_param("branch", "z9hG4bKguess"))
    elif forged == "Call-ID":
        response.headers.set("Call-ID", "other")
    elif forged == "CSeq":
        response.headers.set("CSeq", f"{invite.cseq.number + 1} INVITE")
    else:
        source = Source(("203.0.113.5", 5060), "UDP", source.local)
    peer.say(response, source)
    assert peer.words() == []
    assert not peer.of(SessionEnded)


# -- calls in -------------------------------------------------------------------------------------


def test_a_2xx_is_repeated_until_its_ack_and_then_hung_up() -> None:
    peer = new_peer()
    session = call_in(peer)
    peer.agent.answer(session, b"answer", now=peer.now)
    peer.pass_time(33)
    assert peer.words().count("200") >= 10
    assert peer.last_request("BYE").to_tag == peer.tag
    assert ending(peer).kind is EndKind.NO_ACK
    settle(peer)


def test_our_bye_waits_for_the_ack() -> None:
    peer = new_peer()
    session = call_in(peer)
    peer.agent.answer(session, b"answer", now=peer.now)
    assert peer.agent.bye(session, now=peer.now)
    assert "BYE" not in peer.words()
    assert ending(peer).kind is EndKind.BYE
    peer.to_tag = peer.last_response(200).to_tag
    peer.request("ACK", cseq=1)
    assert peer.words() == ["BYE"]
    peer.reply(peer.last_request("BYE"), 200)
    settle(peer)


def test_an_offerless_invite_gets_our_offer_and_the_ack_its_answer() -> None:
    peer = new_peer()
    session = call_in(peer, body=b"")
    assert peer.of(InviteReceived)[0].offer is None  # type: ignore[union-attr]
    peer.agent.answer(session, b"our offer", now=peer.now)
    peer.to_tag = peer.last_response(200).to_tag
    peer.request("ACK", cseq=1, body=b"their answer")
    (confirmed,) = peer.of(SessionConfirmed)
    assert confirmed == SessionConfirmed(session, b"their answer")


def test_cancel_ends_a_ringing_call_with_487() -> None:
    peer = new_peer()
    call_in(peer, branch="z9hG4bKinv")
    peer.request("CANCEL", cseq=1, branch="z9hG4bKinv", headers=(("Reason", "Q.850;cause=16"),))
    assert peer.words() == ["200", "487"]
    told = ending(peer)
    assert (told.kind, told.by, told.cause) == (EndKind.CANCELLED, By.REMOTE, 16)
    peer.request("ACK", cseq=1, branch="z9hG4bKinv")
    settle(peer)


def test_cancel_after_the_200_changes_nothing() -> None:
    peer = new_peer()
    session = call_in(peer, branch="z9hG4bKinv")
    peer.agent.answer(session, b"answer", now=peer.now)
    peer.collect()
    peer.request("CANCEL", cseq=1, branch="z9hG4bKinv")
    assert peer.words() == ["200"]
    assert not peer.of(SessionEnded)


@pytest.mark.parametrize("wrong", ["branch", "host"])
def test_a_cancel_that_matches_nothing_gets_481(wrong: str) -> None:
    peer = new_peer()
    call_in(peer, branch="z9hG4bKinv")
    peer.collect()
    cancel = peer.request(
        "CANCEL", cseq=1, branch="z9hG4bKguess" if wrong == "branch" else "z9hG4bKinv", say=False
    )
    source = peer.source
    if wrong == "host":
        source = Source(("203.0.113.5", 5060), "UDP", source.local)
    peer.say(cancel, source)
    assert peer.words() == ["481"]
    assert not peer.of(SessionEnded)


def test_a_caller_may_end_an_early_dialog_with_bye() -> None:
    peer = new_peer()
    session = call_in(peer)
    peer.agent.provisional(session, 180, now=peer.now)
    peer.to_tag = peer.last_response(180).to_tag
    peer.request("BYE")
    assert peer.words() == ["200", "487"]
    assert ending(peer).kind is EndKind.CANCELLED


def test_a_challenge_is_sent_once_and_leaves_no_state() -> None:
    peer = new_peer()
    session = call_in(peer)
    rows = [("WWW-Authenticate", 'Digest realm="a"'), ("WWW-Authenticate", 'Digest realm="b"')]
    peer.agent.reject(session, 401, headers=rows, stateless=True, now=peer.now)
    assert len(peer.last_response(401).headers.rows("WWW-Authenticate")) == 2
    assert peer.agent.idle()
    peer.pass_time(60)
    assert peer.words() == []


def test_a_provisional_response_is_repeated_each_minute() -> None:
    peer = new_peer()
    session = call_in(peer)
    peer.agent.provisional(session, 183, body=b"early", now=peer.now)
    peer.collect()
    peer.pass_time(125)
    assert peer.words() == ["183", "183"]


def test_a_call_nobody_answers_gets_480() -> None:
    peer = new_peer()
    call_in(peer)
    peer.pass_time(241)
    assert peer.last_response(480)


def test_the_same_request_by_another_path_gets_482() -> None:
    peer = new_peer()
    call_in(peer, branch="z9hG4bKone")
    peer.collect()
    peer.request("INVITE", cseq=1, body=b"offer", branch="z9hG4bKtwo")
    assert peer.words() == ["482"]


def test_responses_go_where_the_request_came_from() -> None:
    # Threat 5: neither Via host nor maddr can aim our responses.
    peer = new_peer()
    invite = peer.request("INVITE", body=b"offer", say=False)
    via = "SIP/2.0/UDP 127.0.0.3:7777;branch=z9hG4bKx;maddr=127.0.0.4"
    invite.headers.set("Via", via)
    peer.agent.receive(bytes(invite), peer.source, peer.now)
    assert {s.destination.address for s in peer.agent.take_sends()} == {("192.0.2.9", 7777)}
    options = peer.request("OPTIONS", say=False)
    options.headers.set("Via", "SIP/2.0/UDP 127.0.0.3:7777;branch=z9hG4bKy;rport")
    peer.agent.receive(bytes(options), peer.source, peer.now)
    (send,) = peer.agent.take_sends()
    assert send.destination.address == ("192.0.2.9", 5060)
    assert b";rport=5060;received=192.0.2.9" in send.data


# -- in the dialog --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY"])
def test_guessed_tags_get_481(method: str) -> None:
    # Threat 4.
    peer = new_peer()
    established_in(peer)
    peer.tag = "guess"
    peer.request(method, cseq=99)
    assert peer.words() == ["481"]
    peer.tag, peer.to_tag = "peer", "guess"
    peer.request(method, cseq=99)
    assert peer.words() == ["481"]
    assert not peer.of(SessionEnded)


def test_a_guarded_dialog_hears_its_own_hosts_only() -> None:
    peer = new_peer()
    session = call_in(peer)
    peer.agent.answer(session, b"answer", guard=frozenset({"192.0.2.9"}), now=peer.now)
    peer.to_tag = peer.last_response(200).to_tag
    peer.request("ACK", cseq=1)
    bye = peer.request("BYE", say=False)
    peer.say(bye, Source(("203.0.113.5", 5060), "UDP", peer.source.local))
    assert peer.words() == ["403"]
    assert not peer.of(SessionEnded)
    peer.say(bye)
    assert ending(peer).kind is EndKind.BYE


def test_a_request_out_of_order_gets_500() -> None:
    peer = new_peer()
    established_in(peer)
    peer.request("INFO", cseq=10)
    peer.request("INFO", cseq=9)
    assert peer.words() == ["200", "500"]


def test_requests_follow_the_record_routes() -> None:
    peer = new_peer()
    routes = (("Record-Route", "<sip:192.0.2.21;lr>, <sip:192.0.2.22;lr>"),)
    session = established_in(peer, headers=routes)
    peer.agent.bye(session, now=peer.now)
    (send,) = peer.agent.take_sends()
    assert send.destination.address == ("192.0.2.21", 5060)
    assert b"Route: <sip:192.0.2.21;lr>\r\nRoute: <sip:192.0.2.22;lr>" in send.data
    assert send.data.startswith(b"BYE sip:peer@192.0.2.9:5060 ")


def test_a_callers_route_set_is_reversed() -> None:
    peer = new_peer()
    routes = (("Record-Route", "<sip:192.0.2.21;lr>"), ("Record-Route", "<sip:192.0.2.22;lr>"))
    session = established_out(peer, headers=routes)
    peer.agent.bye(session, now=peer.now)
    (send,) = peer.agent.take_sends()
    assert send.destination.address == ("192.0.2.22", 5060)


def test_a_strict_router_gets_itself_in_the_request_line() -> None:
    peer = new_peer()
    session = established_in(peer, headers=(("Record-Route", "<sip:192.0.2.21>"),))
    peer.agent.bye(session, now=peer.now)
    bye = peer.last_request("BYE")
    assert bye.uri == "sip:192.0.2.21"
    assert [str(route) for route in bye.routes] == ["<sip:peer@192.0.2.9:5060>"]


def test_a_contact_behind_a_nat_is_reached_where_it_came_from() -> None:
    peer = Peer(UserAgent(AgentConfig(host=HERE), random.Random(3)), host="203.0.113.9", port=4321)
    invite = peer.request("INVITE", body=b"offer", say=False)
    invite.headers.set("Contact", "<sip:peer@10.1.1.1:5060>")
    peer.say(invite)
    (event,) = peer.of(InviteReceived)
    peer.agent.answer(event.session, b"answer", now=peer.now)  # type: ignore[union-attr]
    peer.to_tag = peer.last_response(200).to_tag
    peer.request("ACK", cseq=1)
    peer.agent.bye(event.session, now=peer.now)  # type: ignore[union-attr]
    (send,) = peer.agent.take_sends()
    assert send.destination.address == ("203.0.113.9", 4321)


def test_a_named_contact_is_resolved_by_the_driver() -> None:
    peer = new_peer()
    invite = peer.request("INVITE", body=b"offer", say=False)
    invite.headers.set("Contact", "<sip:peer@gw.example.com>")
    peer.say(invite)
    (event,) = peer.of(InviteReceived)
    session = event.session  # type: ignore[union-attr]
    peer.agent.answer(session, b"answer", now=peer.now)
    peer.to_tag = peer.last_response(200).to_tag
    peer.request("ACK", cseq=1)
    peer.agent.bye(session, now=peer.now)
    (need,) = peer.of(NeedResolve)
    assert isinstance(need, NeedResolve)
    assert need.uri == "sip:peer@gw.example.com"
    peer.agent.resolved(need.token, [THERE], now=peer.now)
    assert peer.words() == ["BYE"]


def test_a_hold_of_ours_is_answered_and_acknowledged() -> None:
    peer = new_peer()
    session = established_out(peer)
    token = peer.agent.reinvite(session, b"hold", now=peer.now)
    invite = peer.last_request("INVITE")
    assert (invite.to_tag, invite.body) == ("peer", b"hold")
    peer.reply(invite, 200, body=b"held")
    assert peer.words() == ["ACK"]
    assert peer.of(OfferAnswered) == [OfferAnswered(session, token, b"held")]


def test_glare_is_tried_again_after_the_right_wait() -> None:
    for ours, low, high in ((True, 2.1, 4.0), (False, 0.0, 2.0)):
        peer = new_peer()
        session = established_out(peer) if ours else established_in(peer)
        token = peer.agent.reinvite(session, b"hold", now=peer.now)
        peer.reply(peer.last_request("INVITE"), 491)
        assert peer.words() == ["ACK"]
        start = peer.now
        invites = len([m for m in peer.sent if getattr(m, "method", "") == "INVITE"])
        while (
            peer.now < start + 5
            and len([m for m in peer.sent if getattr(m, "method", "") == "INVITE"]) == invites
        ):
            peer.pass_time(0.01)
            peer.collect()
        assert low <= peer.now - start <= high + 0.02
        peer.reply(peer.last_request("INVITE"), 200, body=b"held")
        assert OfferAnswered(session, token, b"held") in peer.of(OfferAnswered)


def test_glare_without_end_is_given_up() -> None:
    peer = new_peer()
    session = established_out(peer)
    token = peer.agent.reinvite(session, b"hold", now=peer.now)
    for _ in range(6):
        peer.reply(peer.last_request("INVITE"), 491)
        peer.pass_time(5)
    assert peer.of(OfferFailed) == [OfferFailed(session, token, 491, "Request Pending")]
    assert not peer.of(SessionEnded)


def test_their_offer_while_ours_is_under_way_gets_491() -> None:
    peer = new_peer()
    session = established_out(peer)
    peer.agent.reinvite(session, b"hold", now=peer.now)
    peer.collect()
    peer.request("INVITE", body=b"other")
    peer.request("UPDATE", body=b"other")
    assert peer.words() == ["491", "491"]


def test_a_second_offer_of_theirs_gets_500_with_retry_after() -> None:
    peer = new_peer()
    established_out(peer)
    peer.request("INVITE", body=b"one")
    peer.collect()
    peer.request("INVITE", body=b"two")
    assert 0 <= (peer.last_response(500).retry_after or 0) <= 10


def test_their_hold_is_a_question_and_their_refresh_is_none() -> None:
    peer = new_peer()
    session = established_in(peer)
    peer.request("INVITE", body=b"hold")
    (offer,) = peer.of(OfferReceived)
    assert isinstance(offer, OfferReceived)
    assert peer.agent.accept_offer(session, b"held", now=peer.now)
    assert peer.last_response(200).body == b"held"
    peer.request("ACK", cseq=offer.request.cseq.number)
    peer.collect()
    peer.request("INVITE", body=b"hold")
    assert peer.last_response(200).body == b"held"
    assert len(peer.of(OfferReceived)) == 1
    assert SessionRefreshed(session, By.REMOTE) in peer.events


def test_their_empty_reinvite_gets_our_offer() -> None:
    peer = new_peer()
    session = established_in(peer)
    peer.request("INVITE")
    assert peer.agent.accept_offer(session, b"our offer", now=peer.now)
    number = peer.last_response(200).cseq.number
    peer.request("ACK", cseq=number, body=b"their answer")
    assert peer.of(OfferAnswered) == [OfferAnswered(session, "", b"their answer")]


def test_an_offer_that_is_refused_changes_nothing() -> None:
    peer = new_peer()
    session = established_in(peer)
    peer.request("UPDATE", body=b"video")
    assert peer.agent.reject_offer(session, 488, now=peer.now)
    assert peer.last_response(488)
    assert not peer.agent.reject_offer(session, 488, now=peer.now)
    assert not peer.of(SessionEnded)


def test_an_offer_nobody_looks_at_is_refused_in_time() -> None:
    peer = new_peer()
    established_in(peer)
    peer.request("UPDATE", body=b"video")
    peer.pass_time(20)
    assert peer.last_response(488)


def test_an_early_update_before_the_answer() -> None:
    peer = new_peer()
    session = call_in(peer)
    peer.agent.provisional(session, 180, now=peer.now)
    peer.to_tag = peer.last_response(180).to_tag
    peer.request("UPDATE", body=b"other")
    assert peer.last_response(500).retry_after is not None
    peer.request("UPDATE")
    assert peer.last_response(200).cseq.method == "UPDATE"
    peer.agent.provisional(session, 183, body=b"early", now=peer.now)
    peer.request("UPDATE", body=b"other")
    assert peer.of(OfferReceived)
    assert peer.agent.accept_offer(session, b"fine", now=peer.now)
    assert peer.last_response(200).body == b"fine"


def test_481_to_our_reinvite_ends_the_call() -> None:
    peer = new_peer()
    session = established_out(peer)
    peer.agent.reinvite(session, b"hold", now=peer.now)
    peer.reply(peer.last_request("INVITE"), 481)
    assert ending(peer).kind is EndKind.GONE
    assert peer.last_request("BYE")


def test_digits_in_info() -> None:
    peer = new_peer()
    session = established_in(peer)
    for content_type, body in (
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"),
        ("application/dtmf-relay", b"Signal= 11\r\nDuration= 90\r\n"),
        ("application/dtmf", b"*"),
        ("text/plain", b"hello"),
        ("application/dtmf", b"nonsense"),
    ):
        peer.request("INFO", body=body, content_type=content_type)
    assert peer.words() == ["200"] * 5
    assert peer.of(DigitReceived) == [
        DigitReceived(session, "5", 160),
        DigitReceived(session, "#", 90),
        DigitReceived(session, "*", 0),
    ]
    assert [e.body for e in peer.of(InfoReceived)] == [b"hello", b"nonsense"]  # type: ignore[union-attr]


def test_an_info_that_is_too_large_gets_413() -> None:
    peer = new_peer()
    established_in(peer)
    peer.request("INFO", body=b"x" * 1025, content_type="text/plain")
    assert peer.words() == ["413"]


def test_info_and_options_of_ours_are_told_how_they_went() -> None:
    peer = new_peer()
    session = established_out(peer)
    info = peer.agent.info(session, "application/dtmf-relay", b"Signal=1\r\n", now=peer.now)
    options = peer.agent.session_options(session, now=peer.now)
    peer.now += 0.25
    peer.reply(peer.last_request("INFO"), 200)
    peer.reply(peer.last_request("OPTIONS"), 200)
    answered = {e.token: (e.status, e.seconds) for e in peer.of(RequestAnswered)}  # type: ignore[union-attr]
    assert answered == {info: (200, 0.25), options: (200, 0.25)}


def test_x_headers_travel_both_ways() -> None:
    peer = new_peer()
    call_out(peer, headers={"X-Account": "7"})
    assert peer.last_request("INVITE").headers.get("x-account") == "7"
    other = new_peer()
    call_in(other, headers=(("X-Tag", "a"),))
    assert other.of(InviteReceived)[0].request.extensions() == {"X-Tag": "a"}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["Via", "f", "CSeq", "Contact", "X Bad"])
def test_an_order_may_not_write_what_the_agent_writes(name: str) -> None:
    peer = new_peer()
    with pytest.raises(ValueError):
        call_out(peer, headers={name: "x"})
    with pytest.raises(ValueError):
        call_out(peer, headers={"X-A": "a\r\nX-B: b"})
    assert peer.agent.idle()


def test_orders_about_what_is_gone_are_refused_quietly() -> None:
    agent, now = new_peer().agent, 0.0
    assert not agent.bye("x", now=now)
    assert not agent.cancel("x", now=now)
    assert not agent.answer("x", b"", now=now)
    assert not agent.reject("x", 486, now=now)
    assert not agent.accept_offer("x", b"", now=now)
    assert not agent.respond("x", 200, now=now)
    assert agent.reinvite("x", b"a", now=now) == agent.refer("x", "sip:a@b", now=now) == ""


# -- session timers -------------------------------------------------------------------------------


def test_we_refresh_at_half_time_with_update_where_the_peer_knows_it() -> None:
    peer = new_peer()
    session = established_out(
        peer,
        headers=(
            ("Session-Expires", "1800;refresher=uac"),
            ("Require", "timer"),
            ("Allow", "INVITE, UPDATE"),
        ),
    )
    peer.pass_time(900)
    update = peer.last_request("UPDATE")
    assert update.headers.get("Session-Expires") == "1800;refresher=uac"
    peer.reply(update, 200, headers=(("Session-Expires", "1800;refresher=uac"),))
    assert SessionRefreshed(session, By.LOCAL) in peer.of(SessionRefreshed)
    peer.pass_time(899)
    assert not peer.of(SessionEnded)


def test_we_refresh_with_the_same_sdp_where_it_does_not() -> None:
    peer = new_peer()
    established_out(peer, headers=(("Session-Expires", "90;refresher=uac"),))
    peer.pass_time(45)
    invite = peer.last_request("INVITE")
    assert (invite.body, invite.to_tag) == (b"offer", "peer")
    peer.reply(invite, 200, body=b"answer", headers=(("Session-Expires", "90;refresher=uac"),))
    assert peer.words()[-1] == "ACK"
    assert not peer.of(OfferAnswered)


def test_a_peer_that_does_not_refresh_is_hung_up_in_time() -> None:
    peer = new_peer()
    established_in(peer, headers=(("Supported", "timer"), ("Session-Expires", "120;refresher=uac")))
    answer = peer.last_response(200)
    assert answer.headers.get("Session-Expires") == "120;refresher=uac"
    assert "timer" in answer.option_tags("Require")
    peer.pass_time(87)
    assert not peer.of(SessionEnded)
    peer.pass_time(2)
    assert ending(peer).kind is EndKind.EXPIRED
    assert peer.last_request("BYE")


def test_an_interval_below_ours_gets_422() -> None:
    peer = new_peer(min_se=120)
    established_in(peer)
    peer.request(
        "UPDATE", headers=(("Supported", "timer"), ("Session-Expires", "100"), ("Min-SE", "90"))
    )
    assert peer.last_response(422).headers.get("Min-SE") == "120"


def test_a_call_with_an_interval_below_ours_gets_422_and_is_none() -> None:
    peer = new_peer(min_se=120)
    peer.request(
        "INVITE", headers=(("Supported", "timer"), ("Session-Expires", "100"), ("Min-SE", "90"))
    )
    assert peer.last_response(422).headers.get("Min-SE") == "120"
    assert not peer.of(InviteReceived)
    # Who does not know the extension could do nothing with a 422.
    peer.request("INVITE", headers=(("Session-Expires", "100"),))
    assert peer.of(InviteReceived)


# -- transfer -------------------------------------------------------------------------------------


def test_a_refer_of_ours_is_followed_to_its_end() -> None:
    peer = new_peer()
    session = established_out(peer)
    token = peer.agent.refer(session, "sip:op@192.0.2.30", referred_by="<sip:me@x>", now=peer.now)
    refer = peer.last_request("REFER")
    assert refer.headers.get("Refer-To") == "sip:op@192.0.2.30"
    peer.reply(refer, 202)
    for status, state in ((100, "active"), (180, "active"), (200, "terminated;reason=noresource")):
        peer.request(
            "NOTIFY",
            body=f"SIP/2.0 {status} Fine\r\n".encode(),
            content_type="message/sipfrag",
            headers=(
                ("Event", f"refer;id={refer.cseq.number}"),
                ("Subscription-State", state),
            ),
        )
    statuses = [e.status for e in peer.of(ReferProgress)]  # type: ignore[union-attr]
    assert statuses == [202, 100, 180, 200]
    assert peer.of(ReferEnded) == [ReferEnded(session, token, 200, "Fine")]
    peer.request("NOTIFY", headers=(("Event", "refer"), ("Subscription-State", "terminated")))
    assert peer.words()[-1] == "481"


@pytest.mark.parametrize(
    ("how", "status"), [("refused", 603), ("silence", 408), ("no notify", 408), ("norefersub", 200)]
)
def test_other_ends_of_a_refer(how: str, status: int) -> None:
    peer = new_peer()
    session = established_out(peer)
    peer.agent.refer(session, "sip:op@192.0.2.30", now=peer.now)
    refer = peer.last_request("REFER")
    if how == "refused":
        peer.reply(refer, 603)
    elif how == "no notify":
        peer.reply(refer, 202)
        peer.pass_time(33)
    elif how == "norefersub":
        peer.reply(refer, 200, headers=(("Refer-Sub", "false"),))
    else:
        peer.pass_time(33)
    (ended,) = peer.of(ReferEnded)
    assert isinstance(ended, ReferEnded)
    assert ended.status == status


def test_a_refer_ends_before_its_session_does() -> None:
    peer = new_peer()
    session = established_out(peer)
    peer.agent.refer(session, "sip:op@192.0.2.30", now=peer.now)
    peer.reply(peer.last_request("REFER"), 202)
    peer.request("BYE")
    peer.collect()
    assert [type(e) for e in peer.events[-2:]] == [ReferEnded, SessionEnded]


def test_a_refer_of_theirs_is_a_question_and_is_told_how_it_goes() -> None:
    peer = new_peer()
    session = established_in(peer)
    peer.request(
        "REFER",
        headers=(
            ("Refer-To", "<sip:1000@x?Replaces=a%3Bto-tag%3Db>"),
            ("Referred-By", "<sip:p@x>"),
        ),
    )
    (refer,) = peer.of(ReferReceived)
    assert isinstance(refer, ReferReceived)
    assert refer.replaces == "a;to-tag=b"
    assert refer.referred_by == "<sip:p@x>"
    assert peer.agent.accept_refer(session, refer.token, now=peer.now)
    assert peer.agent.notify_refer(session, refer.token, 200, now=peer.now)
    assert peer.words() == ["202", "NOTIFY"]
    first = peer.last_request("NOTIFY")
    assert first.body.startswith(b"SIP/2.0 100 Trying")
    peer.reply(first, 200)
    second = peer.last_request("NOTIFY")
    assert second.body.startswith(b"SIP/2.0 200 OK")
    assert (second.headers.get("Subscription-State") or "").startswith("terminated")
    assert second.headers.rows("Content-Type") == ["message/sipfrag;version=2.0"]
    peer.reply(second, 200)
    assert not peer.agent.notify_refer(session, refer.token, 200, now=peer.now)


def test_a_refer_without_target_gets_400() -> None:
    peer = new_peer()
    established_in(peer)
    peer.request("REFER")
    assert peer.words() == ["400"]
    assert not peer.of(ReferReceived)


@pytest.mark.parametrize("ours", [True, False])
def test_an_early_dialog_that_is_gone_does_not_end_the_call(ours: bool) -> None:
    peer = new_peer()
    if ours:
        session = call_out(peer)
        peer.reply(peer.last_request("INVITE"), 180)
    else:
        session = call_in(peer)
        peer.agent.provisional(session, 180, now=peer.now)
    peer.agent.info(session, "text/plain", b"x", now=peer.now)
    peer.reply(peer.last_request("INFO"), 481)
    assert not peer.of(SessionEnded)
    if ours:
        peer.reply(peer.last_request("INVITE"), 486)
    else:
        assert peer.agent.reject(session, 486, now=peer.now)
    settle(peer)
