from __future__ import annotations

import logging
import threading
import time

import pytest
from nvml_fixtures import A, B, rows_of, xids

from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._xid_events import MAX_CODES, XidCounts


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "otel-ml-nvml-events"]


def counts_of(source):
    """The XID counts that are not 0."""
    rows = rows_of(source.read(), "hw.errors")
    return {(row[2]["hw.id"], row[2]["error.type"]): row[1] for row in rows if "xid" in row[2]["error.type"] and row[1]}


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "otel_ml")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "otel_ml"]


def test_operator_codes_start_at_zero(driver, gpus):
    """Codes for operators start at 0, so that `increase` sees the first event."""
    driver.at(30)
    rows = [row for row in rows_of(gpus().read(), "hw.errors") if "xid" in row[2]["error.type"]]
    assert rows == [*xids(*A), *xids(*B)]


def test_each_event_is_counted_by_gpu_and_code_and_logged(driver, gpus, lines, caplog):
    """Two equal codes in a row are two; a code that needs an operator is an error, the others are warnings."""
    driver.load("40 - 0 event 8 79", "41 - 1 event 8 31", "42 - 1 event 8 31")
    source = gpus(poll=0.01)
    driver.at(30)
    source.read()
    driver.at(43)
    wait_for(lambda: len(counts_of(source)) == 2 and sum(counts_of(source).values()) == 3)
    assert counts_of(source) == {("GPU-a", "xid_79"): 1, ("GPU-b", "xid_31"): 2}
    assert lines() == [
        ("ERROR", "otel-ml: XID 79 on GPU GPU-a"),
        ("WARNING", "otel-ml: XID 31 on GPU GPU-b"),
    ]
    record = caplog.records[0]
    assert (getattr(record, "hw.id"), getattr(record, "error.type")) == ("GPU-a", "xid_79")


def test_an_event_is_seen_between_two_ticks(driver, gpus, lines):
    """The log says it at once, whatever the interval of the sampler."""
    driver.load("40 - 0 event 8 119")
    source = gpus(poll=0.01)
    driver.at(30)
    source.read()
    driver.at(41)
    wait_for(lambda: lines() == [("ERROR", "otel-ml: XID 119 on GPU GPU-a")])


def test_a_storm_of_one_code_is_one_line_a_minute_and_a_full_count(lines):
    """Thousands of events of one code are all counted, with one line a minute."""
    now = [0.0]
    counts = XidCounts(lambda: now[0])
    counts.expect(DeviceIdentity("GPU-a", "GPU 0", "H100"))
    for _ in range(1000):
        counts.add("GPU-a", 45)
    now[0] = 61.0
    counts.add("GPU-a", 45)
    by_code = {reading.attributes["error.type"]: reading.value for reading in counts.readings()}
    assert by_code["xid_45"] == 1001
    assert lines() == [
        ("WARNING", "otel-ml: XID 45 on GPU GPU-a"),
        ("WARNING", "otel-ml: XID 45 on GPU GPU-a (999 more of them since the last line)"),
    ]


def test_codes_beyond_the_cap_are_counted_together():
    """Cardinality is bounded whatever the driver says, and no event is lost."""
    counts = XidCounts(lambda: 0.0)
    counts.expect(DeviceIdentity("GPU-a", "GPU 0", "H100"))
    for code in range(200, 300):
        counts.add("GPU-a", code)
    readings = list(counts.readings())
    assert len(readings) == MAX_CODES + 1
    assert sum(reading.value for reading in readings) == 100


def test_the_watch_does_not_end_with_an_error(driver, gpus):
    """After an error it pauses longer, logs nothing, and continues."""
    driver.load("40 60 * return nvmlEventSetWait_v2 999", "50 - 0 event 8 74")
    source = gpus(poll=0.01, slow=1e6)
    driver.at(30)
    source.read()
    driver.at(45)
    wait_for(lambda: driver.calls("nvmlEventSetWait_v2") > 3)
    driver.at(61)
    wait_for(lambda: counts_of(source) == {("GPU-a", "xid_74"): 1})


def test_a_failed_set_is_made_again_at_the_next_slow_tick(driver, gpus):
    """One lost GPU in it must not keep the others' events away; there is never more than one set."""
    driver.load("40 50 * return nvmlEventSetWait_v2 15", "40 - 0 return * 15", "75 - 1 event 8 95")
    source = gpus(poll=0.01)
    driver.at(30)
    source.read()
    driver.at(45)
    wait_for(lambda: source._driver._watcher.has_failed)
    for second in (50, 60, 70):
        driver.at(second)
        source.read()
    driver.at(76)
    wait_for(lambda: counts_of(source) == {("GPU-b", "xid_95"): 1})
    assert len(watchers()) == 1
    assert driver.held == (1, 1, 0)


def test_counts_outlive_the_driver(driver, gpus):
    """Counts continue from their last values when the driver is back."""
    driver.load(
        "40 - 0 event 8 48",
        "45 75 * return nvmlInitWithFlags 9",
        "45 75 * return nvmlDeviceGetFieldValues 9",
        "110 - 0 event 8 48",
    )
    source = gpus(poll=0.01)
    driver.at(30)
    source.read()
    driver.at(41)
    wait_for(lambda: counts_of(source))
    seen = []
    for second in (50, 60, 80, 100):
        driver.at(second)
        seen.append(counts_of(source))
    driver.at(111)
    wait_for(lambda: counts_of(source) == {("GPU-a", "xid_48"): 2})
    assert seen == [{("GPU-a", "xid_48"): 1}] * 4


def test_a_gpu_without_events_has_no_event_thread(driver, gpus):
    """No thread is started for it."""
    driver.load("0 - * value events 0")
    source = gpus()
    driver.at(30)
    source.read()
    assert watchers() == []


@pytest.mark.parametrize(
    "function", ["nvmlEventSetCreate", "nvmlDeviceGetSupportedEventTypes", "nvmlDeviceRegisterEvents"]
)
@pytest.mark.parametrize("code", [3, 4, 999])
def test_events_that_cannot_be_had_cost_no_figure(driver, gpus, function, code):
    """All other readings are complete."""
    driver.load(f"0 - * return {function} {code}")
    source = gpus()
    driver.at(30)
    assert len(rows_of(source.read(), "hw.energy")) == 2
    assert watchers() == []


def test_the_thread_ends_with_the_source(driver, gpus):
    """The event set is freed after the thread has ended, never before."""
    source = gpus(poll=0.01)
    driver.at(30)
    source.read()
    assert len(watchers()) == 1
    source.close()
    assert (watchers(), driver.held, driver.after_shutdown) == ([], (0, 0, 0), 0)


def test_a_thread_that_is_held_in_a_call_keeps_its_set(driver, gpus, monkeypatch):
    """Freeing it or shutting the library down under the call would be a crash."""
    driver.load("0 - * delay nvmlEventSetWait_v2 1000000000")
    monkeypatch.setattr("otel_ml.resource_sampler.gpu._xid_events.STOP_SECONDS", 0.05)
    driver.may_hold = (1, 1, 0)
    source = gpus(poll=0.01)
    driver.at(30)
    source.read()
    wait_for(lambda: driver.calls("nvmlEventSetWait_v2") == 1)
    source.close()
    assert driver.held == (1, 1, 0)
    assert driver.calls("nvmlShutdown") == 0
    driver.release()
    wait_for(lambda: watchers() == [])
