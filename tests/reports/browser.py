"""A page in headless Chromium, spoken to through a pipe in its DevTools protocol."""

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", "about:blank")
_PATIENCE = 30.0
"""Seconds until an answer is given up."""


class Browser:
    """Chromium with one page."""

    def __init__(self, profile):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        far = [fcntl.fcntl(each, fcntl.F_DUPFD, 20) for each in (theirs_in, theirs_out)]  # 3 and 4 are Chromium's
        command = [CHROMIUM, f"--user-data-dir={profile}", *_FLAGS]
        script = f'exec "$@" 3<&{far[0]} 4>&{far[1]} {far[0]}<&- {far[1]}>&-'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command], pass_fds=far, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for each in (theirs_in, theirs_out, *far):
            os.close(each)
        self._in, self._out, self._rest, self._number, self._session = ours_in, ours_out, b"", 0, None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        self.process.kill()
        self.process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]
            self.events.append(found)

    def _next(self):
        limit = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], limit - time.monotonic())
            part = os.read(self._in, 1 << 16) if ready else b""
            assert part, "Chromium does not answer"
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def show(self, path, *, width, dark):
        """Load a page on a screen of so many pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        seen = len(self.events)
        self.call("Page.navigate", url=path.as_uri())
        while not any(each.get("method") == "Page.loadEventFired" for each in self.events[seen:]):
            self.events.append(self._next())

    def ask(self, script):
        """What an expression of JavaScript comes to."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def complaints(self):
        """Errors and warnings in the console, and everything that was asked of the network."""
        found = []
        for each in self.events:
            said = each.get("params", {})
            match each.get("method"):
                case "Runtime.exceptionThrown":
                    found.append(said["exceptionDetails"])
                case "Runtime.consoleAPICalled" if said["type"] in ("error", "warning", "assert"):
                    found.append(said["args"])
                case "Log.entryAdded" if said["entry"]["level"] in ("error", "warning"):
                    found.append(said["entry"])
                case "Network.requestWillBeSent" if not said["request"]["url"].startswith(("file:", "data:")):
                    found.append(said["request"]["url"])
        return found
