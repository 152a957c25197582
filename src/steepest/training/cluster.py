"""Processes on Ray: the one place that imports it.

What travels between our own processes is pickled by Ray, as every message of its own is. No file is read that way.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import re
import shutil
import socket
import tempfile
import time
import warnings
from typing import Any

from steepest.core import interrupts
from steepest.core.errors import EnvironmentFault, InputError, NonFiniteError

_PATIENCE = 5.0
"""Seconds in which a cluster must answer."""
_LOOK = 1.0
"""Seconds between two looks at who does not answer. Not more than two count: this process may have been stopped."""
_OBJECT_STORE = 2**28
"""Bytes for messages that are on their way."""
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a conversation in HTTP/2 begins, which Ray speaks: the preface, and settings of which none is changed."""
_SETTINGS = 4
_LOCAL = "local"
"""In place of an address: start one here, whatever else there is."""


_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",  # a library does not report on its users
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed",  # we say so ourselves, and not among the results
}
"""For Ray, which reads them when it is imported; not for a user who has set them."""


class Died(Exception):  # noqa: N818  what happened to a process, and no mistake of ours
    """A process ended before it answered."""


def check(address: str | None, whose: str = "a3c") -> None:
    """See that Ray is installed, and answers at the address if there is one; without importing or starting it.

    **Arguments**

    - `whose`: what is to run on it, for messages.

    **Raises** `InputError` with the way out, within seconds.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(f"{whose} runs on Ray, which is not installed. Run: pip install 'steepest[ray]'.")
    address = _given(address)
    if address in (None, "auto", _LOCAL):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(f"ray_address is {address!r}; it must be HOST:PORT, or auto. Leave it out to start Ray here.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as connection:
            connection.sendall(_HELLO)
            answers = connection.recv(4)[3:] == bytes((_SETTINGS,))
    except (OSError, OverflowError):
        answers = False
    if not answers:
        raise InputError(f"ray_address is {address}, and no Ray answers there. {_START}")


_START = "Start one (ray start --head), or leave ray_address out to start Ray here."


def _given(address: str | None) -> str | None:
    return address or os.environ.get("RAY_ADDRESS") or None


def _why(error: Exception) -> str:
    """Of the paragraphs that Ray writes, the line that says why a process died."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).strip()
    return text.splitlines()[-1].strip() if "creation task" in text else "its process was killed, or crashed"


class Cluster:
    """Ray: one that runs already, or one that is started here and ends with `close`.

    **Arguments**

    - `address`: of one that runs, as `HOST:PORT` or `auto`; `local` starts one here. Where it is None, the one that
      this process is connected to already is taken, then the one that the variable `RAY_ADDRESS` names, then one is
      started.
    - `size`: processes that will run at the same time, each with a processor of its own as Ray counts them.
    """

    def __init__(self, address: str | None, size: int):
        check(address)
        for name, value in _VARIABLES.items():
            os.environ.setdefault(name, value)
        import ray

        self._ray, self._owned, self._directory = ray, False, ""
        self._pending: dict[Any, Any] = {}
        self._waited: dict[Any, float] = {}
        self._looked = time.monotonic()
        self._actors: list[Any] = []
        if not ray.is_initialized():
            self._owned = True
            with interrupts.kept():
                self._connect(_given(address), size)
        if self.processors < size:
            processors = self.processors
            self.close()
            raise InputError(f"workers is {size}; the Ray cluster has {processors} processors. Take no more than that.")

    @property
    def processors(self) -> int:
        """How many the machines of the cluster have, as Ray counts them now."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _connect(self, address: str | None, size: int) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if address not in (None, _LOCAL):
                self._ray.init(address=address, **quiet)
                return
            # Ray keeps its logs for ever, and the paths of its sockets must be short.
            self._directory = tempfile.mkdtemp(prefix="steepest-", dir="/tmp")
            with warnings.catch_warnings():
                # Between fork and exec Ray sets a mask of signals; JAX, of whose threads it warns, is not touched.
                warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
                self._ray.init(
                    address="local",
                    num_cpus=size,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE,
                    _temp_dir=self._directory,
                    **quiet,
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            self.close()
            remedy = _START if address else "See that this machine has memory and processes left."
            raise InputError(f"Ray does not start or answer ({error}). {remedy}") from error

    def start(self, kind: type, *arguments: object, processors: int = 1) -> Any:
        """A process that holds one `kind(*arguments)`, a class whose `answer` it can be asked."""
        make = self._ray.remote(num_cpus=processors, max_restarts=0)(kind)
        try:
            actor = make.remote(*arguments)
        except TypeError as error:
            raise InputError(
                f"the environment cannot be sent to workers ({error.__cause__ or error}). Give an id, or a "
                f"function that can be pickled."
            ) from error
        self._actors.append(actor)
        return actor

    def ask(self, actor: Any, *question: object) -> None:
        """Have a process call `answer(*question)`; `next_answer` will return it."""
        asked = actor.answer.remote(*question)
        self._pending[asked], self._waited[asked] = actor, 0.0

    def next_answer(self, patience: float = math.inf) -> tuple[Any, Any]:
        """Wait for the first answer to any question; returns the process and what it said.

        That is `Died` when it ended before, or did not answer within `patience` seconds, and what it raised, where that
        was an `EnvironmentFault`. Those that asked first are served first when several are ready.

        **Raises** what else the process raised.
        """
        while (found := self.answer_within(_LOOK, patience)) is None:
            pass
        return found

    def answer_within(self, timeout: float, patience: float = math.inf) -> tuple[Any, Any] | None:
        """The same, or None where nobody answers within `timeout` seconds."""
        if not self._pending:
            return None
        ready, waiting = self._ray.wait(list(self._pending), num_returns=len(self._pending), timeout=0)
        passed, self._looked = min(time.monotonic() - self._looked, 2 * _LOOK), time.monotonic()
        for each in waiting:
            self._waited[each] += passed
            if self._waited[each] > patience:
                actor = self._forget(each)
                self.end(actor)
                return actor, Died(f"it did not answer for {patience:.0f} s, and was ended")
        if ready:
            return self._answer(ready[0])
        self._ray.wait(waiting, num_returns=1, timeout=timeout)
        return None

    def _forget(self, question: Any) -> Any:
        """The process that was asked, which is not waited for any more."""
        del self._waited[question]
        return self._pending.pop(question)

    def _answer(self, question: Any) -> tuple[Any, Any]:
        actor = self._forget(question)
        errors = self._ray.exceptions
        try:
            return actor, self._ray.get(question)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, EnvironmentFault):
                cause.__cause__ = error  # whose words hold the whole traceback
                return actor, cause
            if isinstance(cause, InputError | NonFiniteError):
                raise cause from error
            raise error from None
        except errors.RayError as error:
            self.end(actor)
            return actor, Died(_why(error))

    def end(self, actor: Any) -> None:
        """End a process, if it has not ended; what it was asked is not waited for any more."""
        self._ray.kill(actor, no_restart=True)
        for question in [each for each, asked in self._pending.items() if asked is actor]:
            self._forget(question)
        self._actors = [each for each in self._actors if each is not actor]

    def close(self) -> None:
        """End all processes, and Ray if it was started here."""
        if self._ray.is_initialized():
            for actor in self._actors:
                self._ray.kill(actor, no_restart=True)
        self._actors, self._pending, self._waited = [], {}, {}
        if self._owned:
            self._ray.shutdown()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
