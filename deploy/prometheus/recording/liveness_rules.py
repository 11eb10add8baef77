"""Rules about what is alive: the processes that hold a model, Collectors, samplers.

Nothing here reads calls: a model that nobody calls is alive. A process that shuts down cleanly reports it in its
last export.
"""

from __future__ import annotations

from recording.rule_parts import MODEL, MODEL_NAME, SERVICE, SLOW_INTERVAL, Rule, RuleGroup

SERVES = '{ml_model_role!="shadow"}'
"""Shadow models serve no caller."""
ALIVE, STATE = "serving:ml_model_processes:alive", "serving:ml_model_processes:state"
RENAMED_WITHIN, NOTICED_WITHIN = "30m", "10m"
"""How long a model may have its new name before the old one goes, and after."""
STEADY, KEPT, MISSED = "15m", "6h", "24h"
"""A rollout has more processes for a while: only a number that lasted counts. How long some, and all, are missed."""


def steady(count: str) -> Rule:
    name = count.rsplit(":", 1)[0]
    return Rule(f"{name}:steady{STEADY}", f"min_over_time({count}[{STEADY}])", "The number that lasted.")


def models() -> list[Rule]:
    """The processes that hold each model, in all its versions."""
    held = f"ml_prediction_active{SERVES} unless on ({MODEL}, instance) ml_model_processes == 0"
    new_name = f"{ALIVE} unless on ({MODEL_NAME}) {ALIVE} offset {RENAMED_WITHIN}"
    return [
        Rule(
            ALIVE,
            f"count by ({MODEL_NAME}) (count by ({MODEL_NAME}, instance) (\n  {held}))",
            "A process is counted once, whatever versions it has. One that was killed counts until its last sample is "
            "5 minutes old.",
        ),
        Rule(
            STATE,
            f"{ALIVE}\n"
            f"or 0 * count by ({MODEL_NAME}) (ml_model_processes{SERVES} == 0)\n"
            f"or 0 * (last_over_time({STATE}[{NOTICED_WITHIN}]) and {STATE} offset {RENAMED_WITHIN}\n"
            f"  and on ({SERVICE}) ({new_name}))",
            "0 when the last process shut down cleanly, or the service reports another name in its place; a series "
            "that ends above 0 was cut off.",
        ),
        steady(ALIVE),
        Rule(
            f"serving:ml_model_processes:ended{KEPT}",
            f"count by ({MODEL_NAME}) (\n"
            f"  max by ({MODEL_NAME}, instance) (last_over_time(ml_model_processes{SERVES}[{KEPT}])) == 0)\n"
            f"or 0 * {ALIVE}",
            "Those that shut down cleanly.",
        ),
        Rule("serving:ml_prediction_active:sum", f"sum by ({MODEL_NAME}) (ml_prediction_active{SERVES})"),
    ]


def reporters(name: str, series: str) -> list[Rule]:
    """The reporting instances of something that does not say when it ends."""
    count = f"{name}:{series}:count"
    return [
        Rule(count, f"count by ({SERVICE}) ({series})"),
        steady(count),
        Rule(f"{name}:{series}:gone", f"last_over_time({count}[{MISSED}]) unless {count}", "None is left."),
    ]


def liveness() -> RuleGroup:
    """All rules about what is alive."""
    collectors = reporters("collector", "otelcol_process_uptime_seconds_total")
    samplers = reporters("sampler", "otelml_sampler_interval_seconds")
    return RuleGroup("otel-ml-liveness", [*models(), *collectors, *samplers], SLOW_INTERVAL)
