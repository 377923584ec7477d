"""The Python client when its process forks, ends, or is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from millrace_client import Stats

from tests.clients.faulty import holds

#: Python 3.12 and newer warn of every fork beside threads; that it is safe is what is tested.
FORKING = "ignore:This process:DeprecationWarning"
SOURCE = Path(__file__).resolve().parents[2] / "clients" / "python" / "src"


@pytest.fixture
def start(server: Any, write_key: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give a function that starts a process, which sets up the package and runs some code."""
    head = (
        "import sys, millrace_client as millrace\n"
        f"millrace.host, millrace.write_key = {server.url!r}, {write_key!r}\n"
        "millrace.linger_s = 60\n"
    )
    with ExitStack() as processes:

        def run(code: str, python: str = sys.executable) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [python, "-W", "error", "-W", FORKING, "-c", head + code],
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield run


def test_a_process_that_ends_sends_what_waits(start, stored) -> None:
    code = "for number in range(250): millrace.track('note', {'number': number})"

    output, errors = start(code).communicate(timeout=30)

    assert (output, errors) == ("", "")
    numbers = sorted(event["properties"]["number"] for event in stored())
    assert numbers == list(range(250))


def test_a_process_that_ends_does_not_wait_for_a_server_that_is_silent(start, server) -> None:
    release = threading.Event()
    server.faults.append(holds(release))
    code = "millrace.shutdown_s = 0.2\nmillrace.track('note')\n"

    done = start(code)
    _, errors = done.communicate(timeout=30)
    release.set()

    assert done.returncode == 0
    assert "1 events are not delivered: shutdown" in errors


def test_a_killed_process_loses_only_what_waited_or_was_on_its_way(start, server, stored) -> None:
    release = threading.Event()
    code = (
        "for _ in range(20): millrace.track('before')\n"
        "assert millrace.flush()\n"
        "print('sent', flush=True)\n"
        "sys.stdin.readline()\n"
        "for _ in range(150): millrace.track('during')\n"
        "millrace.flush(60)\n"
    )
    process = start(code)
    assert process.stdout.readline() == "sent\n"
    reached = threading.Event()
    server.faults.append(lambda *given: (reached.set(), holds(release)(*given))[1])
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert reached.wait(30)

    process.kill()
    process.communicate()
    release.set()
    server.close()

    types = [event["event_type"] for event in stored()]
    assert types.count("before") == 20
    # The first hundred were on their way: the server has them all or none, and the rest is lost.
    assert types.count("during") in (0, 100)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_starts_empty_and_both_send_their_own(start, stored) -> None:
    code = (
        "import os\n"
        "for _ in range(30): millrace.track('note', {'who': 'parent'})\n"
        "child = os.fork()\n"
        "who = 'parent' if child else 'child'\n"
        "if not child: assert millrace.stats().tracked == 0, millrace.stats()\n"
        "for _ in range(20): millrace.track('note', {'who': who})\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )

    output, errors = start(code).communicate(timeout=30)

    assert (output, errors) == ("", "")
    by = [event["properties"]["who"] for event in stored()]
    assert (by.count("parent"), by.count("child")) == (50, 20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_shares_no_connection_of_a_session(start, server, stored) -> None:
    pytest.importorskip("requests")
    code = (
        "import os, requests\n"
        "millrace.session = requests.Session()\n"
        "millrace.track('note'); assert millrace.flush()\n"
        "child = os.fork()\n"
        "millrace.track('note'); assert millrace.flush()\n"
        "if not child: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "millrace.track('note'); assert millrace.flush()\n"
        "millrace.session.close()\n"
    )

    _, errors = start(code).communicate(timeout=60)

    assert errors == ""
    assert len(stored()) == 4
    used = Counter(seen.peer for seen in server.seen)
    assert sorted(used.values()) == [1, 3]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_sends_what_waits_when_it_ends(
    method, start, stored, tmp_path
) -> None:
    """Such children end without running what atexit knows; Celery's are of the same kind."""
    module = tmp_path / "shop.py"
    module.write_text(
        "import os, millrace_client as millrace\n"
        "def tell(who):\n"
        "    millrace.host, millrace.write_key = os.environ['HOST'], os.environ['KEY']\n"
        "    millrace.linger_s = 60\n"
        "    for _ in range(5): millrace.track('note', {'who': who})\n"
    )
    code = (
        "import multiprocessing, os\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "os.environ['PYTHONPATH'] += os.pathsep + sys.path[0]\n"
        "os.environ['HOST'], os.environ['KEY'] = millrace.host, millrace.write_key\n"
        "import shop\n"
        "if __name__ == '__main__':\n"
        "    shop.tell('parent')\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    children = [context.Process(target=shop.tell, args=('child',)) for _ in range(2)]\n"
        "    for child in children: child.start()\n"
        "    for child in children: child.join(); assert child.exitcode == 0\n"
    )

    _, errors = start(code).communicate(timeout=60)

    assert errors == ""
    by = [event["properties"]["who"] for event in stored()]
    assert (by.count("parent"), by.count("child")) == (5, 10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_celerys_pool_sends_what_waits_when_it_ends(start, stored) -> None:
    code = (
        "import billiard\n"
        "def tell():\n"
        "    for _ in range(5): millrace.track('note', {'who': 'child'})\n"
        "millrace.track('note', {'who': 'parent'})\n"
        "child = billiard.Process(target=tell)\n"
        "child.start(); child.join()\n"
    )

    start(code).communicate(timeout=60)

    by = [event["properties"]["who"] for event in stored()]
    assert (by.count("parent"), by.count("child")) == (1, 5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forks_while_all_threads_track_hang_nobody(start, stored) -> None:
    """Some thread holds the queue's lock at the time of nearly every fork."""
    code = (
        "import os, threading, time\n"
        "millrace.linger_s = 0\n"
        "go = True\n"
        "def run():\n"
        "    while go: millrace.track('note', {'who': 'parent'}); time.sleep(0)\n"
        "threads = [threading.Thread(target=run) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for number in range(10):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        millrace.track('note', {'who': 'child'})\n"
        "        os._exit(0 if millrace.flush() and millrace.stats().sent == 1 else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "go = False\n"
        "for thread in threads: thread.join()\n"
        "millrace.flush()\n"
        "print(millrace.stats().sent, millrace.stats().queued)\n"
    )
    process = start(code)

    output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    sent, queued = map(int, output.split())
    by = [event["properties"]["who"] for event in stored()]
    assert (by.count("parent"), by.count("child"), queued) == (sent, 10, 0)


def test_a_process_stopped_by_its_supervisor_sends_what_waits(start, stored) -> None:
    """SIGTERM ends a Python process at once, unless the application handles it, as servers do."""
    code = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "for _ in range(5): millrace.track('note')\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    process = start(code)
    assert process.stdout.readline() == "ready\n"

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert len(stored()) == 5


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_signal_handler_may_track_at_any_moment(start, stored) -> None:
    """It runs in the main thread, which may be in the middle of the queue just then."""
    code = (
        "import signal\n"
        "told = []\n"
        "def handle(*_):\n"
        "    told.append(millrace.track('note', {'who': 'handler'}))\n"
        "    if len(told) < 300: signal.setitimer(signal.ITIMER_REAL, 0.0002)\n"
        "signal.signal(signal.SIGALRM, handle)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0002)\n"
        "mine = 0\n"
        "while len(told) < 300:\n"
        "    millrace.track('note', {'who': 'main'}); mine += 1\n"
        "    if mine % 500 == 0: millrace.flush(60)\n"
        "assert millrace.flush(60)\n"
        "assert millrace.stats().sent == mine + 300, millrace.stats()\n"
    )

    _, errors = start(code).communicate(timeout=60)

    assert errors == ""
    assert sum(event["properties"]["who"] == "handler" for event in stored()) == 300


PYTHONS = [sys.executable, *sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python"))]


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: Path(path).parts[-3])
def test_what_is_told_when_the_interpreter_ends_is_sent_without_waiting(
    python, start, stored
) -> None:
    """From Python 3.12 on no thread can be started then."""
    code = (
        "import atexit, time\n"
        "def end():\n"
        "    began = time.monotonic()\n"
        "    millrace.track('note')\n"
        "    millrace.flush(20)\n"
        "    assert time.monotonic() - began < 15\n"
        "atexit.register(end)\n"
    )

    _, errors = start(code, str(python)).communicate(timeout=60)

    assert errors == ""
    assert len(stored()) == 1


def test_the_client_runs_on_the_oldest_python_it_promises(start, stored) -> None:
    python = Path.home() / ".pyenv" / "versions" / "3.9.18" / "bin" / "python"
    if not python.exists():
        pytest.skip("no Python 3.9 on this machine")
    code = (
        "from decimal import Decimal\n"
        "items = [{'product_id': 'p1', 'quantity': 3, 'price': Decimal('19.99')}]\n"
        "millrace.track_purchase('o1', items, user_id='u1')\n"
        "assert millrace.flush()\n"
        "import json; print(json.dumps(millrace.stats().__dict__))\n"
    )

    output, errors = start(code, str(python)).communicate(timeout=30)

    assert errors == ""
    assert Stats(**json.loads(output)) == Stats(sent=1)
    assert stored()[0]["items"] == [
        {"product_id": "p1", "quantity": 3, "price": 19.99, "value": 59.97}
    ]
