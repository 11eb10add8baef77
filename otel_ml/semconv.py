"""Every name that otel-ml emits or reads: metrics, spans, events, attributes and environment variables.

A metric is a row of data: OTel name, instrument, unit (UCUM) and one sentence. Names follow the OpenTelemetry semantic
conventions 1.44 where one exists; ``ml.*`` is the domain of predictive models, for which there is none, and
``otelml.*`` is what belongs to this software. `prometheus_name` gives the form that dashboards and rules use.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Instrument = Literal["counter", "updowncounter", "histogram", "gauge"]


class Metric(NamedTuple):
    """One metric: its OTel name, instrument, unit and what it counts or measures."""

    name: str
    instrument: Instrument
    unit: str
    description: str


SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE: Final = "otel_ml"
"""Instrumentation scope of everything that is emitted through the OTel API."""

# --- predictions -----------------------------------------------------------------------------------------------------

PREDICTIONS: Final = Metric("ml.predictions", "counter", "{prediction}", "Rows predicted.")
PREDICTION_DURATION: Final = Metric(
    "ml.prediction.duration", "histogram", "s", "Duration of finished prediction calls, failed ones too."
)
PREDICTION_ERRORS: Final = Metric("ml.prediction.errors", "counter", "{error}", "Prediction calls that failed.")
PREDICTION_SCORE: Final = Metric("ml.prediction.score", "histogram", "1", "Scores of the predicted rows.")
PREDICTION_ACTIVE: Final = Metric(
    "ml.prediction.active", "updowncounter", "{prediction}", "Prediction calls in flight."
)
PREDICTION_BATCH_SIZE: Final = Metric(
    "ml.prediction.batch.size", "histogram", "{prediction}", "Rows of one batch prediction call."
)
PREDICTION_STAGE_DURATION: Final = Metric(
    "ml.prediction.stage.duration", "histogram", "s", "Duration of the named stages of a prediction."
)
PREDICTION_FIRST_ITEM_DURATION: Final = Metric(
    "ml.prediction.first_item.duration", "histogram", "s", "Time until a streamed prediction yields its first item."
)
MODEL_LOAD_DURATION: Final = Metric("ml.model.load.duration", "histogram", "s", "Duration of loading the model.")
MODEL_LOAD_TIMESTAMP: Final = Metric(
    "ml.model.load.timestamp", "gauge", "s", "When the model was loaded, seconds since the epoch."
)
MODEL_TRAIN_TIMESTAMP: Final = Metric(
    "ml.model.train.timestamp", "gauge", "s", "When the model was trained, seconds since the epoch."
)

# --- inputs ----------------------------------------------------------------------------------------------------------

FEATURE_VALUES: Final = Metric("ml.feature.values", "counter", "{value}", "Values that fell into one bin of a feature.")
FEATURE_MISSING: Final = Metric("ml.feature.missing", "counter", "{value}", "Missing values of a feature.")
FEATURE_REFERENCE_SHARE: Final = Metric(
    "ml.feature.reference.share", "gauge", "1", "Smoothed share of one bin in the training reference."
)
FEATURE_REFERENCE_SIZE: Final = Metric(
    "ml.feature.reference.size", "gauge", "{value}", "Values of the feature in the training reference."
)
DATA_VIOLATIONS: Final = Metric("ml.data.violations", "counter", "{violation}", "Broken rules of the input schema.")
DATA_INVALID_PREDICTIONS: Final = Metric(
    "ml.data.invalid_predictions", "counter", "{prediction}", "Predicted rows with at least one violation."
)

# --- labelled performance (mergeable counts; facts of the joined label) and its estimate ----------------------------

EVAL_OUTCOMES: Final = Metric(
    "ml.eval.outcomes", "counter", "{prediction}", "Labelled predictions by predicted and actual class."
)
EVAL_LABELS: Final = Metric("ml.eval.labels", "counter", "{label}", "Labels by what became of them.")
EVAL_LABEL_LAG: Final = Metric("ml.eval.label.lag", "histogram", "s", "Time from a prediction to its label.")
EVAL_SCORE_BIN_COUNT: Final = Metric(
    "ml.eval.score_bin", "counter", "{prediction}", "Labelled predictions by actual class and score bin."
)
EVAL_ABSOLUTE_ERROR: Final = Metric("ml.eval.absolute_error", "counter", "1", "Sum of absolute errors (regression).")
EVAL_SQUARED_ERROR: Final = Metric("ml.eval.squared_error", "counter", "1", "Sum of squared errors (regression).")
EVAL_PREDICTIONS: Final = Metric("ml.eval.predictions", "counter", "{prediction}", "Labelled predictions (regression).")
ESTIMATE_PREDICTIONS: Final = Metric(
    "ml.estimate.predictions", "counter", "{prediction}", "Predictions that carry a calibrated probability."
)
ESTIMATE_PROBABILITY: Final = Metric(
    "ml.estimate.probability", "counter", "1", "Sum of the calibrated probability of the positive class."
)

# --- resources (conventions 1.44 where there is one; `otelml.*` where there is none) ---------------------------------

SYSTEM_CPU_TIME: Final = Metric("system.cpu.time", "counter", "s", "Seconds that the host's CPUs spent in each mode.")
SYSTEM_CPU_UTILIZATION: Final = Metric(
    "system.cpu.utilization", "gauge", "1", "Share of the host's CPU time since the last reading, by mode."
)
SYSTEM_CPU_LOGICAL_COUNT: Final = Metric(
    "system.cpu.logical.count", "updowncounter", "{cpu}", "Logical CPUs that are online."
)
SYSTEM_MEMORY_USAGE: Final = Metric(
    "system.memory.usage", "updowncounter", "By", "Memory of the host by state; used is total minus available."
)
SYSTEM_MEMORY_UTILIZATION: Final = Metric(
    "system.memory.utilization", "gauge", "1", "Share of the host's memory by state; the states overlap."
)
SYSTEM_MEMORY_LINUX_AVAILABLE: Final = Metric(
    "system.memory.linux.available", "updowncounter", "By", "Memory that can be had without swapping."
)
SYSTEM_PAGING_USAGE: Final = Metric("system.paging.usage", "updowncounter", "By", "Swap space by state.")
SYSTEM_PAGING_FAULTS: Final = Metric("system.paging.faults", "counter", "{fault}", "Page faults of the host by type.")
SYSTEM_DISK_IO: Final = Metric("system.disk.io", "counter", "By", "Bytes read from and written to whole disks.")
SYSTEM_DISK_OPERATIONS: Final = Metric(
    "system.disk.operations", "counter", "{operation}", "Finished reads and writes of whole disks."
)
SYSTEM_DISK_OPERATION_TIME: Final = Metric(
    "system.disk.operation_time", "counter", "s", "Sum of the time that each read and each write took."
)
SYSTEM_DISK_IO_TIME: Final = Metric("system.disk.io_time", "counter", "s", "Time in which the disk was busy.")
SYSTEM_FILESYSTEM_USAGE: Final = Metric(
    "system.filesystem.usage", "updowncounter", "By", "Space of a file system by state; the states sum to its size."
)
SYSTEM_FILESYSTEM_UTILIZATION: Final = Metric(
    "system.filesystem.utilization", "gauge", "1", "Used space over the space that unprivileged users can fill."
)
SYSTEM_NETWORK_IO: Final = Metric("system.network.io", "counter", "By", "Bytes that passed a network interface.")
SYSTEM_NETWORK_ERRORS: Final = Metric("system.network.errors", "counter", "{error}", "Errors of a network interface.")
SYSTEM_NETWORK_PACKET_DROPPED: Final = Metric(
    "system.network.packet.dropped", "counter", "{packet}", "Packets that a network interface dropped."
)
PROCESS_CPU_TIME: Final = Metric("process.cpu.time", "counter", "s", "CPU seconds of the process by mode.")
PROCESS_CPU_UTILIZATION: Final = Metric(
    "process.cpu.utilization", "gauge", "1", "CPU time since the last reading over elapsed time and available CPUs."
)
PROCESS_MEMORY_USAGE: Final = Metric("process.memory.usage", "updowncounter", "By", "Resident memory of the process.")
PROCESS_MEMORY_VIRTUAL: Final = Metric("process.memory.virtual", "updowncounter", "By", "Mapped address space.")
PROCESS_DISK_IO: Final = Metric("process.disk.io", "counter", "By", "Bytes that the process moved from and to storage.")
PROCESS_THREAD_COUNT: Final = Metric("process.thread.count", "updowncounter", "{thread}", "Threads of the process.")
PROCESS_FILE_DESCRIPTOR_COUNT: Final = Metric(
    "process.unix.file_descriptor.count", "updowncounter", "{file_descriptor}", "Open file descriptors."
)
PROCESS_FILE_DESCRIPTOR_LIMIT: Final = Metric(
    "otelml.process.file_descriptor.limit", "updowncounter", "{file_descriptor}", "Soft limit of open descriptors."
)
PROCESS_CONTEXT_SWITCHES: Final = Metric(
    "process.context_switches", "counter", "{context_switch}", "Context switches of all threads of the process by type."
)
PROCESS_PAGING_FAULTS: Final = Metric(
    "process.paging.faults", "counter", "{fault}", "Page faults of the process by type."
)
PROCESS_UPTIME: Final = Metric("process.uptime", "gauge", "s", "Time since the process started.")
PROCESS_MEMORY_PSS: Final = Metric(
    "otelml.process.memory.pss", "updowncounter", "By", "Resident memory, each shared page divided by its users."
)
PROCESS_CHILDREN_COUNT: Final = Metric(
    "otelml.process.children.count", "updowncounter", "{process}", "Living descendants of the process."
)
PROCESS_CHILDREN_CPU_TIME: Final = Metric(
    "otelml.process.children.cpu.time", "counter", "s", "CPU seconds of all descendants, ended ones too, by mode."
)
PROCESS_CHILDREN_MEMORY_USAGE: Final = Metric(
    "otelml.process.children.memory.usage",
    "updowncounter",
    "By",
    "Resident memory of the living descendants; shared pages count once for each.",
)
CPYTHON_GC_COLLECTIONS: Final = Metric(
    "cpython.gc.collections", "counter", "{collection}", "Garbage collections by generation."
)
CPYTHON_GC_COLLECTED_OBJECTS: Final = Metric(
    "cpython.gc.collected_objects", "counter", "{object}", "Objects that garbage collection freed, by generation."
)
CPYTHON_GC_UNCOLLECTABLE_OBJECTS: Final = Metric(
    "cpython.gc.uncollectable_objects", "counter", "{object}", "Objects that could not be freed, by generation."
)
CONTAINER_CPU_TIME: Final = Metric("container.cpu.time", "counter", "s", "CPU seconds of the container by mode.")
CONTAINER_MEMORY_USAGE: Final = Metric(
    "container.memory.usage", "updowncounter", "By", "Memory charged to the container, page cache too."
)
CONTAINER_MEMORY_WORKING_SET: Final = Metric(
    "container.memory.working_set", "updowncounter", "By", "Usage minus inactive file pages, as the kubelet counts."
)
CONTAINER_MEMORY_RSS: Final = Metric(
    "container.memory.rss", "updowncounter", "By", "Anonymous memory of the container."
)
CONTAINER_MEMORY_AVAILABLE: Final = Metric(
    "container.memory.available", "updowncounter", "By", "Memory limit minus working set; absent without a limit."
)
CONTAINER_PAGING_FAULTS: Final = Metric(
    "container.paging.faults", "counter", "{fault}", "Page faults of the container by type."
)
CONTAINER_DISK_IO: Final = Metric(
    "container.disk.io", "counter", "By", "Bytes that the container read from and wrote to block devices."
)
CONTAINER_CPU_LIMIT: Final = Metric(
    "otelml.container.cpu.limit", "updowncounter", "{cpu}", "CPU quota, the smallest up the tree; absent without one."
)
CONTAINER_MEMORY_LIMIT: Final = Metric(
    "otelml.container.memory.limit",
    "updowncounter",
    "By",
    "Memory limit, the smallest up the tree; absent without one.",
)
CONTAINER_CPU_PERIODS: Final = Metric(
    "otelml.container.cpu.periods", "counter", "{period}", "CPU quota periods in which the container wanted to run."
)
CONTAINER_CPU_THROTTLED_PERIODS: Final = Metric(
    "otelml.container.cpu.throttled.periods", "counter", "{period}", "CPU quota periods in which it was held back."
)
CONTAINER_CPU_THROTTLED_TIME: Final = Metric(
    "otelml.container.cpu.throttled.time", "counter", "s", "Time for which the CPU quota held the container back."
)
CONTAINER_MEMORY_OOM_KILLS: Final = Metric(
    "otelml.container.memory.oom_kills",
    "counter",
    "{event}",
    "Processes killed because the container ran out of memory.",
)
PRESSURE_STALL_TIME: Final = Metric(
    "otelml.pressure.stall.time", "counter", "s", "Time in which some or all tasks waited for a resource (PSI)."
)
HW_GPU_UTILIZATION: Final = Metric(
    "hw.gpu.utilization", "gauge", "1", "Share of time in which at least one kernel ran, or the coder was busy."
)
HW_GPU_MEMORY_USAGE: Final = Metric(
    "hw.gpu.memory.usage", "updowncounter", "By", "GPU memory that is not free: allocated plus reserved."
)
HW_GPU_MEMORY_LIMIT: Final = Metric("hw.gpu.memory.limit", "updowncounter", "By", "GPU memory in total.")
HW_GPU_MEMORY_UTILIZATION: Final = Metric("hw.gpu.memory.utilization", "gauge", "1", "GPU memory used over its total.")
HW_POWER: Final = Metric("hw.power", "gauge", "W", "Power that the GPU draws.")
HW_ENERGY: Final = Metric("hw.energy", "counter", "J", "Energy that the GPU consumed.")
HW_TEMPERATURE: Final = Metric("hw.temperature", "gauge", "Cel", "Temperature of a sensor of the GPU.")
HW_STATUS: Final = Metric(
    "hw.status", "updowncounter", "1", "1 for the state that the GPU is in, 0 for the others; failed once it is lost."
)
GPU_POWER_LIMIT: Final = Metric("otelml.gpu.power.limit", "gauge", "W", "Power limit that the driver enforces.")
HW_GPU_IO: Final = Metric("hw.gpu.io", "counter", "By", "Bytes that passed the GPU's PCIe link.")
HW_ERRORS: Final = Metric("hw.errors", "counter", "{error}", "ECC errors, PCIe replays and XID events of the GPU.")
HW_FAN_SPEED_RATIO: Final = Metric(
    "hw.fan.speed_ratio", "gauge", "1", "Intended fan speed over its maximum; may exceed 1."
)
HW_TEMPERATURE_LIMIT: Final = Metric(
    "hw.temperature.limit", "gauge", "Cel", "Temperature at which the GPU slows down or shuts down."
)
GPU_CLOCK_FREQUENCY: Final = Metric("otelml.gpu.clock.frequency", "gauge", "Hz", "Clock of a part of the GPU.")
GPU_THROTTLE_TIME: Final = Metric(
    "otelml.gpu.clock.throttle.time", "counter", "s", "Time in which clocks were held down, by reason; reasons overlap."
)
GPU_THROTTLE_ACTIVE: Final = Metric(
    "otelml.gpu.clock.throttle.active", "updowncounter", "1", "1 while the reason holds clocks down, else 0."
)
GPU_MEMORY_ACTIVITY: Final = Metric(
    "otelml.gpu.memory.activity", "gauge", "1", "Share of the driver's window in which memory was read or written."
)
GPU_REMAPPED_ROWS: Final = Metric("otelml.gpu.memory.remapped_rows", "updowncounter", "{row}", "Remapped memory rows.")
GPU_NVLINK_IO: Final = Metric("otelml.gpu.nvlink.io", "counter", "By", "Bytes that passed all NVLinks of the GPU.")
GPU_SM_ACTIVITY: Final = Metric(
    "otelml.gpu.sm.activity", "gauge", "1", "Share of multiprocessors that were busy (GPM)."
)
GPU_SM_OCCUPANCY: Final = Metric("otelml.gpu.sm.occupancy", "gauge", "1", "Active warps over the most possible (GPM).")
GPU_TENSOR_ACTIVITY: Final = Metric(
    "otelml.gpu.tensor.activity", "gauge", "1", "Share of time with tensor operations (GPM)."
)
GPU_DRAM_ACTIVITY: Final = Metric(
    "otelml.gpu.dram.activity", "gauge", "1", "Memory bandwidth used over its maximum (GPM)."
)
GPU_PROCESS_COUNT: Final = Metric(
    "otelml.gpu.process.count", "updowncounter", "{process}", "Compute processes on the GPU, by owner."
)
PROCESS_GPU_MEMORY_USAGE: Final = Metric(
    "otelml.process.gpu.memory.usage", "updowncounter", "By", "GPU memory of the process, by how that is known."
)
PROCESS_GPU_UTILIZATION: Final = Metric(
    "otelml.process.gpu.utilization", "gauge", "1", "Share of samples in which a kernel of the process ran."
)
MODEL_GPU_MEMORY_USAGE: Final = Metric(
    "otelml.model.gpu.memory.usage", "updowncounter", "By", "GPU memory that the framework allocated for the model."
)
NVML_CALL_DURATION: Final = Metric(
    "otelml.sampler.nvml.call.duration", "histogram", "s", "Duration of calls into the NVIDIA driver library."
)
SAMPLER_LAST_SUCCESS: Final = Metric(
    "otelml.sampler.last_success", "gauge", "s", "When a source was last read with success, seconds since the epoch."
)
SAMPLER_TICK_DURATION: Final = Metric(
    "otelml.sampler.tick.duration", "histogram", "s", "Duration of taking one snapshot of all sources."
)
SAMPLER_ERRORS: Final = Metric(
    "otelml.sampler.collector.errors", "counter", "{error}", "Readings that failed, by source and kind."
)
SAMPLER_OVERRUNS: Final = Metric(
    "otelml.sampler.overruns", "counter", "{tick}", "Ticks that took longer than the interval."
)
SAMPLER_INTERVAL: Final = Metric(
    "otelml.sampler.interval", "gauge", "s", "Seconds between two ticks in force; longer than asked for when stretched."
)
SAMPLER_CPU_TIME: Final = Metric(
    "otelml.sampler.cpu.time", "counter", "s", "CPU seconds that the sampler's ticks have used, on all threads."
)

# --- HTTP server (stable conventions) --------------------------------------------------------------------------------

HTTP_SERVER_REQUEST_DURATION: Final = Metric(
    "http.server.request.duration", "histogram", "s", "Duration of HTTP server requests."
)
HTTP_SERVER_ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests", "updowncounter", "{request}", "HTTP server requests in flight."
)

# --- this software's own health -------------------------------------------------------------------------------------

EXPORT_PRODUCED: Final = Metric("otelml.export.produced", "counter", "{record}", "Records handed to the exporter.")
EXPORT_DELIVERED: Final = Metric("otelml.export.delivered", "counter", "{record}", "Records the first hop accepted.")
EXPORT_REJECTED: Final = Metric("otelml.export.rejected", "counter", "{record}", "Records the first hop refused.")
EXPORT_DROPPED: Final = Metric("otelml.export.dropped", "counter", "{record}", "Records dropped, by reason.")
EXPORT_IN_FLIGHT: Final = Metric("otelml.export.in_flight", "updowncounter", "{record}", "Records not yet decided.")
INTERNAL_ERRORS: Final = Metric(
    "otelml.internal.errors", "counter", "{error}", "Exceptions of otel-ml itself, kept away from the service."
)
UNRECOGNISED_OUTPUTS: Final = Metric(
    "otelml.unrecognised.outputs", "counter", "{prediction}", "Results in which no prediction was recognised."
)

# --- attributes ------------------------------------------------------------------------------------------------------

MODEL_NAME: Final = "ml.model.name"
MODEL_VERSION: Final = "ml.model.version"
MODEL_ROLE: Final = "ml.model.role"
"""``primary``, ``canary`` or ``shadow``."""
PREDICTION_ID: Final = "ml.prediction.id"
PREDICTION_CLASS: Final = "ml.prediction.class"
"""Canonical text of the predicted class."""
PREDICTION_VALUE: Final = "ml.prediction.value"
"""The predicted number of a regression, a double."""
PREDICTION_SCORE_ATTRIBUTE: Final = "ml.prediction.score"
"""The score of one prediction, a double."""
PREDICTION_BATCH_SIZE_ATTRIBUTE: Final = "ml.prediction.batch.size"
PREDICTION_DURATION_ATTRIBUTE: Final = "ml.prediction.duration"
"""Duration of the call in seconds, a double, on the event."""
STAGE_NAME: Final = "ml.stage.name"
PROFILE_ID: Final = "ml.profile.id"
FEATURE_NAME: Final = "ml.feature.name"
FEATURE_BIN: Final = "ml.feature.bin"
RULE_NAME: Final = "ml.rule.name"
"""One of `RULES`."""
EVAL_PREDICTED: Final = "ml.eval.predicted"
EVAL_ACTUAL: Final = "ml.eval.actual"
EVAL_LABEL_STATE: Final = "ml.eval.label.state"
"""``matched``, ``waiting`` (no such prediction yet), ``duplicate`` or ``revised``."""
EVAL_BIN: Final = "ml.eval.bin"
LABEL_VALUE: Final = "ml.label.value"
"""Canonical text of the true class, or the true number as text."""
LABEL_CORRECT: Final = "ml.label.correct"
"""Whether prediction and label agree, a bool; absent for regression."""
EXEMPLAR: Final = "otelml.exemplar"
"""True on a span that an exemplar of a metric points to, so that tail sampling keeps it."""
SIGNAL: Final = "otelml.signal"
"""``traces``, ``metrics`` or ``logs``."""
DROP_REASON: Final = "otelml.drop.reason"
"""One of `DROP_REASONS`."""
ERROR_PLACE: Final = "otelml.error.place"
"""Where in otel-ml an internal error was caught; a closed set."""
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
CLIENT_ADDRESS: Final = "client.address"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
USER_AGENT_ORIGINAL: Final = "user_agent.original"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
CODE_FILE_PATH: Final = "code.file.path"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_LINE_NUMBER: Final = "code.line.number"

# --- attributes of resources ----------------------------------------------------------------------------------------

CPU_MODE: Final = "cpu.mode"
CPU_LOGICAL_NUMBER: Final = "cpu.logical_number"
HOST_NAME: Final = "host.name"
SYSTEM_MEMORY_STATE: Final = "system.memory.state"
SYSTEM_PAGING_STATE: Final = "system.paging.state"
SYSTEM_PAGING_FAULT_TYPE: Final = "system.paging.fault.type"
SYSTEM_DEVICE: Final = "system.device"
SYSTEM_FILESYSTEM_STATE: Final = "system.filesystem.state"
SYSTEM_FILESYSTEM_TYPE: Final = "system.filesystem.type"
SYSTEM_FILESYSTEM_MODE: Final = "system.filesystem.mode"
SYSTEM_FILESYSTEM_MOUNTPOINT: Final = "system.filesystem.mountpoint"
DISK_IO_DIRECTION: Final = "disk.io.direction"
NETWORK_INTERFACE_NAME: Final = "network.interface.name"
NETWORK_IO_DIRECTION: Final = "network.io.direction"
PROCESS_CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
PROCESS_PID: Final = "process.pid"
CPYTHON_GC_GENERATION: Final = "cpython.gc.generation"
HW_ID: Final = "hw.id"
"""The GPU's UUID; an index may change between boots and need not match CUDA's."""
HW_NAME: Final = "hw.name"
HW_VENDOR: Final = "hw.vendor"
HW_MODEL: Final = "hw.model"
HW_TYPE: Final = "hw.type"
HW_STATE: Final = "hw.state"
HW_PARENT: Final = "hw.parent"
HW_SENSOR_LOCATION: Final = "hw.sensor_location"
HW_GPU_TASK: Final = "hw.gpu.task"
HW_LIMIT_TYPE: Final = "hw.limit_type"
GPU_CLOCK_DOMAIN: Final = "otelml.gpu.clock.domain"
"""``graphics``, ``sm``, ``memory`` or ``video``."""
GPU_THROTTLE_REASON: Final = "otelml.gpu.clock.throttle.reason"
GPU_REMAP_CAUSE: Final = "otelml.gpu.memory.remap.cause"
"""``corrected`` or ``uncorrected``."""
GPU_PROCESS_OWNER: Final = "otelml.gpu.process.owner"
"""``self`` (the watched process and its children) or ``other``."""
GPU_ATTRIBUTION_METHOD: Final = "otelml.gpu.attribution.method"
"""How a share of the GPU is known to be this process's: ``framework``, ``pid``, ``host_pid`` or ``exclusive``."""
NVML_CALL: Final = "otelml.sampler.nvml.call"
"""Name of the driver library's function; a closed set."""
CONTAINER_ID: Final = "container.id"
PRESSURE_RESOURCE: Final = "otelml.pressure.resource"
"""``cpu``, ``memory``, ``io`` or ``irq``."""
PRESSURE_STALL_TYPE: Final = "otelml.pressure.stall.type"
"""``some``: at least one task waited; ``full``: all of them."""
PRESSURE_SCOPE: Final = "otelml.pressure.scope"
"""``host`` or ``container``."""
SAMPLER_SOURCE: Final = "otelml.sampler.collector"
"""Which source of readings: ``host``, ``process``, ``container`` or ``gpu``."""

# --- spans, events, headers, closed value sets ----------------------------------------------------------------------

PREDICT_SPAN: Final = "predict {model}"
"""Name of the span of one prediction, kind INTERNAL."""
LOAD_SPAN: Final = "load {model}"
EXCEPTION_EVENT: Final = "exception"
PREDICTION_EVENT: Final = "ml.prediction"
LABEL_EVENT: Final = "ml.label"
PREDICTION_ID_HEADER: Final = "x-prediction-id"

PREDICTION_FEATURE: Final = "__prediction__"
"""Name under which the output itself is binned and compared with the reference."""
OTHER: Final = "__other__"
UNSEEN: Final = "__unseen__"
CANCELLED: Final = "cancelled"
"""``error.type`` of a call that its caller gave up: counted apart, no alert."""
INCOMPLETE: Final = "incomplete_response"
"""``error.type`` of a request whose application returned before its response was complete."""
RULES: Final = (
    "missing_column",
    "extra_column",
    "type",
    "null",
    "non_finite",
    "range_low",
    "range_high",
    "domain",
    "pattern",
    "length",
    "shape",
)
DROP_REASONS: Final = ("queue_full", "retry_exhausted", "too_large", "invalid", "shutdown")

# --- bucket boundaries ----------------------------------------------------------------------------------------------

DURATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SCORE_BUCKETS: Final = tuple(round(step * 0.05, 2) for step in range(1, 20))
"""19 inner edges: 20 uniform bins in 0..1."""
BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
LAG_BUCKETS: Final = (60, 600, 3600, 21600, 86400, 259200, 604800, 1209600, 2592000)
TICK_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds that reading resources takes."""
NVML_BUCKETS: Final = (1e-5, 5e-5, 1e-4, 5e-4, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The boundaries that the HTTP conventions recommend."""

# --- environment variables of ours; OTEL_* are the specification's --------------------------------------------------

ENV_CAPTURE_FEATURES: Final = "OTEL_ML_CAPTURE_FEATURES"
"""``none``, ``declared`` (default) or ``all``: which raw feature values may leave the process."""
ENV_EVENTS: Final = "OTEL_ML_EVENTS"
"""``sampled`` (default), ``all``, ``errors`` or ``off``: which predictions emit an event."""
ENV_QUEUE_SIZE: Final = "OTEL_ML_QUEUE_SIZE"
"""Predictions that may wait for the worker; more are dropped and counted."""
ENV_SPOOL_DIR: Final = "OTEL_ML_SPOOL_DIR"
"""A folder that keeps what could not be sent and replays it; none by default."""
ENV_SPOOL_SIZE: Final = "OTEL_ML_SPOOL_SIZE"
"""Bytes that the spool may take."""
ENV_FLUSH_ON_SIGTERM: Final = "OTEL_ML_FLUSH_ON_SIGTERM"
"""``true``: a process that handles SIGTERM nowhere sends what waits before it ends."""
ENV_REMOTE_TRACES_PER_SECOND: Final = "OTEL_ML_REMOTE_TRACES_PER_SECOND"
"""How many traces a second callers may force by the sampled flag; no limit by default."""
ENV_INSTANCE_DIR: Final = "OTEL_ML_INSTANCE_DIR"
"""Folder of the slot locks from which `service.instance.id` is derived."""
ENV_PROMETHEUS_PORT: Final = "OTEL_ML_PROMETHEUS_PORT"
"""Port of the optional scrape page on loopback; unset means none."""
ENV_LOW_SCORE: Final = "OTEL_ML_LOW_SCORE"
"""Predictions with a lower score always keep their event."""
ENV_SAMPLER: Final = "OTEL_ML_SAMPLER"
"""``off`` keeps every resource sampler of the process from starting."""
ENV_SAMPLER_BUDGET: Final = "OTEL_ML_SAMPLER_BUDGET"
"""Share of one core that the sampler may use, 0.01 by default; above it the interval is stretched."""


def prometheus_name(metric: Metric) -> str:
    """The metric's name in Prometheus under the default OTLP translation strategy.

    Source: prometheus/otlptranslator 1.0.0, ``metric_namer.go`` and ``unit_namer.go``. Histograms get ``_bucket``,
    ``_sum`` and ``_count`` behind this name.
    """
    units = {"s": "seconds", "By": "bytes", "W": "watts", "J": "joules", "Cel": "celsius", "Hz": "hertz"}
    tokens = [token for token in metric.name.replace(".", "_").split("_") if token]
    unit = units.get(metric.unit)
    if unit is not None and unit not in tokens:
        tokens.append(unit)
    if metric.instrument == "gauge" and metric.unit == "1" and "ratio" not in tokens:
        tokens.append("ratio")
    if metric.instrument == "counter":
        tokens = [token for token in tokens if token != "total"] + ["total"]
    return "_".join(tokens)


def metrics() -> tuple[Metric, ...]:
    """All metrics of this catalogue, in the order in which they are written down."""
    return tuple(value for value in globals().values() if isinstance(value, Metric))
