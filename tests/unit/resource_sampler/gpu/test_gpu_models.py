from __future__ import annotations

import gc
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from nvml_fixtures import rows_of

from otel_ml.resource_sampler.gpu import _model_memory
from otel_ml.resource_sampler.gpu._model_memory import MAX_MODELS, allocated, loaded_models, model_memory


class Cuda:
    """As torch.cuda, with an allocator that a test fills."""

    def __init__(self, *uuids, is_initialized=True):
        self.uuids = uuids
        self.is_initialized_ = is_initialized
        self.held = dict.fromkeys(range(len(uuids)), 0)

    def is_initialized(self):
        return self.is_initialized_

    def device_count(self):
        assert self.is_initialized_, "this would make a context"
        return len(self.uuids)

    def get_device_properties(self, number):
        return SimpleNamespace(**({"uuid": self.uuids[number]} if self.uuids[number] else {}))

    def memory_allocated(self, number):
        return self.held[number]

    def memory_reserved(self, number):
        return 2 * self.held[number]


class Weights:
    """A loaded model."""


@pytest.fixture
def cuda(monkeypatch):
    """A torch in this process; GPU-b of the driver is its device 0."""
    cuda = Cuda("b", "a")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    yield cuda
    _model_memory._MODELS.clear()


def load(cuda, name, version, size, number=0):
    with model_memory(name, version) as memory:
        cuda.held[number] += size
    return memory


def models_of(report):
    return {
        (row[2]["hw.id"], row[2]["ml.model.name"], row[2]["ml.model.version"]): row[1]
        for row in rows_of(report, "otelml.model.gpu.memory.usage")
    }


def test_models_have_the_memory_that_loading_them_took(cuda, driver, gpus):
    """Memory is reported by GPU and model; the share of the process is the allocator's figure."""
    load(cuda, "fraud", "1", 100)
    load(cuda, "churn", "2", 40, number=1)
    driver.at(30)
    report = gpus().read()
    assert models_of(report) == {("GPU-b", "fraud", "1"): 100, ("GPU-a", "churn", "2"): 40}
    shares = {
        (row[2]["hw.id"], row[2]["otelml.gpu.attribution.method"]): row[1]
        for row in rows_of(report, "otelml.process.gpu.memory.usage")
    }
    assert shares == {("GPU-b", "framework"): 200, ("GPU-a", "framework"): 80}


def test_a_model_that_is_loaded_again_replaces_its_figure(cuda):
    """The same name and version are one series."""
    load(cuda, "fraud", "1", 100)
    load(cuda, "fraud", "1", 70)
    assert [memory.by_device for memory in loaded_models()] == [{0: 70}]


def test_a_model_that_is_collected_has_no_figure(cuda):
    """The model is held weakly."""
    model = Weights()
    load(cuda, "fraud", "1", 100).belongs_to(model)
    assert len(loaded_models()) == 1
    del model
    gc.collect()
    assert loaded_models() == []


def test_a_model_that_is_released_has_no_figure(cuda):
    """`release` is for objects without weak references."""
    memory = load(cuda, "fraud", "1", 100)
    memory.belongs_to(7)
    memory.release()
    assert loaded_models() == []


def test_more_than_is_allocated_now_is_not_reported(cuda, driver, gpus):
    """Some model was freed unseen, and it is unknown which."""
    load(cuda, "fraud", "1", 100)
    cuda.held[0] = 50
    driver.at(30)
    assert models_of(gpus().read()) == {}


def test_models_are_bounded(cuda):
    """Beyond the limit the oldest models are dropped."""
    for number in range(MAX_MODELS + 3):
        load(cuda, "fraud", str(number), 1)
    assert [memory.version for memory in loaded_models()] == [str(number) for number in range(3, MAX_MODELS + 3)]


def test_the_services_error_passes_through(cuda):
    """A load that fails has no figure."""
    with pytest.raises(KeyError), model_memory("fraud", "1"):
        raise KeyError
    assert loaded_models() == []


def test_cuda_that_was_not_started_is_not_started_by_us(monkeypatch):
    """No CUDA context is created, since it costs hundreds of megabytes."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda("a", is_initialized=False)))
    assert allocated() == []


@pytest.mark.parametrize(
    "torch", [None, SimpleNamespace(), SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: 1 // 0))]
)
def test_a_missing_or_other_framework_has_no_figures(monkeypatch, torch):
    """A module named torch that is another object gives no figures."""
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert allocated() == []


def test_torch_is_not_imported_by_us():
    """It is used only if the service imported it already."""
    code = (
        "import sys\n"
        "from otel_ml.resource_sampler import GpuSource\n"
        "GpuSource().read()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_no_models(cuda):
    """CUDA does not survive a fork, and the lock may have been held."""
    load(cuda, "fraud", "1", 100)
    with _model_memory._lock:
        pid = os.fork()
        if pid == 0:
            os._exit(len(loaded_models()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(loaded_models()) == 1
