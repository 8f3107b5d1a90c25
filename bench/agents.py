"""agent-transport as an echo: every frame of 20 ms comes to Python and goes back, a thread a call.

The fastest of its Python shapes: its adapters for agents cost about twice as much. It always
registers over TCP with port 5060 of its server, so the generator is the registrar.
"""

from __future__ import annotations

import threading

from agent_transport import SipEndpoint  # type: ignore[import-not-found]


def talk(endpoint: SipEndpoint, session: str) -> None:
    while True:
        try:
            found = endpoint.recv_audio_bytes_blocking(session, 20)
            if found is not None:
                endpoint.send_audio_bytes(session, found[0], found[1], found[2])
        except Exception:  # The library raises its own kinds when a call is over.
            return


def main() -> None:
    endpoint = SipEndpoint(sip_server="127.0.0.1", stun_server="", codecs=["PCMU"], log_level=1)
    endpoint.register("bench", "bench")
    print("registers", flush=True)
    while True:
        event = endpoint.wait_for_event(0)
        # It answers by itself: a call begins for us when it says that it has.
        if event is not None and event["type"] == "call_answered":
            session = event["session_id"]
            threading.Thread(target=talk, args=(endpoint, session), daemon=True).start()


if __name__ == "__main__":
    main()
