"""Ctrl-C and its like: heard at once in code that gives the interpreter no chance, and never as an exception."""

import os
import pathlib
import select
import signal
import subprocess
import sys
import time

import pytest

from steepest.core import interrupts

STOPPING = "steepest: stopping after this update. Once more ends it at once, and nothing more is saved.\n"
BUSY = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)  # minutes in C, as a compilation takes\n"
LISTENING = "from steepest.core import interrupts; interrupts.listen()\n"
ORDERLY = LISTENING + "with interrupts.interruptible() as stop:\n    print('ready', flush=True)\n    "


def started(code):
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)  # it is in C by now
    return process


def said_within(seconds, process):
    assert process.stderr is not None
    ready, _, _ = select.select([process.stderr], [], [], seconds)
    return process.stderr.readline() if ready else None


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_the_first_one_says_so_at_once_and_the_second_ends_it_and_says_nothing(number):
    process = started(ORDERLY + BUSY)
    process.send_signal(number)
    assert said_within(5, process) == STOPPING
    assert process.poll() is None
    process.send_signal(number)
    out, said = process.communicate(timeout=5)
    assert (process.returncode, out, said) == (128 + number, "", "")


def test_where_nobody_answers_the_first_one_ends_it_with_one_line():
    process = started(LISTENING + "print('ready', flush=True)\n" + BUSY)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=5)
    assert (process.returncode, out, said) == (130, "", "steepest: interrupted\n")


def test_what_answers_ends_in_its_own_time_with_the_status_of_the_signal():
    code = "import time\n    while not stop(): time.sleep(0.01)\nprint('saved'); raise SystemExit(interrupts.status())"
    process = started(ORDERLY + code)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=5)
    assert (process.returncode, out, said) == (143, "saved\n", STOPPING)


def test_a_command_hears_signals_before_it_imports_jax():
    process = subprocess.Popen(
        [sys.executable, "-m", "steepest", "train", "ppo", "--env", "CartPole-v1"], stderr=subprocess.PIPE, text=True
    )
    status = pathlib.Path(f"/proc/{process.pid}/status")
    caught = 1 << (signal.SIGTERM - 1)
    while not int(status.read_text().split("SigCgt:")[1].split()[0], 16) & caught:
        time.sleep(0.001)
    maps = pathlib.Path(f"/proc/{process.pid}/maps").read_text()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert "jaxlib" not in maps
    assert (process.returncode, said) == (130, "steepest: interrupted\n")


@pytest.mark.parametrize(("number", "raises"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, None)])
def test_in_a_program_of_somebody_elses_handlers_are_there_for_the_time_of_a_run(number, raises, capfd):
    before = [signal.getsignal(each) for each in interrupts.SIGNALS]
    with interrupts.interruptible() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert [signal.getsignal(each) for each in interrupts.SIGNALS] == before  # a second one does what it did
    assert [signal.getsignal(each) for each in interrupts.SIGNALS] == before
    assert capfd.readouterr().err == STOPPING
    if raises is None:
        interrupts.end_if_asked(stop)
        return
    with pytest.raises(SystemExit) as ended:
        interrupts.end_if_asked(stop)
    assert ended.value.code == raises


def test_handlers_of_the_program_and_of_nohup_stay():
    heard = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with interrupts.interruptible() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
            assert heard == [1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_handlers_that_a_library_replaces_are_put_back():
    before = [signal.getsignal(each) for each in interrupts.SIGNALS]
    with interrupts.kept():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert [signal.getsignal(each) for each in interrupts.SIGNALS] == before
