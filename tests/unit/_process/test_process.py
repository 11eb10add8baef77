"""What happens at a fork and when a thread starts, in real children."""

import gc
import os
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from otel_ml import _guard, _process
from otel_ml._process import forks

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _own_hooks(monkeypatch):
    """Hooks of these tests end with them, and those of the package do not disturb them."""
    monkeypatch.setattr(forks, "_hooks", [])
    monkeypatch.setattr(forks, "_held", [])


def child_says(answer):
    """What a forked child answers, as text."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, repr(answer()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text


def test_hooks_run_in_the_child_only_and_in_the_order_of_registration():
    """A room that was registered first is reset first; the parent keeps what it has."""
    ran = []
    for number in range(3):
        _process.in_child("test.fork", lambda number=number: ran.append(number))
    assert child_says(lambda: ran) == "[0, 1, 2]"
    assert ran == []


def test_a_hook_that_fails_is_counted_and_the_next_ones_run():
    """Each hook has a guard of its own, so a failing room does not affect the others."""
    ran = []

    def fail():
        raise ValueError

    _process.in_child("test.fork", fail)
    _process.in_child("test.other", lambda: ran.append("next"))
    assert child_says(lambda: (ran, _guard.counts())) == "(['next'], {'test.fork': 1})"


def test_the_childs_guard_starts_empty_and_with_a_free_lock():
    """Another thread of the parent may hold the guard's lock at the fork, and the parent's errors are its own."""
    _guard.report("test.parent", ValueError())
    is_held, may_go = threading.Event(), threading.Event()

    def hold():
        with _guard._lock:
            is_held.set()
            may_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    try:
        _process.in_child("test.fork", lambda: 1 / 0)
        assert child_says(_guard.counts) == "{'test.fork': 1}"
    finally:
        may_go.set()
        thread.join()
        _guard.reset()


def test_a_bound_method_does_not_keep_its_object_alive():
    """Objects come and go; the hook of one that was collected is forgotten."""
    ran = []

    class Room:
        def __init__(self, name):
            self.name = name

        def reset_after_fork(self):
            ran.append(self.name)

    kept, gone = Room("kept"), Room("gone")
    _process.in_child("test.fork", gone.reset_after_fork)
    _process.in_child("test.fork", kept.reset_after_fork)
    del gone
    gc.collect()
    assert child_says(lambda: ran) == "['kept']"
    _process.in_child("test.fork", kept.reset_after_fork)
    assert len(forks._hooks) == 2


def test_no_hook_is_forgotten_when_threads_register_at_once():
    """Objects with hooks are made by any thread, while hooks of others end."""

    class Room:
        def reset_after_fork(self):
            pass

    def register():
        for _ in range(100):
            _process.in_child("test.gone", Room().reset_after_fork)
            _process.in_child("test.kept", int)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=register) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [known.where for known in forks._hooks].count("test.kept") == 800


def test_a_lock_held_across_the_fork_is_free_in_both_processes():
    """The fork waits for the thread that has the lock, so that no child sees half a change."""
    lock = threading.RLock()
    changed = []
    _process.hold_at_fork(lock)
    is_held = threading.Event()

    def change():
        with lock:
            is_held.set()
            time.sleep(0.2)
            changed.append("whole")

    thread = threading.Thread(target=change)
    thread.start()
    is_held.wait()
    seen = child_says(lambda: (changed, lock.acquire(timeout=30.0)))
    thread.join()
    assert seen == "(['whole'], True)"
    assert lock.acquire(timeout=30.0)
    lock.release()


def test_locks_are_free_before_the_first_hook_runs():
    """A hook may need what the lock guards."""
    lock = threading.Lock()
    _process.hold_at_fork(lock)
    taken = []
    _process.in_child("test.fork", lambda: taken.append(lock.acquire(timeout=30.0)))
    assert child_says(lambda: taken) == "[True]"


def test_a_thread_is_a_daemon_with_a_name():
    """It does not keep the process from ending, and a debugger shows whose it is."""
    seen = []
    thread = _process.spawn("otel-ml-test", seen.append, "ran")
    thread.join()
    assert (thread.name, thread.daemon, seen) == ("otel-ml-test", True, ["ran"])


def test_a_thread_is_of_the_class_in_force(monkeypatch):
    """gevent replaces the class; a thread of the former one could not be joined."""

    class Replaced(threading.Thread):
        pass

    monkeypatch.setattr(threading, "Thread", Replaced)
    thread = _process.spawn("otel-ml-test", int)
    thread.join()

    assert type(thread) is Replaced


@pytest.mark.parametrize(("module", "lines"), [("eventlet.green.thread", 1), ("gevent.thread", 0)])
def test_threads_that_were_replaced_late_are_one_line(caplog, module, lines):
    """Ours survive gevent only."""

    def get_ident():
        return 0

    get_ident.__module__ = module
    _guard.reset()
    for _ in range(2):
        _process.warn_if_replaced(get_ident)
    _process.warn_if_replaced(threading.get_ident)

    assert [record.getMessage()[:60] for record in caplog.records] == [
        "otel-ml: eventlet replaced the threads of this process after "[:60]
    ] * lines


def test_no_thread_where_the_system_refuses_one():
    """The interpreter refuses threads once it ends, and the system beyond its limit: the caller then does without."""

    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't create new thread at interpreter shutdown")

    assert _process.spawn("otel-ml-test", print, thread=Refused) is None


def test_hooks_run_in_a_child_that_was_forked_in_c():
    """Such a server runs the hooks of the child without those before the fork: a lock that nobody took is no obstacle."""
    ran = []
    _process.hold_at_fork(threading.RLock())
    _process.hold_at_fork(threading.Lock())
    _process.in_child("test.fork", lambda: ran.append("reset"))

    forks._in_child()

    assert ran == ["reset"]


@pytest.mark.parametrize(
    ("worker", "master", "processes", "options", "expected"),
    [
        (0, 7, 1, {"master": True}, True),
        (0, 0, 2, {"processes": b"2"}, True),
        (0, 0, 1, {}, False),
        (1, 7, 2, {"lazy-apps": True}, False),
        (0, 7, 2, {"py-call-osafterfork": True}, False),
        (0, 7, 2, {"py-call-uwsgi-fork-hooks": True}, False),
    ],
)
def test_a_server_that_forks_without_hooks_is_known(worker, master, processes, options, expected):
    """uWSGI runs no hook of Python at its fork, unless it loads the application later or has an option for it."""
    uwsgi = SimpleNamespace(worker_id=lambda: worker, masterpid=lambda: master, numproc=processes, opt=options)

    assert _process.forks_without_hooks({"uwsgi": uwsgi}) is expected


def test_most_processes_are_no_server():
    """Without uWSGI there is nothing to know."""
    assert _process.forks_without_hooks({}) is False
