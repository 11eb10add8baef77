"""The Collector's own reading of the host, under our names: the real receiver beside our sampler."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from pipeline_servers import ROOT, Backend, collector_environment, eventually, running_collector

from otel_ml import semconv
from otel_ml.resource_sampler import HostSource, ProcessSource, Reading

CONFIGS = ("agent.yaml", "host_metrics_transform.yaml")
TREE = ROOT / "tests" / "data" / "proc_node"
Series = tuple[str, tuple[tuple[str, Any], ...]]


def series_of(messages: Iterable[Message]) -> dict[Series, tuple[str, str, float]]:
    """Returns instrument, unit and last value of every series of the receiver, without the Collector's own."""
    found: dict[Series, tuple[str, str, float]] = {}
    for message in messages:
        for resource in message.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name.startswith(("otelcol", "go.", "rpc", "http")):
                        continue
                    data = getattr(metric, metric.WhichOneof("data"))
                    kind = "gauge"
                    if metric.WhichOneof("data") == "sum":
                        kind = "counter" if data.is_monotonic else "updowncounter"
                    for point in data.data_points:
                        key = (
                            metric.name,
                            tuple(sorted((each.key, each.value.string_value) for each in point.attributes)),
                        )
                        found[key] = (kind, metric.unit, getattr(point, point.WhichOneof("value")))
    return found


def ours(readings: Iterable[Reading]) -> dict[Series, tuple[str, str, float]]:
    return {
        (metric.name, tuple(sorted(attributes.items()))): (metric.instrument, metric.unit, value)
        for metric, value, attributes in readings
    }


@contextmanager
def receiving(otelcol: Path, backend: Backend, folder: Path, **settings: str):
    """Runs the real receiver with the transform, once a second."""
    environment = collector_environment(backend.address, folder, OTELCOL_HOST_INTERVAL="1s", **settings)
    with running_collector(otelcol, environment, folder, CONFIGS):
        yield


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Builds a root with the recorded /proc, as mounted in a Collector's container."""
    root = tmp_path / "root"
    shutil.copytree(TREE, root / "proc")
    shutil.copytree(TREE / "sys", root / "sys")
    (root / "proc" / "1").mkdir()
    for folder in ("1", "self"):
        shutil.copytree(TREE / "net", root / "proc" / folder / "net")
    return root


@pytest.mark.parametrize("part", ["cpu", "memory", "paging", "disk", "network"])
def test_one_recorded_machine_gives_the_same_figures_either_way(
    otelcol: Path, backend: Backend, tmp_path: Path, tree: Path, part: str
) -> None:
    """After the transform the receiver has every series of ours: name, kind, unit, attributes and value."""
    expected = ours(HostSource(host_root=tree, parts=(part,)).read().readings)
    # the receiver reads these from its own machine, whatever the root
    live = {semconv.SYSTEM_CPU_LOGICAL_COUNT.name, semconv.SYSTEM_PAGING_USAGE.name}
    expected = {key: value for key, value in expected.items() if key[0] not in live}
    prefix = {"memory": "system.memory.", "paging": "system.paging."}.get(part, f"system.{part}.")
    with receiving(otelcol, backend, tmp_path, OTELCOL_HOST_ROOT=str(tree)):

        def actual() -> dict[Series, tuple[str, str, float]]:
            received = series_of(backend.received("/metrics"))
            return {key: value for key, value in received.items() if key[0].startswith(prefix) and key[0] not in live}

        found = eventually(actual)
    assert {key: value[:2] for key, value in found.items()} == {key: value[:2] for key, value in expected.items()}
    # the receiver adds up the CPUs, each truncated to whole ticks
    tick = 0.02 if part == "cpu" else 1e-9
    assert {key: value[2] for key, value in found.items()} == pytest.approx(
        {key: value[2] for key, value in expected.items()}, rel=1e-9, abs=tick
    )


REAL_DISKS = ["sda", "nvme0n1", "xvda", "mmcblk0", "nbd0", "dasda", "cciss/c0d0", "nvme1c0n1"]
OTHER_DISKS = [
    "sda1",
    "nvme0n1p2",
    "xvda1",
    "mmcblk0p1",
    "nbd0p1",
    "dasda1",
    "cciss/c0d0p1",
    "loop0",
    "zram0",
    "dm-3",
    "md127",
]
OTHER_DISKS += ["zd16", "zd16p1", "bcache0", "drbd1", "sr0"]
REAL_INTERFACES = ["eth0", "ens5", "enp3s0f0np0", "eno1", "enX0", "wlan0", "ib0", "usb0", "lan-public", "em1", "p1p1"]
OTHER_INTERFACES = [
    "bond0",
    "team0",
    "eth0.100",
    "bond0.7",
    "vlan10",
    "br0",
    "br-4f2a",
    "vmbr0",
    "docker0",
    "podman0",
    "lxdbr0",
]
OTHER_INTERFACES += [
    "veth12ab",
    "cali1a2b",
    "cilium_host",
    "flannel.1",
    "vxlan.calico",
    "genev_sys_6081",
    "eni0a1b2c3d4e5",
]
OTHER_INTERFACES += [
    "wg0",
    "tun0",
    "tap3",
    "tailscale0",
    "ifb0",
    "dummy0",
    "tunl0",
    "sit0",
    "kube-ipvs0",
    "azv12",
    "ovs-system",
]


def test_each_disk_and_interface_is_counted_once(otelcol: Path, backend: Backend, tmp_path: Path, tree: Path) -> None:
    """What has hardware behind it is there; what carries the same bytes again is not (netdata/netdata#18384)."""
    row = " 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"
    table = "head\nhead\n" + "".join(f"{name}:{row}" for name in [*REAL_INTERFACES, *OTHER_INTERFACES, "lo"])
    for folder in ("proc/1/net/dev", "proc/self/net/dev", "proc/net/dev"):
        (tree / folder).write_text(table)
    disks = "".join(f"8 0 {name} 1 0 2 3 4 0 5 6 0 7 8\n" for name in [*REAL_DISKS, *OTHER_DISKS])
    (tree / "proc" / "diskstats").write_text(disks)
    with receiving(otelcol, backend, tmp_path, OTELCOL_HOST_ROOT=str(tree)):

        def actual() -> dict[str, set[object]] | None:
            found: dict[str, set[object]] = {}
            for name, attributes in series_of(backend.received("/metrics")):
                tags = dict(attributes)
                device = tags.get("system.device.name") or tags.get("network.interface.name")
                found.setdefault(name, set()).add(device)
            return found if {"system.disk.io", "system.network.io"} <= found.keys() else None

        found = eventually(actual)
    assert found["system.disk.io"] == set(REAL_DISKS)
    assert found["system.network.io"] == set(REAL_INTERFACES)


def test_this_machine_has_the_same_series_either_way(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """Names, kinds, units and attributes of host, process and file systems agree, and there are no others."""
    host = HostSource().read().readings
    process = [
        reading
        for reading in ProcessSource(os.getpid()).read().readings
        if not reading.metric.name.startswith(semconv.SCOPE.replace("_", ""))
    ]
    pressure = semconv.PRESSURE_STALL_TIME.name
    expected = {key: value[:2] for key, value in ours([*host, *process]).items() if key[0] != pressure}
    if len(Path("/proc/swaps").read_text().splitlines()) < 2:
        # without swap we report 0 bytes from /proc/meminfo, the receiver reports no device
        expected = {key: value for key, value in expected.items() if key[0] != semconv.SYSTEM_PAGING_USAGE.name}
    with receiving(otelcol, backend, tmp_path, OTELCOL_HOST_PROCESS=otelcol.name):

        def actual() -> dict[Series, tuple[str, str]] | None:
            found = {key: value[:2] for key, value in series_of(backend.received("/metrics")).items()}
            return found if any(name == "process.uptime" for name, _ in found) else None

        found = eventually(actual)
    # only the receiver reports context switches of another process: those of its main thread
    switches = semconv.PROCESS_CONTEXT_SWITCHES.name
    assert {key: value for key, value in found.items() if key[0] != switches} == expected
    assert {dict(key[1])[semconv.PROCESS_CONTEXT_SWITCH_TYPE] for key in found if key[0] == switches} == {
        "voluntary",
        "involuntary",
    }


def test_swap_of_several_devices_is_one_figure(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """Swap devices are added up as in /proc/meminfo, where `used` includes `cached`; simulated, since not every machine has swap."""
    overlay = tmp_path / "fed.yaml"
    overlay.write_text("service: {pipelines: {metrics/host_metrics: {receivers: [otlp]}}}")
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="system.paging.usage", unit="By")
    metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for device, states in (("/dev/a", {"used": 10, "free": 90, "cached": 4}), ("/dev/b", {"used": 5, "free": 45})):
        for state, size in states.items():
            point = metric.sum.data_points.add(as_int=size)
            for key, value in (("device", device), ("state", state)):
                point.attributes.add(key=key).value.string_value = value
    environment = collector_environment(backend.address, tmp_path)
    with running_collector(otelcol, environment, tmp_path, [*CONFIGS, str(overlay)]) as running:
        assert running.send("/v1/metrics", request) == 200

        def mapped() -> dict[Series, tuple[str, str, float]]:
            # the agent's own pipeline passes the simulated data unchanged
            received = series_of(backend.received("/metrics"))
            return {key: value for key, value in received.items() if "system.paging.state" in dict(key[1])}

        found = eventually(mapped)
    name = semconv.SYSTEM_PAGING_USAGE.name
    assert found == {
        (name, (("system.paging.state", "used"),)): ("updowncounter", "By", 15),
        (name, (("system.paging.state", "free"),)): ("updowncounter", "By", 135),
    }


def test_no_command_line_leaves(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """No command line is exported, since arguments may hold secrets; the resource names the service instead."""
    with receiving(otelcol, backend, tmp_path, OTELCOL_HOST_PROCESS=otelcol.name, OTELCOL_HOST_NAME="node-7"):

        def resources() -> list[dict[str, str]]:
            found = [
                {each.key: each.value.string_value for each in resource.resource.attributes}
                for message in backend.received("/metrics")
                for resource in message.resource_metrics
            ]
            return [each for each in found if "process.pid" in each]

        found = eventually(resources)
    assert {each["service.name"] for each in found} == {"otel-ml-sampler"}
    assert {each["service.instance.id"] for each in found} == {"node-7"}
    assert not [key for each in found for key in each if "command" in key]
