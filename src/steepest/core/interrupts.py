"""Ctrl-C, and what schedulers send in its place: heard at any moment, and answered at once.

Python handles a signal when its own code runs next. That may be after 15 s of compilation, or in a function that JAX
calls and whose exceptions it swallows; and an exception that arrives in JAX's own code can end in a crash. So the
command line has a thread that the operating system's handler wakes through a pipe, and raises no exception. Nothing
heavy is imported here: the thread must be there before JAX is.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a scheduler's notice, and a terminal that is closed."""
_SHOW_CURSOR = "\x1b[?25h"
_CLEAR_LINE = "\r\x1b[K"


class Stop:
    """Whether something was asked to end, as a function, and the number of the signal that asked.

    - `says`: what a person is told then.
    """

    signal: int | None = None

    def __init__(self, says: str = "stopping after this update. Once more ends it at once, and nothing more is saved."):
        self.says = says

    def __call__(self) -> bool:
        return self.signal is not None


class _Listener:
    """What the command line does about signals. The first asks, where somebody will answer; any other ends it."""

    def __init__(self) -> None:
        self.answering: Stop | None = None
        self.heard: int | None = None
        self._terminals = [each for each in (1, 2) if os.isatty(each)]
        self._pipe, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for each in _ours():
            signal.signal(each, lambda *_: None)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while number := os.read(self._pipe, 1):
            if number[0] in SIGNALS:
                self._hear(number[0])

    def _hear(self, number: int) -> None:
        first, self.heard = self.heard is None, number
        if number == signal.SIGHUP:
            # Whatever is still said must not fail where the terminal is gone.
            for each in self._terminals:
                os.dup2(os.open(os.devnull, os.O_WRONLY), each)
        if first and self.answering is not None:
            self.answering.signal = number
            say_stopping(self.answering)
            return
        if first:
            _write("steepest: interrupted\n")
        if 2 in self._terminals:
            _write(_SHOW_CURSOR)
        os._exit(128 + number)


_listener: _Listener | None = None


def listen() -> None:
    """Hear signals from now on, in a program that is all ours; until it is `interruptible`, the first one ends it."""
    global _listener
    if _listener is None and threading.current_thread() is threading.main_thread():
        _listener = _Listener()


def status() -> int:
    """The exit status of a program that a signal has ended in an orderly way, as shells count."""
    return 128 + (signal.SIGINT if _listener is None or _listener.heard is None else _listener.heard)


@contextlib.contextmanager
def interruptible(stop: Stop | None = None) -> Iterator[Stop]:
    """Turn the first signal into a question's answer.

    The second ends the command line at once; in a program of somebody else's it does what it did before.

    **Arguments**

    - `stop`: the question, where it says something of its own.
    """
    stop = stop or Stop()
    if _listener is not None:
        _listener.answering = stop
        try:
            yield stop
        finally:
            _listener.answering = None
        return
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {each: signal.getsignal(each) for each in _ours()}

    def ask(number: int, _: object) -> None:
        stop.signal = number
        say_stopping(stop)
        restore()

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in before:
        signal.signal(each, ask)
    try:
        yield stop
    finally:
        restore()


def end_if_asked(stop: Stop) -> None:
    """End a program of somebody else's that a scheduler has asked to end, now that all is saved.

    **Raises** `SystemExit` with the status that shells count for the signal; Ctrl-C asks for less.
    """
    if _listener is None and stop.signal not in (None, signal.SIGINT):
        raise SystemExit(128 + stop.signal)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Put back the handlers that a library replaces; what it starts meanwhile outlives the terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the programs that are started inherit
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def say_stopping(stop: Stop) -> None:
    """One line, at once."""
    _write(f"steepest: {stop.says}\n")


def _ours() -> list[signal.Signals]:
    """Ctrl-C, and of the others those that nobody has decided on, such as nohup."""
    return [each for each in SIGNALS if each == signal.SIGINT or signal.getsignal(each) == signal.SIG_DFL]


def _write(text: str) -> None:
    """To the standard error, whatever another thread is doing with it."""
    with contextlib.suppress(OSError):
        os.write(2, (_CLEAR_LINE + text if os.isatty(2) else text).encode())
