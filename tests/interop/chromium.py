"""A real browser with a page of the tests, which joins rooms as contract section 14 describes."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from playwright.async_api import Browser, Page, Playwright, async_playwright

FOLDER = Path(__file__).parent / "browser"
FLAGS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


def client() -> Path:
    """The file of LiveKit's client that ``make packages`` installed. Raises RuntimeError."""
    asked = subprocess.run(
        ["sh", str(FOLDER / "install.sh"), "--path"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if asked.returncode:
        raise RuntimeError(asked.stderr.strip())
    return Path(asked.stdout.strip())


class Chromium:
    """Debian's, headless; ``async with``, then ``page`` as often as needed.

    ``microphone``: a WAV file that is heard once, and silence after it; without one it beeps. The
    pages come from a server of its own on 127.0.0.1.
    """

    def __init__(self, microphone: Path | None = None) -> None:
        self._flags = list(FLAGS)
        if microphone is not None:
            self._flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
        self._runner: web.AppRunner | None = None
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._url = ""

    async def __aenter__(self) -> Self:
        try:
            await self._serve()
            self._playwright = await async_playwright().start()
            program = shutil.which("chromium")
            if program is None:
                raise RuntimeError("there is no chromium; `make packages` installs it")
            self._browser = await self._playwright.chromium.launch(
                executable_path=program, args=self._flags
            )
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self) -> None:
        app = web.Application()
        files = {
            "/": FOLDER / "page.html",
            "/page.js": FOLDER / "page.js",
            "/livekit-client.js": client(),
        }
        for path, file in files.items():
            app.router.add_get(path, _sender(file))
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def page(self) -> Tab:
        """A fresh page of a person of its own."""
        assert self._browser is not None
        context = await self._browser.new_context(permissions=["microphone"])
        page = await context.new_page()
        tab = Tab(page)
        await page.goto(self._url)
        return tab


class Tab:
    """One page: what it was told is read from ``told``, what it does is asked with ``run``."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def run(self, script: str, *args: Any) -> Any:
        """A JavaScript function of ``args``, and what it returns."""
        return await self._page.evaluate(f"(args) => ({script})(...args)", list(args))

    async def told(self) -> dict[str, list[Any]]:
        """``messages``, ``statuses``, ``modes``, ``errors``, ``connects``, ``ends`` so far."""
        told: dict[str, list[Any]] = await self._page.evaluate("window.told")
        return told

    async def join(self, token: str, url: str, **more: Any) -> str:
        """Join; the room's name."""
        name: str = await self.run("window.join", token, url, more)
        return name

    async def until(self, script: str, seconds: float = 15.0) -> None:
        """Wait until an expression over ``told`` is true. Raises TimeoutError, with what was."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._page.evaluate(f"(told => {script})(window.told)"):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"never {script}: {await self.told()} {self.complaints}") from None

    async def close(self) -> None:
        """As somebody who closes the tab."""
        await self._page.context.close()


def _sender(file: Path) -> Any:
    async def send(request: web.Request) -> web.FileResponse:
        return web.FileResponse(file)

    return send
