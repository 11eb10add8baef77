"""The table as data: each row names two figures, how they are compared, and the gate and the aim of the design."""

from __future__ import annotations

from collections.abc import Sequence

from verdicts import Figure, Row

LABELS = {
    "bare": "bare",
    "prometheus_client": "prometheus_client decorator",
    "prometheus_client_json": "decorator + JSON line",
    "otel_metrics": "OTel by hand, metrics",
    "otel_everything": "OTel by hand, everything",
    "logfire": "Logfire",
    "ours_metrics": "otel-ml, metrics only",
    "ours_everything": "otel-ml, everything",
    "whylogs_row": "whylogs",
    "whylogs_numbers": "whylogs, frame",
    "whylogs_texts": "whylogs, frame",
    "evidently_drift": "Evidently",
    "contrib_tuned": "contrib tuned",
    "native": "FastAPI native",
    "prometheus_instrumentator": "prometheus-fastapi-instrumentator",
    "otel_sdk": "OTel SDK and OTLP exporters",
    "sampler": "Collector host_metrics",
    "collector": "plain pipeline",
    "front_door": "import otel_ml",
    "service": "import with configure and Model",
    "ours": "otel-ml",
    "ours_http": "otel-ml, no prediction",
    "guest_by_hand": "OTel by hand, the same telemetry",
    "guest_ours": "otel-ml, guest mode",
    "ours_profile": "otel-ml, everything and a profile",
    "ours_metrics_segments": "otel-ml, two segments",
    "ours_metrics_rows": "the same without segments",
    "ours_everything_segments": "otel-ml, everything, two segments",
    "ours_everything_rows": "the same without segments",
    "ours_truth": "otel-ml, everything and ground truth",
    "ours_both": "otel-ml, everything, a profile and ground truth",
    "ours_1_plain": "the same without a profile",
    "ours_1_profiled": "otel-ml, 1 model with a profile",
    "ours_8_plain": "the same without profiles",
    "ours_8_profiled": "otel-ml, 8 models with profiles",
    "sdk": "OTel SDK",
}
EVERYTHING, METRICS, DECORATOR = "ours_everything", "ours_metrics", "prometheus_client"
PROFILE, TRUTH, BOTH = "ours_profile", "ours_truth", "ours_both"
LOGGED, BY_HAND = "prometheus_client_json", "otel_everything"


def _pair(program: str, figure: str, ours: str, peer: str) -> tuple[Figure, Figure]:
    return Figure(program, ours, figure), Figure(program, peer, figure)


def _calls() -> list[Row]:
    """Rows of a prediction called in a loop."""
    wanted: Sequence[tuple[str, str, str, str, str, str, float | None, float | None]] = (
        ("metrics", "metrics only, caller", "alongside", "caller_us", METRICS, DECORATOR, 0.40, 0.32),
        ("metrics", "metrics only, caller", "alongside", "caller_us", METRICS, "otel_metrics", None, None),
        ("idle", "everything, caller, threads idle", "idle", "caller_us", EVERYTHING, DECORATOR, None, None),
        ("idle", "everything, caller, threads idle", "idle", "caller_us", EVERYTHING, BY_HAND, None, None),
        ("caller", "everything, caller, encoding alongside", "alongside", "caller_us", EVERYTHING, DECORATOR, 1.0, 0.7),
        ("caller", "everything, caller, encoding alongside", "alongside", "caller_us", EVERYTHING, BY_HAND, 0.06, 0.03),
        (
            "caller",
            "everything, caller, encoding alongside",
            "alongside",
            "caller_us",
            EVERYTHING,
            "logfire",
            None,
            None,
        ),
        ("cpu", "everything, process CPU with encoding", "alongside", "cpu_us", EVERYTHING, LOGGED, 0.5, 0.3),
        ("cpu", "everything and a profile, process CPU", "alongside", "cpu_us", PROFILE, LOGGED, 0.8, 0.5),
        ("cpu", "everything and ground truth, process CPU", "alongside", "cpu_us", TRUTH, LOGGED, 1.2, 0.7),
        ("cpu", "everything, profile and ground truth, process CPU", "alongside", "cpu_us", BOTH, LOGGED, 1.4, 0.9),
        ("cpu", "everything, process CPU with encoding", "alongside", "cpu_us", EVERYTHING, BY_HAND, 0.06, 0.03),
        ("cpu", "everything, process CPU with encoding", "alongside", "cpu_us", EVERYTHING, "logfire", None, None),
        (
            "total",
            "everything, wall time until it has arrived",
            "alongside",
            "total_us",
            EVERYTHING,
            BY_HAND,
            None,
            None,
        ),
        ("threads", "metrics only, 4 threads, caller", "threads", "caller_us", METRICS, DECORATOR, None, None),
        ("threads", "everything, 4 threads, caller", "threads", "caller_us", EVERYTHING, DECORATOR, None, None),
        ("threads", "everything, 4 threads, caller", "threads", "caller_us", EVERYTHING, BY_HAND, None, None),
        ("threads", "everything, 4 threads, process CPU", "threads", "cpu_us", EVERYTHING, LOGGED, None, None),
        ("threads", "everything, 4 threads, process CPU", "threads", "cpu_us", EVERYTHING, BY_HAND, None, None),
    )
    return [
        Row(key, what, "us", *_pair(program, figure, ours, peer), gate=gate, aim=aim)
        for key, what, program, figure, ours, peer, gate, aim in wanted
    ]


def _segments() -> list[Row]:
    """Rows of a model with two segment columns beside the same model without."""
    return [
        Row(
            "segments",
            f"two segments, {what}, {name}",
            "us",
            *_pair("alongside", figure, f"ours_{kind}_segments", f"ours_{kind}_rows"),
            gate=1.15,
            aim=1.1,
        )
        for kind, what in (("metrics", "metrics only"), ("everything", "everything"))
        for figure, name in (("caller_us", "caller"), ("cpu_us", "process CPU"))
    ]


def _guest() -> list[Row]:
    """Rows of guest mode beside the same telemetry by hand, on one SDK set-up."""
    wanted = (
        ("guest mode, caller", "idle", "caller_us"),
        ("guest mode, process CPU with encoding", "alongside", "cpu_us"),
    )
    return [
        Row("guest", what, "us", *_pair(f"guest-{load}", figure, "guest_ours", "guest_by_hand"), gate=1.0, aim=0.7)
        for what, load, figure in wanted
    ]


def _latency() -> list[Row]:
    """Rows of the latency that a call paced at 2,000 per second adds to the bare function, with a profile."""
    due, began = "from the moment it was due", "from the moment it began"
    wanted: Sequence[tuple[str, str, bool, str, float | None, float | None]] = (
        (f"added at p99, {due}, quietest 2 s", "due_p99_us", True, BY_HAND, 0.3, 0.1),
        (f"added at p99, {began}", "call_p99_us", False, BY_HAND, 0.3, 0.1),
        (f"added at p50, {due}", "due_p50_us", False, BY_HAND, None, None),
        (f"added at p99, {due}", "due_p99_us", False, BY_HAND, None, None),
        (f"added at p99.9, {due}", "due_p999_us", False, BY_HAND, None, None),
        (f"added at p99, {due}, quietest 2 s", "due_p99_us", True, DECORATOR, None, None),
    )
    return [
        Row(
            "latency",
            f"2,000/s: {what}",
            "ms",
            *(Figure("paced", name, figure, is_quietest) for name in (PROFILE, peer)),
            base=Figure("paced", "bare", figure, is_quietest),
            gate=gate,
            aim=aim,
            judged="value",
            scale=0.001,
        )
        for what, figure, is_quietest, peer, gate, aim in wanted
    ]


def _exports() -> list[Row]:
    """Rows of what the export of bins costs, and of what it adds to a call paced at 2,000 per second."""
    added: Sequence[tuple[int, str, str, float, float]] = (
        (1, "due_p999_us", "1 model with a profile, exports every second: added p99.9", 2.0, 0.5),
        (8, "due_p99_us", "8 models with profiles, exports every 2 s: added p99", 0.5, 0.2),
    )
    return [
        Row("export", "bins and checks, export of a data point, CPU", "us", *_pair("export", "point_us", "ours", "sdk"),
            gate=8.0, aim=4.0, judged="value"),
        Row("export", "bins and checks, a line of the scrape page, CPU", "us", *_pair("export", "line_us", "ours", "sdk"),
            gate=8.0, aim=4.0, judged="value"),
        *(
            Row(
                "export",
                f"2,000/s, {what}",
                "ms",
                Figure(f"paced-{models}", f"ours_{models}_profiled", figure, is_quietest=True),
                base=Figure(f"paced-{models}", f"ours_{models}_plain", figure, is_quietest=True),
                gate=gate,
                aim=aim,
                judged="value",
                scale=0.001,
            )
            for models, figure, what, gate, aim in added
        ),
    ]  # fmt: skip


def _requests() -> list[Row]:
    """Rows of a FastAPI request compared with the bare application."""
    wanted: Sequence[tuple[str, str, float | None, float | None]] = (
        ("request_us", "contrib_tuned", 0.15, 0.09),
        ("request_us", "prometheus_instrumentator", None, 1.0),
        ("request_us", "native", None, None),
        ("cpu_us", "contrib_tuned", None, None),
    )
    return [
        Row(
            "fastapi",
            f"FastAPI request over bare, {'process CPU' if figure == 'cpu_us' else 'caller'}",
            "us",
            *_pair("fastapi", figure, "ours", peer),
            base=Figure("fastapi", "bare", figure),
            gate=gate,
            aim=aim,
        )
        for figure, peer, gate, aim in wanted
    ]


def _services() -> list[Row]:
    """Rows of a CPU-bound service at three offered rates; the highest overloads it, and there it may drop."""
    rates: Sequence[tuple[str, float | None]] = (("1k", 0.0), ("5k", 0.0), ("10k", None))
    wanted = (("achieved", "/s", "bare"), ("cpu_percent", "%", "bare"), ("achieved", "/s", BY_HAND))
    names = {"achieved": "achieved", "cpu_percent": "CPU"}
    rows = []
    for rate, gate in rates:
        program, what = f"throughput-{rate}", f"CPU-bound, {rate}/s offered"
        rows += [
            Row("throughput", f"{what}: {names[figure]}", unit, *_pair(program, figure, EVERYTHING, peer))
            for figure, unit, peer in wanted
        ]
        dropped = _pair(program, "dropped_percent", EVERYTHING, BY_HAND)
        rows.append(Row("throughput", f"{what}: dropped", "%", *dropped, gate=gate, judged="value"))
    overload, floor = "throughput-10k", Figure("throughput-10k", "bare", "call_us")
    rows += [
        Row(
            "throughput",
            "CPU-bound, overloaded: added to a call",
            "us",
            *_pair(overload, "call_us", EVERYTHING, peer),
            floor,
        )
        for peer in (DECORATOR, BY_HAND)
    ]
    return rows


def _data() -> list[Row]:
    """Rows of bins, checks and drift."""
    small, large = "drift-100k", "drift-1m"
    return [
        Row("row", "bins and checks, 30 features, one row", "us", *_pair("row", "row_us", "ours_row", "whylogs_row"),
            gate=0.02, aim=0.01, published=502.0),
        Row("drift", "drift of 100k x 30", "s", *_pair(small, "drift_s", "ours_drift", "evidently_drift"), gate=0.02),
        Row("drift", "drift of 1M x 30", "s", *_pair(large, "drift_s", "ours_drift", "evidently_drift"), gate=0.02,
            published=157.0, slow=True),
        Row("drift", "drift, memory above 100k x 30", "MiB", Figure(large, "ours_drift", "peak_mib"),
            base=Figure(small, "ours_drift", "peak_mib"), gate=1.0, judged="value"),
    ]  # fmt: skip


def _batches() -> list[Row]:
    """Rows of frames recorded in batches with a profile."""
    wanted: Sequence[tuple[str, str, str, str, float | None, float | None]] = (
        ("batch-1k", "1,000", "numbers", "30 numbers", 3.0, 1.5),
        ("batch-10k", "10,000", "numbers", "30 numbers", 1.5, 1.0),
        ("batch-100k", "100,000", "numbers", "30 numbers", 1.2, 0.8),
        ("batch-1k", "1,000", "texts", "5 numbers and 5 texts", 4.0, None),
        ("batch-10k", "10,000", "texts", "5 numbers and 5 texts", 4.0, None),
    )
    rows = []
    for program, size, kind, columns, gate, aim in wanted:
        ours, peer = Figure(program, f"ours_{kind}", "cpu_us"), Figure(program, f"whylogs_{kind}", "cpu_us")
        what = f"batches of {size}, {columns}, CPU a row"
        rows.append(Row("batch", what, "us", ours, peer, gate=0.1 if kind == "numbers" else None))
        rows.append(Row("batch", f"{what}, value", "us", ours, gate=gate, aim=aim, judged="value"))
    job = "1,000,000 x 30 in batches of 10,000"
    profiled, stored = (Figure("batch-10k", name, "grown_mib") for name in ("ours_numbers", "ours_stored"))
    cpu = Figure("batch-10k", "ours_stored", "cpu_us")
    return [
        *rows,
        Row("batch", f"{job}: memory", "MiB", profiled, gate=20.0, judged="value"),
        Row("batch", f"{job} into ground truth, CPU a row", "us", cpu, gate=40.0, aim=15.0, judged="value"),
        Row("batch", f"{job} into ground truth: memory", "MiB", stored, gate=20.0, judged="value"),
    ]


def _labels() -> list[Row]:
    """Rows of labels for stored predictions: 50 us are 20,000 a second on one core."""
    sqlite, postgresql = (Figure("labels", name, "cpu_us") for name in ("labels_sqlite", "labels_postgresql"))
    with_server = Figure("labels", "labels_postgresql", "all_cpu_us")
    return [
        Row("labels", "labels of a frame into SQLite, CPU a label", "us", sqlite, gate=50.0, aim=30.0, judged="value"),
        Row("labels", "labels into PostgreSQL, CPU a label", "us", postgresql, gate=50.0, aim=30.0, judged="value"),
        Row("labels", "the same with the server's CPU", "us", with_server),
    ]


def _console() -> list[Row]:
    """Rows of the console at a million predictions: 200 us are 5,000 records a second."""
    wanted: Sequence[tuple[str, str, str, float | None, float | None]] = (
        ("slowest page", "ms", "console_page_ms", 300.0, 100.0),
        ("largest HTML", "KiB", "console_html_kib", 100.0, None),
        ("memory after all pages", "MiB", "console_peak_mib", None, None),
        ("slowest page, 200 models, 500 features, 5,000 series", "ms", "wide_page_ms", 500.0, 300.0),
        ("largest HTML of these", "KiB", "wide_html_kib", 100.0, None),
        ("memory after all of these", "MiB", "wide_peak_mib", None, None),
        ("a span, with as many events at once and a page open", "us", "span_us", 200.0, 100.0),
        ("an event, with as many spans at once and a page open", "us", "event_us", 200.0, 100.0),
        ("a page in the meantime", "ms", "page_while_ingesting_ms", None, None),
        ("memory at most, with what DuckDB has in its own 1,000 MB", "MiB", "peak_mib", 1500.0, None),
        ("records answered and lost by SIGKILL", "", "lost", 0.0, None),
        ("start after it", "s", "start_s", 5.0, 2.0),
        ("a span at the limit of rows, with three pages open", "us", "retention_span_us", 300.0, 200.0),
        ("longest wait of a sender while rows are deleted", "ms", "retention_wait_ms", 5000.0, 1000.0),
    )
    return [
        Row(
            "console",
            f"console, 1M predictions: {what}",
            unit,
            Figure("console", "console", name),
            gate=gate,
            aim=aim,
            judged="value",
        )
        for what, unit, name, gate, aim in wanted
    ]


def _process() -> list[Row]:
    """Rows of import and memory."""
    series, held = "bytes_per_series", "bytes_per_record"
    return [
        Row("import", "import otel_ml", "ms", Figure("import", "front_door", "import_ms"), gate=50.0, aim=35.0,
            judged="value"),
        Row("import", "import with configure and Model", "ms", *_pair("import", "import_ms", "service", "otel_sdk")),
        Row("memory", "memory a time series", "B", *_pair("series", series, METRICS, DECORATOR)),
        Row("memory", "memory a time series", "B", *_pair("series", series, METRICS, "otel_metrics")),
        Row("memory", "memory a waiting prediction", "B", *_pair("record", held, EVERYTHING, BY_HAND)),
    ]  # fmt: skip


def _outages() -> list[Row]:
    """Rows of a service whose receiver is away."""
    away = "receiver away for 60 s at 200/s"
    return [
        Row("lifespan", "TestClient start and end without a receiver, over bare", "s",
            Figure("lifespan", "ours", "lifespan_s"), base=Figure("lifespan", "bare", "lifespan_s"), gate=0.3, aim=0.1,
            judged="value"),
        Row("outage", f"{away}: lost", "", Figure("outage", "outage", "lost"), gate=0.0, judged="value"),
        Row("outage", f"{away}: memory at its end", "MiB", Figure("outage", "outage", "grown_mib")),
    ]  # fmt: skip


def _sampler() -> list[Row]:
    """Rows of the resource sampler beside the Collector's receiver, and of simulated GPUs."""

    def of(path: str) -> Figure:
        return Figure("sampler", "sampler", path)

    ours, theirs = "cost/otel-ml sampler", "cost/host_metrics"
    return [
        Row("sampler", "sampler at 1 s, CPU of a core", "%", of(f"{ours}/cpu"), of(f"{theirs}/cpu"), gate=0.2, scale=100.0),
        Row("sampler", "sampler at 1 s, memory", "MiB", of(f"{ours}/memory"), of(f"{theirs}/memory"), gate=0.9,
            scale=2.0**-20),
        Row("sampler", "sampler, CPU of one tick", "ms", of("tick"), of("pass"), gate=1.0, scale=1000.0,
            beside="raw pass of psutil"),
        Row("sampler", "8 GPUs at 10 s, CPU of a core", "%", Figure("gpu", "gpu", "0/share_of_a_core"), gate=0.1,
            judged="value", scale=100.0),
        Row("sampler", "8 GPUs, driver calls a GPU in a fast tick", "", Figure("gpu", "gpu", "0/calls_per_gpu_fast"),
            gate=3.0, judged="value"),
    ]  # fmt: skip


def _collector() -> list[Row]:
    """Rows of the shipped Collector beside a pipeline without processors, and beside a service at 5,000 predictions a second."""

    def of(path: str) -> Figure:
        return Figure("collector", "collector", path)

    def load(name: str) -> Figure:
        return Figure("collector-load", "collector", name)

    rows = [
        Row("collector", f"Collector, CPU of {what}", "us", of(f"agent.yaml/{signal}"), of(f"plain/{signal}"), gate=gate,
            aim=2.0, beside="plain pipeline")
        for signal, what, gate in (("span", "a span", 2.5), ("event", "an event", 2.2), ("point", "a data point", 2.0))
    ]  # fmt: skip
    return [
        *rows,
        Row("collector", "Collector, idle memory", "MiB", of("agent.yaml/idle_mib"), gate=60.0, judged="value"),
        Row("collector", "5,000/s through the Collector: lost", "", load("lost"), gate=0.0, judged="value"),
        Row("collector", "5,000/s: CPU of the Collector a prediction", "us", load("collector_us"), load("service_us"),
            beside="service"),
    ]  # fmt: skip


_PACED_CPU = Row(
    "latency",
    "2,000/s: CPU of a core, over bare",
    "%",
    *_pair("paced", "cpu_percent", PROFILE, BY_HAND),
    base=Figure("paced", "bare", "cpu_percent"),
)
ROWS = [
    *_process(),
    *_data(),
    *_batches(),
    *_labels(),
    *_console(),
    *_calls(),
    *_segments(),
    *_guest(),
    *_latency(),
    *_exports(),
    _PACED_CPU,
    *_requests(),
    *_services(),
    *_outages(),
    *_sampler(),
    *_collector(),
]
BESIDE: dict[str, tuple[str, ...]] = {
    "alongside": (
        "bare",
        "otel_metrics",
        "logfire",
        METRICS,
        DECORATOR,
        EVERYTHING,
        PROFILE,
        TRUTH,
        BOTH,
        LOGGED,
        BY_HAND,
    ),
    "idle": (DECORATOR, EVERYTHING, BY_HAND),
    "threads": (METRICS, DECORATOR, EVERYTHING, LOGGED, BY_HAND),
    "paced": ("bare", EVERYTHING, PROFILE, DECORATOR, BY_HAND),
    "fastapi": ("native", "prometheus_instrumentator", "bare", "ours", "contrib_tuned", "ours_http"),
    **dict.fromkeys(("throughput-1k", "throughput-5k"), ("bare", EVERYTHING, BY_HAND)),
    "throughput-10k": ("bare", EVERYTHING, DECORATOR, BY_HAND),
}
"""Contenders that always run with a program, so that the figures of all peers are listed side by side; those that a
gate compares run one after the other."""
