"""A real browser for the tests: headless Chromium, spoken to through a pair of pipes (DevTools protocol)."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_WAIT = 300
"""Seconds until a test gives a browser up; a sound one answers in milliseconds."""

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"),
    # One process draws all pages, by one thread, and keeps none that was left.
    *("--renderer-process-limit=1", "--disable-features=BackForwardCache,SpareRendererForSitePerProcess"),
    "--js-flags=--single-threaded",
]

STARTER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads its commands from descriptor 3 and answers on 4."""

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
"""The numbers of keys whose effect is the browser's own."""


class Browser:
    """A running Chromium."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._unread = b""
        self._last = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what happens meanwhile is noted in `events`."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") != self._last:
                self.events.append(answer)
                continue
            assert "error" not in answer, f"{method}: {answer['error']}"
            result: dict[str, Any] = answer["result"]
            return result

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._answers], [], [], LONGEST_WAIT)
            assert readable, f"the browser has said nothing for {LONGEST_WAIT} s"
            data = os.read(self._answers, 1 << 20)
            assert data, "the browser has ended"
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read

    @cached_property
    def tab(self) -> Tab:
        """The one page: to load another document takes a fraction of what a new tab does."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Network", "Runtime"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        return tab

    def open(self, path: Path, *, width: int = 1440, height: int = 900, dark: bool = False, touch: bool = False) -> Tab:
        """Open a page from the disk and wait until it is ready."""
        tab = self.tab
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.call("Emulation.setEmulatedMedia", features=[scheme])
        tab.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        sizes = {"width": width, "height": height, "deviceScaleFactor": 2 if touch else 1}
        tab.call("Emulation.setDeviceMetricsOverride", mobile=False, **sizes)
        tab.call("Page.navigate", url="about:blank")
        self.events.clear()
        tab.call("Page.navigate", url=path.as_uri())
        tab.until("performance.getEntriesByName('ready').length > 0")
        tab.settle()
        return tab


@dataclass
class Tab:
    """A page."""

    browser: Browser
    session: str

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def events(self, method: str) -> list[dict[str, Any]]:
        """Tell what has happened since the page was opened, of one kind."""
        self.settle()
        return [event["params"] for event in self.browser.events if event["method"] == method]

    def ask(self, expression: str) -> Any:
        """Evaluate JavaScript, and wait for what it promises."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until something is true."""
        end = time.monotonic() + LONGEST_WAIT
        while not self.ask(expression):
            assert time.monotonic() < end, f"not true within {LONGEST_WAIT} s: {expression}"

    def until_event(self, method: str, **values: Any) -> None:
        """Wait for an event of the browser with these values."""
        end = time.monotonic() + LONGEST_WAIT
        while not any(
            event["method"] == method and values.items() <= event["params"].items() for event in self.browser.events
        ):
            assert time.monotonic() < end, f"no {method} with {values} within {LONGEST_WAIT} s"
            self.settle()

    def settle(self) -> None:
        """Let the page draw what has changed."""
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def text(self, selector: str) -> str:
        return str(self.ask(f"document.querySelector({json.dumps(selector)}).textContent"))

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.ask(
            f"[...document.querySelectorAll({json.dumps(selector)})].map(found => found.textContent)"
        )
        return found

    def middle(self, selector: str) -> tuple[float, float]:
        """Give the middle of an element, in pixels of the window."""
        box = self.ask(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def hover(self, x: float, y: float) -> None:
        self._mouse("mouseMoved", x, y)
        self.settle()

    def click(self, target: str | tuple[float, float]) -> None:
        """Click on the middle of an element, or on a point of the window."""
        x, y = self.middle(target) if isinstance(target, str) else target
        self._mouse("mouseMoved", x, y)
        self._mouse("mousePressed", x, y, button="left", clickCount=1)
        self._mouse("mouseReleased", x, y, button="left", clickCount=1)
        self.settle()

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        self._mouse("mouseMoved", *begin)
        self._mouse("mousePressed", *begin, button="left", clickCount=1)
        for step in range(1, 6):
            x, y = (a + (b - a) * step / 5 for a, b in zip(begin, end, strict=True))
            self._mouse("mouseMoved", x, y, button="left")
        self._mouse("mouseReleased", *end, button="left", clickCount=1)
        self.settle()

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            more = {"text": text} if text else {}
            number = KEYS.get(key, 0)
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=number, **more)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=number)
        self.settle()


def executable() -> str:
    """Find Chromium; without it the test is skipped, but never where all programs ought to be."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None and os.environ.get("CI"):
        pytest.fail("chromium is not installed, and with CI set it must be")
    if path is None:
        pytest.skip("chromium is not installed")
    return path


@contextmanager
def running_chromium(profile: Path) -> Iterator[Browser]:
    """Run Chromium with a profile of its own."""
    words = [executable(), *FLAGS, f"--user-data-dir={profile}"]
    (their_commands, commands), (answers, their_answers) = os.pipe(), os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(their_commands), str(their_answers), *words],
        pass_fds=[their_commands, their_answers],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_commands)
    os.close(their_answers)
    browser = Browser(commands, answers)
    try:
        yield browser
    finally:
        process.terminate()
        process.wait()
        os.close(commands)
        os.close(answers)
