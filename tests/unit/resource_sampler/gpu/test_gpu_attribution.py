from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from nvml_fixtures import rows_of

from otel_ml.resource_sampler import Gap
from otel_ml.resource_sampler.gpu._attribution import Attribution
from otel_ml.resource_sampler.gpu._model_memory import Allocated

MIB = 1 << 20
CONTAINER = "c" * 64
OTHER_CONTAINER = "d" * 64


@pytest.fixture
def processes(tmp_path):
    """Makes processes of a /proc: their parent, whether they have CUDA open, their inner ids and control group."""

    def make(pid, *, parent=1, cuda=False, root="proc", inner=None, namespace="pid:[1]", cgroup=""):
        folder = tmp_path / root / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "ns").mkdir()
        (folder / "stat").write_text(f"{pid} (a (b) c) S {parent} 0 0")
        (folder / "status").write_text(f"Name:\tx\nNSpid:\t{' '.join(map(str, inner or [pid]))}\n")
        (folder / "cgroup").write_text(f"0::/kubepods/{cgroup}\n")
        (folder / "ns" / "pid").symlink_to(namespace)
        (folder / "fd" / "0").symlink_to("/dev/null")
        (folder / "fd" / "7").symlink_to("/dev/nvidia-uvm" if cuda else "/dev/nvidiactl")

    return make


@pytest.fixture
def read(driver, gpus):
    """The process figures of one slow tick, and the gaps that say that there are none."""

    def run(*rules, gpu_count=2, seconds=(30,), **settings):
        driver.load(*rules, gpus=gpu_count)
        source = gpus(**settings)
        for second in seconds:
            driver.at(second)
            report = source.read()
        return report

    return run


def used(report):
    """Own memory: (GPU, method, container) -> bytes."""
    return {
        (row[2]["hw.id"], row[2]["otelml.gpu.attribution.method"], row[2].get("container.id")): row[1]
        for row in rows_of(report, "otelml.process.gpu.memory.usage")
    }


def busy(report):
    """Own utilization: (GPU, method) -> share."""
    rows = rows_of(report, "otelml.process.gpu.utilization")
    return {(row[2]["hw.id"], row[2]["otelml.gpu.attribution.method"]): row[1] for row in rows}


def counted(report):
    """Processes of GPU-a by owner."""
    rows = rows_of(report, "otelml.gpu.process.count")
    return {row[2]["otelml.gpu.process.owner"]: row[1] for row in rows if row[2]["hw.id"] == "GPU-a"}


def test_a_process_that_the_driver_names_has_its_memory_and_its_share(processes, read):
    """Method pid: the id is ours, and CUDA is open."""
    processes(500, cuda=True)
    processes(900, cuda=True)
    report = read(f"0 - 0 process 500 {300 * MIB}", f"0 - 0 process 900 {MIB}", "0 - 0 busy 500 40", pid=500)
    assert used(report) == {("GPU-a", "pid", None): 300 * MIB}
    assert busy(report) == {("GPU-a", "pid"): 0.4}
    assert counted(report) == {"self": 1, "other": 1}


def test_children_belong_to_the_process(processes, read):
    """The GPU of a worker counts for the process that started it."""
    processes(500)
    processes(501, parent=500, cuda=True)
    processes(502, parent=501, cuda=True)
    report = read(
        f"0 - 0 process 501 {2 * MIB}",
        f"0 - 0 process 502 {3 * MIB}",
        "0 - 0 busy 501 30",
        "0 - 0 busy 502 90",
        pid=500,
    )
    assert used(report) == {("GPU-a", "pid", None): 5 * MIB}
    assert busy(report) == {("GPU-a", "pid"): 1.0}


def test_the_first_process_of_a_container_has_children_too(processes, read):
    """Id 1 in a container is treated as any other process."""
    processes(1, parent=0)
    processes(8, parent=1, cuda=True)
    assert used(read(f"0 - 0 process 8 {MIB}", pid=1)) == {("GPU-a", "pid", None): MIB}


def test_a_process_that_is_found_by_its_name_has_its_share_while_it_lives(processes, driver, gpus):
    """Its id changes with every restart; while there is no such process there is no share."""
    processes(500, cuda=True)
    processes(501, cuda=True)
    ids = [500]
    driver.load(f"0 - 0 process 500 {MIB}", f"0 - 0 process 501 {2 * MIB}")
    source = gpus(pid=lambda: ids[0])
    seen = []
    for second, ids[0] in ((30, 500), (60, None), (90, 501)):
        driver.at(second)
        seen.append(used(source.read()))
    assert seen == [{("GPU-a", "pid", None): MIB}, {}, {("GPU-a", "pid", None): 2 * MIB}]


def test_another_processs_number_is_not_taken_for_ours(processes, read):
    """A host's id may be the number of some process here: without CUDA open it is not ours."""
    processes(500)
    report = read(f"0 - 0 process 500 {300 * MIB}", "0 - 0 busy 500 40", pid=500)
    assert (used(report), busy(report)) == ({}, {})
    assert Gap("GPU 0 share of the process", "absent", "no attribution method applies") in report.gaps


@pytest.mark.parametrize("memory", ["0", "-"])
def test_memory_that_a_half_translated_id_gives_is_no_figure(processes, read, memory):
    """The list may show the container's number with memory 0, or "not available"."""
    processes(500, cuda=True)
    report = read(f"0 - 0 process 500 {memory}", pid=500)
    assert used(report) == {}
    assert counted(report) == {"self": 1, "other": 0}


def test_two_lists_of_different_namespaces_are_not_mixed(processes, read):
    """The process list in the container's numbers, the utilization in the host's."""
    processes(324, cuda=True)
    report = read(f"0 - 0 process 324 {MIB}", "0 - 0 busy 645400 80", pid=324)
    assert used(report) == {("GPU-a", "pid", None): MIB}
    assert busy(report) == {}


def test_an_idle_process_among_busy_ones_has_a_share_of_zero(processes, read):
    """The driver leaves out the processes that did nothing; their share is 0."""
    processes(500, cuda=True)
    report = read(f"0 - 0 process 500 {MIB}", f"0 - 0 process 900 {MIB}", "0 - 0 busy 900 80", pid=500)
    assert busy(report) == {("GPU-a", "pid"): 0.0}


@pytest.mark.parametrize("extra", [(), ("0 - * value no_samples_is_success 1",)])
def test_no_samples_at_all_are_no_share(processes, read, extra):
    """Success with nothing, which the binding raises as error 0, and "not found" alike."""
    processes(500, cuda=True)
    report = read(f"0 - 0 process 500 {MIB}", *extra, pid=500)
    assert busy(report) == {}


def test_samples_are_not_counted_twice(processes, read, driver):
    """Each slow tick asks for what came after the newest sample seen."""
    processes(500, cuda=True)
    report = read(f"0 - 0 process 500 {MIB}", "0 35 0 busy 500 40", "35 - 0 busy 500 60", pid=500, seconds=(30, 60))
    assert busy(report) == {("GPU-a", "pid"): 0.6}


@pytest.mark.parametrize("pid", [0, 2**31, 4194305])
def test_garbage_ids_are_refused(processes, read, pid):
    """A driver with another structure returns numbers that no process can have."""
    processes(500, cuda=True)
    report = read(f"0 - 0 process 500 {MIB}", f"0 - 0 process {pid} {MIB}", pid=500)
    assert (used(report), counted(report)) == ({}, {})
    assert Gap("GPU 0 processes", "malformed", "process ids out of range") in report.gaps


def test_garbage_shares_are_refused(processes, read):
    """A share of more than 100 % is refused."""
    processes(500, cuda=True)
    assert busy(read(f"0 - 0 process 500 {MIB}", "0 - 0 busy 500 4000", pid=500)) == {}


def test_the_hosts_proc_leads_from_its_number_to_ours(processes, read, tmp_path):
    """Method host_pid: the inner number and the namespace are ours; the same number of another container is not."""
    processes(7, cuda=True, namespace="pid:[42]")
    processes(64540, root="host", inner=[64540, 7], namespace="pid:[42]")
    processes(70000, root="host", inner=[70000, 7], namespace="pid:[99]")
    processes(64541, root="host", parent=64540, inner=[64541, 8], namespace="pid:[42]")
    report = read(
        f"0 - 0 process 64540 {MIB}",
        f"0 - 0 process 64541 {2 * MIB}",
        f"0 - 0 process 70000 {50 * MIB}",
        "0 - 0 busy 64541 25",
        pid=7,
        host_proc=tmp_path / "host",
    )
    assert used(report) == {("GPU-a", "host_pid", None): 3 * MIB}
    assert busy(report) == {("GPU-a", "host_pid"): 0.25}
    assert counted(report) == {"self": 2, "other": 1}


def test_the_only_gpu_without_other_processes_is_ours_as_an_upper_bound(processes, read):
    """Method exclusive: the list is empty, as in some containers, and CUDA is open."""
    processes(500, cuda=True)
    report = read(gpu_count=1, pid=500)
    allocated = 85899345920 - 64424509440 - 1073741824
    assert used(report) == {("GPU-a", "exclusive", None): allocated}


@pytest.mark.parametrize(
    ("rules", "gpu_count", "cuda"),
    [
        ((f"0 - 0 process 900 {MIB}",), 1, True),
        ((), 2, True),
        ((), 1, False),
        (("0 - 0 return nvmlDeviceGetComputeRunningProcesses_v3 3",), 1, True),
        (("0 - 0 return nvmlDeviceGetMemoryInfo_v2 4",), 1, True),
    ],
)
def test_nothing_is_split_by_guess(processes, read, rules, gpu_count, cuda):
    """With another process, a second GPU, no CUDA, no list or no memory there is no figure."""
    processes(500, cuda=cuda)
    assert used(read(*rules, gpu_count=gpu_count, pid=500)) == {}


def test_a_mig_instance_of_ones_own_is_exclusive(processes, read):
    """A single visible MIG instance, the usual case in a cluster, is attributed as exclusive."""
    processes(500, cuda=True)
    report = read(
        "0 - 0 value mig.mode 1",
        "0 - 0 value mig.most 7",
        "0 - 0:0 value mig 7",
        "0 - 0:0 text uuid MIG-x",
        "0 - 0:0 value memory.total 1000",
        "0 - 0:0 value memory.free 400",
        "0 - 0:0 value memory.reserved 0",
        gpu_count=1,
        pid=500,
    )
    assert used(report) == {("MIG-x", "exclusive", None): 600}


def test_a_cuda_process_that_is_not_found_may_be_any_of_those_listed(processes, read):
    """In this case no process counts as other."""
    processes(500, cuda=True)
    report = read(f"0 - 0 process 64540 {MIB}", f"0 - 0 process 64541 {MIB}", pid=500)
    assert counted(report) == {}


def test_containers_of_a_machine_are_kept_apart(processes, read):
    """The control group decides; a process in no container, or an invisible one, adds to none."""
    processes(10, cuda=True, cgroup=f"pod1/{CONTAINER}")
    processes(11, cuda=True, cgroup=f"pod1/{CONTAINER}")
    processes(12, cuda=True, cgroup=f"cri-containerd-{OTHER_CONTAINER}.scope")
    processes(13, cuda=True, cgroup="system.slice/x")
    report = read(
        *[f"0 - 0 process {pid} {MIB}" for pid in (10, 11, 12, 13, 14)],
        "0 - 0 busy 10 20",
        "0 - 0 busy 11 30",
        "0 - 0 busy 12 10",
        attribution="containers",
    )
    assert used(report) == {("GPU-a", "host_pid", CONTAINER): 2 * MIB, ("GPU-a", "host_pid", OTHER_CONTAINER): MIB}
    shares = {row[2]["container.id"]: row[1] for row in rows_of(report, "otelml.process.gpu.utilization")}
    assert shares == {CONTAINER: 0.5, OTHER_CONTAINER: 0.1}


def test_attribution_that_is_off_asks_for_no_processes(read, driver):
    """The process list, the most expensive call, is not requested."""
    report = read(attribution="off")
    assert (
        driver.calls("nvmlDeviceGetComputeRunningProcesses_v3") == driver.calls("nvmlDeviceGetProcessUtilization") == 0
    )
    assert (used(report), counted(report)) == ({}, {})


@pytest.mark.parametrize(("others", "expected"), [(2000, 1), (3000, 0)])
def test_the_list_of_one_gpu_is_bounded(processes, read, others, expected):
    """If the list is too long, none of its processes is used."""
    processes(500, cuda=True)
    rules = [f"0 - 0 process {pid} 1" for pid in range(1000, 1000 + others)]
    report = read(*rules, f"0 - 0 process 500 {MIB}", pid=500)
    assert len(used(report)) == expected


def test_what_is_remembered_of_processes_is_bounded(processes, tmp_path, monkeypatch):
    """Processes that come and go do not fill the memory."""
    from otel_ml.resource_sampler.gpu import _process_owners

    monkeypatch.setattr(_process_owners, "_MAX_REMEMBERED", 3)
    owners = _process_owners.Owners(500, tmp_path / "proc")
    processes(500, cuda=True)
    for pid in range(600, 620):
        processes(pid, parent=500, cuda=True)
        assert owners.ours([pid]) == ({pid}, "pid")
    assert len(owners._descriptor) <= 3


def test_a_descriptor_that_was_closed_is_looked_for_again(processes, tmp_path):
    """The process may have reopened the device, or closed it."""
    from otel_ml.resource_sampler.gpu._process_owners import Owners

    processes(500, cuda=True)
    owners = Owners(500, tmp_path / "proc")
    folder = tmp_path / "proc" / "500" / "fd"
    seen = [owners.has_device(), owners.has_device()]
    (folder / "7").rename(folder / "9")
    seen.append(owners.has_device())
    (folder / "9").unlink()
    seen.append(owners.has_device())
    assert seen == [True, True, True, False]


def device(uuid):
    from otel_ml.resource_sampler.gpu._device import Device
    from otel_ml.resource_sampler.gpu._identity import DeviceIdentity

    return Device(SimpleNamespace(), DeviceIdentity(uuid, "GPU 0", "H100"), None)


@pytest.mark.parametrize(
    ("held", "devices", "found"),
    [
        ([Allocated(0, "b", 9, 5), Allocated(1, "a", 9, 7)], ["GPU-a", "GPU-b"], {"GPU-b": 5, "GPU-a": 7}),
        ([Allocated(0, "", 9, 5)], ["GPU-a"], {"GPU-a": 5}),
        ([Allocated(0, "", 9, 5)], ["GPU-a", "GPU-b"], {}),
        ([Allocated(0, "x", 9, 5)], ["GPU-a"], {}),
        ([Allocated(0, "a", 9, 5)], ["MIG-a"], {"MIG-a": 5}),
    ],
)
def test_the_frameworks_device_is_found_by_uuid_never_by_number(held, devices, found):
    """Only a single device on both sides needs no UUID."""
    from otel_ml.resource_sampler.gpu import _model_memory
    from otel_ml.resource_sampler.gpu._model_memory import ModelMemory

    attribution = Attribution(SimpleNamespace(), framework=lambda: held)
    memory = ModelMemory("fraud", "1")
    memory.by_device = {one.number: one.allocated for one in held}
    _model_memory._MODELS["fraud", "1"] = memory
    try:
        rows = {r.attributes["hw.id"]: r.value for r in attribution.models([device(uuid) for uuid in devices])}
    finally:
        _model_memory._MODELS.clear()
    assert rows == found


def test_a_sampler_of_another_process_does_not_ask_its_own_framework(driver, gpus):
    """The allocator of this process does not describe another one."""
    attribution = Attribution(SimpleNamespace(), pid=os.getpid() + 1, framework=lambda: 1 // 0)
    assert list(attribution.models([device("GPU-a")])) == []
