"""Counters of the kernel that step back, or that cannot be true.

prometheus/node_exporter#742, #1686, #1853, #1903, performancecopilot/pcp#1507 (a CPU that was switched off and
on), influxdata/telegraf#2871 (steal time below 0 becomes 2^64).
"""

from __future__ import annotations

import pytest

from otel_ml.resource_sampler import Gap, HostSource, ResourceSampler

COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def stat(*, btime=1_700_000_000, cpus=1, **ticks):
    """The text of /proc/stat."""
    row = " ".join(str(ticks.get(column, 100)) for column in COLUMNS)
    return "".join([f"cpu  {row} 0 0\n", *(f"cpu{n} {row} 0 0\n" for n in range(cpus)), f"btime {btime}\n"])


@pytest.fixture
def exported(tree):
    """What a sampler exports of one metric after each text of one file of /proc, by the value of an attribute."""

    def run(name, texts, metric, attribute, parts, **options):
        sampler = ResourceSampler(sources=[HostSource(proc=tree.proc, parts=parts, **options)], budget=64)
        rows = []
        for text in texts:
            tree.write(f"proc/{name}", text)
            points = sampler.tick().get(metric, ())
            rows.append({attributes.get(attribute): round(value, 2) for value, attributes in points})
        return rows

    return run


def modes(exported, *texts, parts=("cpu",)):
    return exported("stat", texts, "system.cpu.time", "cpu.mode", parts)


def test_steal_time_that_falls_adds_nothing(exported):
    """A machine that was moved starts with less steal time; what was counted stays, and what follows is added."""
    texts = [stat(steal=ticks, user=100 * n) for n, ticks in enumerate((900_000, 600_000, 400_000, 400_500), 1)]
    rows = modes(exported, *texts)
    assert [row["steal"] for row in rows] == [9000.0, 9000.0, 9000.0, 9005.0]
    assert [row["user"] for row in rows] == [1.0, 2.0, 3.0, 4.0]


def test_time_that_wavers_is_not_counted_twice(exported):
    """Waiting time steps back by some ticks and comes up again: only what is above the highest value is new."""
    rows = modes(exported, *(stat(iowait=ticks, user=100 * n) for n, ticks in enumerate((300, 294, 300, 310), 1)))
    assert [row["iowait"] for row in rows] == [3.0, 3.0, 3.0, 3.1]


def test_a_machine_that_started_again_is_counted_from_zero(exported):
    """The boot time tells it: for a sampler that was frozen and restored, counting continues from the last value."""
    rows = modes(exported, stat(user=50_000, idle=90_000), stat(user=200, idle=300, btime=1_700_009_000))
    assert [(row["user"], row["idle"]) for row in rows] == [(500.0, 900.0), (502.0, 903.0)]


def test_a_clock_that_is_set_is_no_restart(exported):
    """The boot time moves with the clock, while the counters go on."""
    rows = modes(exported, stat(user=50_000), stat(user=50_100, iowait=90, btime=1_700_009_000))
    assert [(row["user"], row["iowait"]) for row in rows] == [(500.0, 1.0), (501.0, 1.0)]


def test_a_time_that_cannot_be_true_is_no_reading(tree, exported):
    """Steal time that fell below 0 is shown by the kernel as 584 years; the other modes are there."""
    rows = modes(exported, stat(steal=1000), stat(steal=1_844_674_407_370), stat(steal=1100))
    assert [row.get("steal") for row in rows] == [10.0, None, 11.0]
    assert [row["user"] for row in rows] == [1.0, 1.0, 1.0]
    tree.write("proc/stat", stat(steal=1_844_674_407_370))
    [gap] = HostSource(proc=tree.proc, parts=("cpu",)).read().gaps
    assert gap == Gap("cpu time steal", "malformed", "18446744074 s, more than there were since boot")


def test_faults_and_pressure_that_fall_add_nothing(tree, exported):
    """The same holds for the other counters of the kernel."""
    tree.write("proc/meminfo", "MemTotal: 10 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    faults = [f"pgpgin 1\npgfault {count}\npgmajfault 0\n" for count in (9000, 4000, 4500)]
    rows = exported("vmstat", faults, "system.paging.faults", "system.paging.fault.type", ("paging",))
    assert [row["minor"] for row in rows] == [9000, 9000, 9500]
    stalls = [f"some avg10=0 avg60=0 avg300=0 total={total}\n" for total in (9_000_000, 4_000_000, 4_500_000)]
    rows = exported("pressure/memory", stalls, "otelml.pressure.stall.time", "otelml.pressure.scope", ("pressure",))
    assert [row["host"] for row in rows] == [9.0, 9.0, 9.5]


def test_a_disk_behind_the_same_name_is_another_one(tree, exported):
    """Devices do start again at 0: a disk that was replaced, a driver that was loaded again."""
    tree.disk("sda", "device")
    texts = [f"8 0 sda 10 0 {sectors} 0 0 0 0 0 0 0 0\n" for sectors in (4000, 2, 6)]
    rows = exported("diskstats", texts, "system.disk.io", "disk.io.direction", ("disk",))
    assert [row["read"] for row in rows] == [4000 * 512, 4002 * 512, 4006 * 512]


def test_cpus_beyond_the_limit_stay_in_the_sum(tree):
    """With 448 CPUs the points of each mode still sum to the whole."""
    row = " 100 0 0 0 0 0 0 0 0 0\n"
    tree.write("proc/stat", "".join([f"cpu  {' 44800 0 0 0 0 0 0 0 0 0'}\n", *(f"cpu{n}{row}" for n in range(448))]))
    report = HostSource(proc=tree.proc, parts=("cpu",), per_cpu=True).read()
    user = [r for r in report.readings if r.attributes.get("cpu.mode") == "user"]
    assert (len(user), sum(r.value for r in user)) == (257, pytest.approx(448.0))
    assert report.gaps == (Gap("cpu", "capped", "192 of 448 CPUs are one sum"),)
