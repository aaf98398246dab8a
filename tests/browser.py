"""A headless Chromium, driven through chromedriver by the WebDriver protocol."""

import base64
import contextlib
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

# Keys without a character, as the protocol has them.
TAB, ENTER, ESCAPE, SPACE = "\ue004", "\ue007", "\ue00c", "\ue00d"

# The sandbox does not start as root, and containers have little shared memory.
_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]
_SECONDS = 60


def browser_missing() -> bool:
    """Whether the machine has no Chromium, or no chromedriver, to be driven."""
    return not (shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome")))


class Browser:
    """A window of the browser; `open_browser` makes one."""

    def __init__(self, driver: str, width: int, height: int, profile: str) -> None:
        # Proxies of the environment are not for this machine's own driver.
        self._http = requests.Session()
        self._http.trust_env = False
        arguments = [*_ARGUMENTS, f"--window-size={width},{height}", f"--user-data-dir={profile}"]
        options = {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = f"{driver}/session"
        answer = self._call("", {"capabilities": {"alwaysMatch": options}})
        self._session += f"/{answer['sessionId']}"

    def open(self, page: Path) -> None:
        """Loads a file."""
        self._call("url", {"url": page.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """Runs the body of a function in the page, and returns what it returns."""
        return self._call("execute/sync", {"script": script, "args": []})

    def press(self, *keys: str) -> None:
        """Presses and releases keys, one after the other."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def point(self, selector: str, click: bool = False) -> None:
        """Moves the mouse to the middle of an element, and clicks there."""
        element = self._call("element", {"using": "css selector", "value": selector})
        moves: list[dict[str, Any]] = [{"type": "pointerMove", "origin": element, "x": 0, "y": 0}]
        if click:
            moves += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._call("actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": moves}]})

    def label(self, selector: str) -> str:
        """What a screen reader calls an element."""
        element = self._call("element", {"using": "css selector", "value": selector})
        return str(self._call(f"element/{next(iter(element.values()))}/computedlabel"))

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Sends a command of the DevTools protocol."""
        return self._call("goog/cdp/execute", {"cmd": command, "params": parameters})

    def log(self) -> list[str]:
        """What the console has said since this was last asked."""
        return [entry["message"] for entry in self._call("se/log", {"type": "browser"})]

    def picture(self, path: Path) -> None:
        """Writes a PNG of what is in the window."""
        path.write_bytes(base64.b64decode(self._call("screenshot")))

    def close(self) -> None:
        """Ends the session, and the browser with it."""
        self._http.delete(self._session, timeout=_SECONDS)

    def _call(self, command: str, body: dict[str, Any] | None = None) -> Any:
        method = "GET" if body is None else "POST"
        address = f"{self._session}/{command}".rstrip("/")
        value = self._http.request(method, address, json=body, timeout=_SECONDS).json()["value"]
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{command}: {value['message']}")
        return value


@contextlib.contextmanager
def open_browser(width: int = 1280, height: int = 800) -> Iterator[Browser]:
    """Starts a browser with a window of that size in pixels, and ends it."""
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser = Browser(f"http://127.0.0.1:{_port(driver)}", width, height, profile)
            try:
                yield browser
            finally:
                browser.close()
    finally:
        driver.terminate()
        try:
            driver.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait(_SECONDS)


def _port(driver: "subprocess.Popen[str]") -> int:
    said = []
    # A driver that says nothing would be waited for without end.
    killing = threading.Timer(_SECONDS, driver.kill)
    killing.start()
    try:
        for line in driver.stdout or []:
            said.append(line)
            if found := re.search(r"started successfully on port (\d+)", line):
                return int(found[1])
    finally:
        killing.cancel()
    raise RuntimeError(f"chromedriver did not start: {''.join(said)}")
