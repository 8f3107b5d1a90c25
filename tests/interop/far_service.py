"""The service as an agent's worker knows it, on a real socket: keeps turns, notes the rest."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from telephony.api.wire.callbacks import CallbackCreate
from telephony.api.wire.sessions import PostedTurns
from telephony.calls.record import Turn

KEY = "sk_test_worker"


class FarService:
    """``turns`` by session and index; ``asked``: method, path and body of everything else.

    ``answers``: path → (status, body) for what is to fail. Turns and callbacks go through the
    service's own shapes: what it would refuse breaks here.
    """

    def __init__(self) -> None:
        self.turns: dict[str, dict[int, Turn]] = {}
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(size)
                status, reply = service.take(
                    self.command, self.path, json.loads(raw or b"{}"), dict(self.headers)
                )
                body = b"" if status == 202 else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = handle_any

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(
        self, method: str, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        self.headers.append(headers)
        if headers.get("Authorization") != f"Bearer {KEY}":
            return 401, {"error": "Unauthorized", "code": "UNAUTHORIZED"}
        if path in self.answers:
            self.asked.append((method, path, body))
            return self.answers[path]
        if path.endswith("/transcript"):
            return 200, {"entries": self._entries(path.split("/")[3])}
        if path.endswith("/turns"):
            session = path.split("/")[3]
            self.posts.append((session, body))
            kept = self.turns.setdefault(session, {})
            for turn in PostedTurns.model_validate(body).distinct():
                kept[turn.index] = turn
            return 202, {}
        if path == "/v1/callbacks":
            CallbackCreate.model_validate(body)
        self.asked.append((method, path, body))
        return 200, {"ok": True, "status": "ending", "id": "cb_1"}

    def said(self, session: str) -> list[tuple[str, str]]:
        kept = self.turns.get(session, {})
        return [(kept[index].source, kept[index].text) for index in sorted(kept)]

    def _entries(self, session: str) -> list[dict[str, Any]]:
        return [
            {
                "index": turn.index,
                "source": turn.source,
                "text": turn.text,
                "startedAt": turn.started_at.isoformat(),
                "provider": turn.metadata.get("provider"),
            }
            for _, turn in sorted(self.turns.get(session, {}).items())
        ]
