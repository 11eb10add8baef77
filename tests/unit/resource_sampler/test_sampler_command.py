from __future__ import annotations

import json
import subprocess
import sys

import pytest

from otel_ml import semconv
from otel_ml.cli import main
from otel_ml.cli.sampler import as_json, as_table
from otel_ml.resource_sampler import Gap, Reading, Snapshot, SourceSnapshot

SNAPSHOT = Snapshot(
    (
        SourceSnapshot(
            "host",
            (
                Reading(semconv.SYSTEM_MEMORY_USAGE, 3 * 1024**3, {"system.memory.state": "used"}),
                Reading(semconv.SYSTEM_MEMORY_UTILIZATION, 0.125, {"system.memory.state": "used"}),
                Reading(semconv.SYSTEM_CPU_LOGICAL_COUNT, 2, {}),
            ),
            (),
            0.0005,
        ),
        SourceSnapshot(
            "gpu",
            (Reading(semconv.HW_TEMPERATURE, 54.0, {"hw.id": "GPU-a/temperature"}),),
            (Gap("nvml", "driver", "NVML Shared Library Not Found"),),
            0.001,
        ),
    ),
    0.0015,
)


def test_the_table_shows_what_was_read_what_is_missing_and_how_long_it_took():
    """Values in units for people; a gap with its reason."""
    assert as_table(SNAPSHOT).splitlines() == [
        "SOURCE  METRIC                     VALUE     FROM           ATTRIBUTES",
        "host    system.memory.usage        3 GiB     /proc/meminfo  state=used",
        "host    system.memory.utilization  12.5 %    /proc/meminfo  state=used",
        "host    system.cpu.logical.count   2         /proc/stat",
        "gpu     hw.temperature             54.00 °C  NVML           id=GPU-a/temperature",
        "",
        "SOURCE  MISSING  WHY",
        "gpu     nvml     driver: NVML Shared Library Not Found",
        "",
        "read in 1.50 ms: host 0.50 ms, gpu 1.00 ms",
    ]


def test_json_has_the_same_with_units_and_reasons():
    """Base units, whole attribute names."""
    document = as_json(SNAPSHOT, "node")
    assert document["sources"] == [
        {"source": "host", "duration": 0.0005, "readings": 3},
        {"source": "gpu", "duration": 0.001, "readings": 1},
    ]
    assert document["readings"][0] == {
        "source": "host",
        "metric": "system.memory.usage",
        "value": 3221225472,
        "unit": "By",
        "attributes": {"system.memory.state": "used"},
        "from": "/proc/meminfo",
    }
    assert document["missing"] == [
        {"source": "gpu", "what": "nvml", "kind": "driver", "reason": "NVML Shared Library Not Found"}
    ]


def test_one_reading_of_this_machine_as_json(capsys):
    """What is printed is one JSON document with live readings."""
    assert main(["sampler", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["mode"] == "node"
    assert {"system.cpu.utilization", "process.memory.usage"} <= {row["metric"] for row in document["readings"]}


def test_one_reading_of_this_machine_as_a_table(capsys):
    """The same for people."""
    assert main(["sampler", "--once", "--mode", "process"]) == 0
    assert capsys.readouterr().out.startswith("SOURCE")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--pid", "99999999", "--once"], "otel-ml sampler: pid=99999999: there is no such process here"),
        (["--pid", "99999999"], "otel-ml sampler: pid=99999999: there is no such process here"),
        (
            ["--endpoint", "localhost:4318"],
            (
                "otel-ml sampler: endpoint is 'localhost:4318': use a URL with http:// or https://, "
                "such as http://localhost:4318"
            ),
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, line):
    """Before anything is sent, with what is wrong."""
    code = "import sys; from otel_ml.cli import main; sys.exit(main())"
    finished = subprocess.run(
        [sys.executable, "-c", code, "sampler", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert (finished.returncode, finished.stderr) == (2, line + "\n")


@pytest.mark.parametrize("words", [["--interval", "0"], ["--interval", "often"], ["--mode", "pod"], ["--pid", "x"]])
def test_a_wrong_option_is_refused_by_the_parser(words, capsys):
    """The last line names the option."""
    with pytest.raises(SystemExit) as ended:
        main(["sampler", *words])
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err.splitlines()[-1]


def test_help_has_an_example_and_loads_no_heavy_module():
    """Help is for people who wait."""
    code = (
        "import sys; from otel_ml.cli import main\n"
        "try: main(['sampler', '--help'])\n"
        "finally: print([name for name in ('numpy', 'grpc', 'opentelemetry', 'psutil') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "otel-ml sampler --once" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "[]"
