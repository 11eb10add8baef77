"""Case 10, the spool itself: limits, full disks, torn files, several processes, and its content after random histories."""

from __future__ import annotations

import os
import random
import resource
import shutil
import threading
import time
from contextlib import contextmanager

import pytest
from otlp_receiver import Reply

from otel_ml._export.answers import Answer
from otel_ml._export.ledger import Book, Ledger
from otel_ml._telemetry.delivery._replay import Replay
from otel_ml._telemetry.delivery._spool import Spool
from otel_ml._telemetry.delivery._spool_file import Kept, Torn, is_empty, read
from otel_ml.config import ConfigError

DOWN = dict.fromkeys(("traces", "logs", "metrics"), Reply(503))


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


def test_an_outage_loses_nothing(make_service, receiver, folder, figure):
    """Records that could not be sent are on disk, in flight in the ledger, and delivered once when the receiver is back."""
    receiver.default = dict(DOWN)
    service = make_service(spool_dir=str(folder))
    service.predict(300)
    assert service.flush() is False
    down = service.ledger()
    receiver.default = {}
    service.predict()
    service.flush()
    wait_until(lambda: service.ledger().in_flight == service.ledger("logs").in_flight == 0)

    assert down == Ledger(300, 0, 0, {}, 300, 300)
    assert service.ledger() == service.ledger("logs") == Ledger(301, 301)
    assert service.balanced()
    assert receiver.duplicates() == 0
    assert list(folder.rglob("*.otlp")) == []
    figure(10, mode="outage with a spool", lost=0, duplicated=0)


def test_cumulative_metrics_are_not_spooled(make_service, receiver, folder):
    """Cumulative metrics are not spooled: they stay in flight until the next export carries the totals."""
    receiver.default = dict(DOWN)
    service = make_service(spool_dir=str(folder), timeout=0.3)
    service.flush()

    account = service.ledger("metrics")
    assert account == Ledger(account.produced, in_flight=account.produced)


def test_the_limit_holds_and_the_excess_is_counted(make_service, receiver, folder):
    """A full spool refuses more; the rest waits in memory as without a spool."""
    receiver.default = dict(DOWN)
    service = make_service(spool_dir=str(folder), spool_size=60_000)
    for _ in range(20):
        service.predict(100)
        service.engine.flush_records(time.monotonic() + 10)

    sizes = sum(path.stat().st_size for path in folder.rglob("*.otlp"))
    both = [service.ledger("traces"), service.ledger("logs")]
    assert 0 < sizes <= 60_000
    assert [(one.dropped, one.in_flight) for one in both] == [({}, 2000)] * 2
    assert sum(one.spooled for one in both) >= 100
    assert service.balanced()


@contextmanager
def full_disk():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_counted_and_never_raised(folder, caplog):
    """A full disk leaves no partial file and gives one log line; the spool works again afterwards."""
    spool = Spool(str(folder), limit=10**6)
    with full_disk():
        kept = [spool.keep("traces", 5, b"x" * 1000) for _ in range(3)]
    again = spool.keep("traces", 5, b"x" * 1000)

    assert (kept, again) == ([False] * 3, True)
    assert len(list(folder.rglob("*.*"))) == 1
    assert sum("cannot be written" in record.getMessage() for record in caplog.records) == 1
    spool.close()


def test_a_removed_folder_is_created_again_and_its_content_is_counted(make_service, receiver, folder):
    """When the spool folder is removed under a running service its content counts as dropped, and later records are kept."""
    receiver.default = dict(DOWN)
    service = make_service(spool_dir=str(folder))
    service.predict(10)
    service.flush()
    shutil.rmtree(folder)
    service.predict(5)
    service.flush()
    service.end()

    assert service.ledger() == Ledger(15, 0, 0, {"retry_exhausted": 10}, 5, 5)
    assert len(list(folder.rglob("*-traces-5.otlp"))) == 1


def test_a_folder_that_cannot_be_created_is_named_at_once(make_service, tmp_path):
    """A wrong path fails before any traffic, and the message names the variable."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="OTEL_ML_SPOOL_DIR"):
        make_service(spool_dir=str(tmp_path / "file" / "spool"))


def test_no_torn_file_is_taken_for_a_whole_one(folder):
    """A file cut at any length or with any byte changed is never a valid request; its name gives the lost count."""
    spool = Spool(str(folder), limit=10**6)
    spool.keep("logs", 7, b"the request")
    path = spool.list_requests()[0]
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))] + [whole + b"x"]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]

    assert read(path) == Kept("logs", 7, b"the request")
    for content in damaged:
        path.write_bytes(content)
        assert read(path) == Torn("logs", 7)
    spool.close()


def test_a_shutdown_leaves_unsent_requests_to_the_next_process(make_service, receiver, folder):
    """The next process on the folder enters those records in its own ledger and delivers them once."""
    receiver.default = dict(DOWN)
    first = make_service(spool_dir=str(folder))
    first.predict(50)
    first.end()
    left = first.ledger()
    receiver.default = {}
    second = make_service(spool_dir=str(folder))
    wait_until(lambda: second.ledger().delivered == second.ledger("logs").delivered == 50)

    assert left == Ledger(50, 0, 0, {}, 50, 50)
    assert second.ledger() == Ledger(50, 50)
    assert receiver.duplicates() == 0


def test_two_processes_on_one_folder_replay_everything_once(run, receiver, folder, tmp_path, figure):
    """Orphaned requests are taken by exactly one of the processes that see them."""
    for number in range(6):
        spool = Spool(str(folder), limit=10**8)
        for index in range(20):
            spool.keep("traces", 1, request(number * 100 + index + 1))
        spool.close()
    settings = {"OTEL_ML_SPOOL_DIR": folder, "COUNT": tmp_path / "count", "SECONDS": 1}
    programs = [run("script.py", "return", **settings) for _ in range(2)]
    programs += [run("script.py", "replay", **settings) for _ in range(2)]
    for program in programs:
        assert program.wait() == 0, program.output

    ids = [span.span_id for span in receiver.spans() if span.name == "kept"]
    left = len(list(folder.rglob("*.otlp")))
    assert len(ids) == len(set(ids))
    assert len(ids) + left == 120
    assert left == 0
    figure(10, mode="four processes on one spool", duplicated=len(ids) - len(set(ids)), lost=left)


def test_a_request_in_flight_is_decided_before_the_exit(folder):
    """A shutdown during a replay waits for the answer, so that the request is not replayed again."""
    posting, answered = threading.Event(), threading.Event()

    class Slow:
        endpoint = "http://receiver"

        def post(self, body, timeout):
            posting.set()
            return Answer("accepted") if answered.wait(timeout) else Answer("retry")

        def close(self):
            answered.is_set() or pytest.fail("it was cut")

    spool = Spool(str(folder), limit=10**6)
    spool.keep("traces", 3, b"the request")
    book = Book()
    book.produce(3)
    book.spool(3)
    replay = Replay(spool, {"traces": book})
    replay.serve("traces", Slow(), 30.0)
    replay.start()
    posting.wait(10)
    threading.Timer(0.1, answered.set).start()
    replay.stop(time.monotonic() + 10)

    assert book.read() == Ledger(3, 3)
    assert list(folder.rglob("*.otlp")) == []


def request(number):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add()
    span.name, span.span_id, span.trace_id = "kept", number.to_bytes(8, "big"), number.to_bytes(16, "big")
    return message.SerializeToString()


def test_a_living_processes_requests_are_left_alone(folder):
    """Only the process that kept a request replays it while that process runs."""
    mine, others = Spool(str(folder), limit=10**6), Spool(str(folder), limit=10**6)
    others.keep("traces", 1, b"theirs")
    before = mine.list_requests()
    others.close()
    after = [read(path) for path in mine.list_requests()]

    assert (before, after) == ([], [Kept("traces", 1, b"theirs")])
    mine.close()


def test_a_folder_whose_lock_is_a_link_is_left_alone(folder, tmp_path):
    """Another user of a shared spool folder may have planted it: neither the link's target nor the folder is touched."""
    planted = folder / "planted"
    planted.mkdir(parents=True)
    target = tmp_path / "target"
    target.write_text("theirs")
    (planted / "lock").symlink_to(target)
    crashed = Spool(str(folder), limit=10**6)
    crashed.keep("traces", 1, b"request")
    (request,) = crashed.list_requests()
    request.rename(planted / request.name)
    spool = Spool(str(folder), limit=10**6)

    assert spool.list_requests() == []
    assert (planted / request.name).exists()
    spool.close()
    crashed.close()


def test_a_forked_child_has_a_folder_of_its_own(folder):
    """A forked child neither replays nor frees the parent's requests; after its exit its own requests are orphans."""
    parent = Spool(str(folder), limit=10**6)
    parent.keep("traces", 1, b"parent")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            parent.reset_after_fork()
            status = 0 if parent.list_requests() == [] and parent.keep("traces", 2, b"child") else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    other = Spool(str(folder), limit=10**6)

    assert [read(path) for path in other.list_requests()] == [Kept("traces", 2, b"child")]
    assert [read(path) for path in parent.list_requests()] == [Kept("traces", 1, b"parent")]
    other.close()
    parent.close()


@pytest.mark.parametrize("seed", range(20))
def test_any_history_leaves_the_spool_like_the_model(folder, seed):
    """Random writes, removals, damage, crashes and restarts agree with a model that is a dictionary."""
    dice = random.Random(seed)
    spool, model, torn = Spool(str(folder), limit=4_000), {}, 0
    for step in range(120):
        action = dice.choice(["keep", "keep", "keep", "forget", "tear", "restart", "crash"])
        waiting = spool.list_requests()
        if action == "keep":
            body = dice.randbytes(dice.randrange(400))
            used = sum(path.stat().st_size for path in waiting)
            fits = used + 17 + len(body) <= 4_000
            assert spool.keep("traces", step, body) is fits
            if fits:
                model[step] = body
        elif action == "forget" and waiting:
            content = read(waiting[0])
            spool.remove(waiting[0])
            if isinstance(content, Kept):
                assert model.pop(content.records) == content.body
            else:
                torn -= 1
        elif action == "tear" and waiting:
            path = dice.choice(waiting)
            content = read(path)
            if isinstance(content, Kept):
                path.write_bytes(path.read_bytes()[: dice.randrange(17)])
                del model[content.records]
                torn += 1
        elif action == "restart":
            spool.close()
            spool = Spool(str(folder), limit=4_000)
        elif action == "crash":
            spool.reset_after_fork()  # like a crash: locks are released, files stay
            spool = Spool(str(folder), limit=4_000)
    contents = [read(path) for path in spool.list_requests()]

    assert {one.records: one.body for one in contents if isinstance(one, Kept)} == model
    assert sum(isinstance(one, Torn) for one in contents) == torn
    spool.close()


class Receiving:
    """A transport in memory that accepts requests up to a size and spans up to a number, then stops answering."""

    endpoint = "http://receiver"

    def __init__(self, limit, until=10**9, meanwhile=lambda: None):
        self.limit, self.until, self.meanwhile = limit, until, meanwhile
        self.sizes, self.spans = [], []

    def post(self, body, timeout):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.meanwhile()
        self.sizes.append(len(body))
        if len(body) > self.limit:
            return Answer("too_large")
        message = ExportTraceServiceRequest.FromString(body)
        found = [span.name for of in message.resource_spans for scope in of.scope_spans for span in scope.spans]
        if len(self.spans) + len(found) > self.until:
            return Answer("retry")
        self.spans += found
        return Answer("accepted")

    def close(self):
        pass


def spans(*names):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest()
    of = message.resource_spans.add()
    of.resource.attributes.add(key="service.name").value.string_value = "s"
    scope = of.scope_spans.add()
    for name in names:
        scope.spans.add(name=name, span_id=b"12345678")
    return message.SerializeToString()


def kept_before(folder, count, body):
    """Writes what an earlier process left."""
    spool = Spool(str(folder), limit=10**7)
    assert spool.keep("traces", count, body)
    spool.close()


def replaying(folder, receiving, *, own=()):
    spool, book = Spool(str(folder), limit=10**7), Book()
    replay = Replay(spool, {"traces": book})
    replay.serve("traces", receiving, 30.0)
    for count, body in own:
        book.produce(count)
        assert replay.keep("traces", count, body)
    replay.start()
    return replay, book


@pytest.mark.parametrize("own", [True, False], ids=["own", "another process's"])
def test_a_kept_request_that_is_too_large_is_split(folder, own):
    """As without a spool, it is halved until the receiver accepts it; only a record that fails alone is too large."""
    names = [f"span {number:04d}" for number in range(40)]
    body = spans(*names[:7], "x" * 3_000, *names[7:])
    if not own:
        kept_before(folder, 41, body)
    receiving = Receiving(400)
    replay, book = replaying(folder, receiving, own=[(41, body)] if own else [])
    wait_until(lambda: book.read().delivered == 40 and not book.read().in_flight)
    replay.stop(time.monotonic() + 10)

    assert receiving.spans == names
    assert book.read() == Ledger(41, 40, 0, {"too_large": 1})
    assert list(folder.rglob("*.otlp")) == []


def test_an_outage_in_the_middle_of_a_split_loses_and_repeats_nothing(folder):
    """Decided parts stay decided; the rest is on disk, and the next process delivers it."""
    names = [f"span {number:04d}" for number in range(40)]
    first, second = Receiving(400, until=15), Receiving(400)
    replay, book = replaying(folder, first, own=[(40, spans(*names))])
    wait_until(lambda: book.read().delivered > 5)
    replay.stop(time.monotonic() + 10)
    before = book.read()
    replay, book = replaying(folder, second)
    wait_until(lambda: book.read().delivered + before.delivered == 40)
    replay.stop(time.monotonic() + 10)

    assert before == Ledger(40, before.delivered, 0, {}, 40 - before.delivered, 40 - before.delivered)
    assert sorted(first.spans + second.spans) == names
    assert list(folder.rglob("*.otlp")) == []


def test_what_is_too_large_and_no_request_of_ours_is_counted(folder):
    """A body that cannot be split is dropped as a whole."""
    replay, book = replaying(folder, Receiving(3), own=[(7, b"no request")])
    wait_until(lambda: not book.read().in_flight)
    replay.stop(time.monotonic() + 10)

    assert book.read() == Ledger(7, 0, 0, {"too_large": 7})


def test_a_full_disk_keeps_the_whole_request(folder):
    """A request that cannot be written in two parts stays as it is."""
    spool = Spool(str(folder), limit=10**6)
    spool.keep("traces", 2, b"x" * 1000)
    (path,) = spool.list_requests()
    with full_disk():
        pieces = spool.replace(path, [Kept("traces", 1, b"x"), Kept("traces", 1, b"x" * 500)])

    assert pieces == []
    assert spool.list_requests() == [path]
    assert [one.name for one in path.parent.iterdir() if one.name != "lock"] == [path.name]
    spool.close()


def test_a_file_that_vanishes_while_sizes_are_added_refuses_nothing(folder):
    """A file may vanish at any moment, since others replay it: a vanished file takes no space."""
    spool = Spool(str(folder), limit=10**6)
    spool.keep("traces", 1, b"x")
    (spool.list_requests()[0].parent / "gone.otlp").symlink_to("nowhere")

    assert spool.keep("traces", 1, b"x") is True
    spool.close()


def test_a_file_that_is_removed_while_it_is_sent_is_counted_once(folder):
    """The answer decides: the request is delivered, and not counted as lost too."""
    receiving = Receiving(10**6, meanwhile=lambda: shutil.rmtree(folder))
    replay, book = replaying(folder, receiving, own=[(2, spans("a", "b"))])
    wait_until(lambda: not book.read().in_flight)
    replay.stop(time.monotonic() + 10)

    assert book.read() == Ledger(2, 2)


def test_a_removed_file_is_counted_as_lost_by_the_exit(folder):
    """A removed file is counted as lost by the exit, even if the receiver never answers."""
    replay, book = replaying(folder, Receiving(10**6, until=0), own=[(2, spans("a", "b")), (1, spans("c"))])
    next(folder.rglob("*-2.otlp")).unlink()
    replay.stop(time.monotonic() + 10)

    assert book.read() == Ledger(3, 0, 0, {"retry_exhausted": 2}, 1, 1)


def test_a_name_in_our_own_folder_counts_only_if_it_is_ours(folder):
    """Our own files are known: a torn one counts what was kept, whatever its name says, and unknown names count nothing."""
    spool, book = Spool(str(folder), limit=10**7), Book()
    replay = Replay(spool, {"traces": book})
    replay.serve("traces", Receiving(10**6), 30.0)
    book.produce(5)
    assert spool.keep("traces", 5, b"x")
    book.spool(5)
    (path,) = spool.list_requests()
    path.write_bytes(b"torn")
    (path.parent / "99-1-traces-99999999999.otlp").write_bytes(b"torn")
    (path.parent / "x.otlp").write_bytes(b"")
    replay.start()
    wait_until(lambda: not spool.list_requests())
    replay.stop(time.monotonic() + 10)

    assert book.read() == Ledger(5, 0, 0, {"invalid": 5})


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path):
    """A folder that cannot be listed is kept: removing it as empty would delete its content."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.otlp").write_bytes(b"")
    (tmp_path / "empty").mkdir()

    assert [is_empty(tmp_path / name) for name in ("file", "full", "empty", "none")] == [False, False, True, True]
