"""A limit that several groups share is near when all of them together use it up.

dotnet/runtime#113193 (a group's own usage beside the limit of its parent), kubernetes/enhancements#6180 (a container that is
killed for its pod's limit), KimMachineGun/automemlimit#31 and VictoriaMetrics/VictoriaMetrics#699 (a limit higher up),
podman-container-tools/podman#12403 (systemd moves the container's processes into groups below it).
"""

from __future__ import annotations

import pytest

from otel_ml.resource_sampler import ContainerSource

GIB = 1 << 30
NAMES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "total_rss"),
    2: ("memory.max", "memory.current", "", "anon"),
}


@pytest.fixture
def memory(tree):
    """A function that returns limit and available memory of a container in a pod, each group given as limit, usage and cache."""

    def read(version, pod, container):
        limit_file, usage_file, prefix, resident = NAMES[version]
        limits = [limit for limit, *_ in (pod, container) if limit]
        top = "sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory"
        kind = "cgroup2 cgroup rw" if version == 2 else "cgroup cgroup rw,memory"
        tree.write("proc/self/cgroup", "0::/pod/app\n" if version == 2 else "4:memory:/pod/app\n")
        tree.write("proc/self/mountinfo", f"36 35 0:27 / /{top} rw - {kind}\n")
        for folder, group in (("pod", pod), ("pod/app", container)):
            if version == 2:
                tree.write(f"{top}/{folder}/cgroup.type", "domain\n")
            if group:
                limit, usage, cache = group
                unlimited = "max" if version == 2 else str((1 << 63) - 4096)
                tree.write(f"{top}/{folder}/{limit_file}", f"{limit or unlimited}\n")
                tree.write(f"{top}/{folder}/{usage_file}", f"{usage}\n")
                hierarchical = f"hierarchical_memory_limit {min(limits, default=(1 << 63) - 4096)}\n"
                figures = {"inactive_file": cache, "pgfault": 1, "pgmajfault": 0}
                lines = "".join(f"{prefix}{name} {figure}\n" for name, figure in figures.items())
                tree.write(
                    f"{top}/{folder}/memory.stat", f"{resident} 1\n{lines}{hierarchical if version == 1 else ''}"
                )
        report = ContainerSource(proc=tree.proc, root=tree.root).read()
        values = {reading.metric.name: reading.value for reading in report.readings}
        return values.get("otelml.container.memory.limit"), values.get("container.memory.available")

    return read


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("pod", "container", "expected"),
    [
        pytest.param((2 * GIB, 2 * GIB - 9, 5), (0, GIB, 1), (2 * GIB, 14), id="the pod's limit, and a full pod"),
        pytest.param((2 * GIB, 2 * GIB - 9, 5), (GIB, 4, 1), (GIB, 14), id="both limits, and a full pod"),
        pytest.param((2 * GIB, GIB, 0), (GIB, GIB - 9, 5), (GIB, 14), id="both limits, and a full container"),
        pytest.param((2 * GIB, 3 * GIB, 5), (0, GIB, 1), (2 * GIB, 0), id="a limit that was lowered below the usage"),
        pytest.param((2 * GIB, 3, 5), (0, 0, 0), (2 * GIB, 2 * GIB), id="a cache that grew after the usage was read"),
        pytest.param((0, 2 * GIB, 5), (GIB, 4, 1), (GIB, GIB - 3), id="a pod without a limit"),
        pytest.param((0, 2 * GIB, 5), (0, 4, 1), (None, None), id="no limit"),
    ],
)
def test_what_is_available_is_the_least_up_the_tree(memory, version, pod, container, expected):
    """A sidecar, or the other services of a slice, can use up what this container still could have."""
    assert memory(version, pod, container) == expected


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_above_whose_usage_cannot_be_read_counts_by_its_limit(memory, tree, version):
    """Then what this container uses itself is subtracted from the limit."""
    pod = (2 * GIB, GIB, 0)
    memory(version, pod, (0, GIB, 1))
    folder = "sys/fs/cgroup/pod" if version == 2 else "sys/fs/cgroup/memory/pod"
    (tree.root / folder / NAMES[version][1]).unlink()
    report = ContainerSource(proc=tree.proc, root=tree.root).read()
    values = {reading.metric.name: reading.value for reading in report.readings}
    assert values["container.memory.available"] == GIB + 1
    assert "container.memory.usage" in values
