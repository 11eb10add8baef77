"""Rules about what is alive: the processes that hold a model, Collectors, samplers.

Nothing here reads calls: a model that nobody calls is alive. A process that shuts down cleanly, and a sampler that is
stopped, report it in their last export.
"""

from __future__ import annotations

from recording.rule_parts import MODEL, MODEL_NAME, SERVICE, SLOW_INTERVAL, Rule, RuleGroup

SERVES = '{ml_model_role!="shadow"}'
"""Shadow models serve no caller."""
ALIVE, STATE = "serving:ml_model_processes:alive", "serving:ml_model_processes:state"
RENAMED_WITHIN, NOTICED_WITHIN = "30m", "10m"
"""How long a model may have its new name before the old one goes, and after."""
STEADY, KEPT, MISSED = "15m", "6h", "24h"
"""A rollout has more processes for a while: only those that lasted count. How long some, and all, are missed."""
PROCESS = "job, instance"
"""What a process keeps when its other labels change."""


def held(at: str = "") -> str:
    """The processes that hold each model."""
    series = f"ml_prediction_active{SERVES}{at} unless on ({MODEL}, instance) ml_model_processes{at} == 0"
    return f"count by ({MODEL_NAME}, instance) (\n  {series})"


def left(window: str) -> str:
    """Scraped processes that discovery no longer lists, and that answered until then."""
    listed = f"last_over_time(up[{window}]) == 1 unless up"
    return f"last_over_time(ml_prediction_active{SERVES}[{window}]) and on ({PROCESS}) ({listed})"


def relabelled() -> str:
    """Processes that go on under labels that they have just got."""
    ended = f"last_over_time(ml_prediction_active{SERVES}[{NOTICED_WITHIN}]) unless ml_prediction_active"
    begun = f"ml_prediction_active unless on ({MODEL_NAME}, instance) ml_prediction_active offset {NOTICED_WITHIN}"
    return f"{ended}\n  and on ({PROCESS}, ml_model_name) ({begun})"


def replaced(state: str, alive: str, key: str, by: str) -> str:
    """What has just ended, while others with the same labels `by` have begun."""
    begun = f"{alive} unless on ({key}) {alive} offset {RENAMED_WITHIN}"
    return f"(last_over_time({state}[{NOTICED_WITHIN}]) and {state} offset {RENAMED_WITHIN}\n  and on ({by}) ({begun}))"


def models() -> list[Rule]:
    """The processes that hold each model, in all its versions."""
    return [
        Rule(
            ALIVE,
            f"count by ({MODEL_NAME}) ({held()})",
            "A process is counted once, whatever versions it has. One that was killed counts until its last sample is "
            "5 minutes old.",
        ),
        Rule(
            STATE,
            f"{ALIVE}\n"
            f"or 0 * count by ({MODEL_NAME}) (ml_model_processes{SERVES} == 0)\n"
            f"or 0 * count by ({MODEL_NAME}) ({left(NOTICED_WITHIN)})\n"
            f"or 0 * count by ({MODEL_NAME}) ({relabelled()})\n"
            f"or 0 * {replaced(STATE, ALIVE, MODEL_NAME, SERVICE)}",
            "0 when the last process shut down cleanly, left discovery, or goes on under other labels, and when the "
            "service reports another name in its place; a series that ends above 0 was cut off.",
        ),
        Rule(
            f"serving:ml_model_processes:steady{STEADY}",
            f"count by ({MODEL_NAME}) ({held()}\nand {held(f' offset {STEADY}')})",
            "Those that lasted.",
        ),
        Rule(
            f"serving:ml_model_processes:ended{KEPT}",
            f"count by ({MODEL_NAME}) (\n"
            f"  max by ({MODEL_NAME}, instance) (last_over_time(ml_model_processes{SERVES}[{KEPT}])) == 0\n"
            f"  or count by ({MODEL_NAME}, instance) ({left(KEPT)}))\n"
            f"or 0 * {ALIVE}",
            "Those that shut down cleanly.",
        ),
        Rule("serving:ml_prediction_active:sum", f"sum by ({MODEL_NAME}) (ml_prediction_active{SERVES})"),
    ]


def reporters(name: str, series: str, *, ends: bool = False) -> list[Rule]:
    """The reporting instances of something; `ends` means that its last value is 0 if it was stopped on purpose."""
    count, state = f"{name}:{series}:count", f"{name}:{series}:state"
    alive = " > 0" if ends else ""
    now, earlier = (f"count by ({SERVICE}, instance) ({series}{at}{alive})" for at in ("", f" offset {STEADY}"))
    stopped = f"or 0 * count by ({SERVICE}) ({series} == 0)\n" if ends else ""
    last = f"max by ({SERVICE}, instance) (last_over_time({series}[{KEPT}])) == 0"
    ended = Rule(
        f"{name}:{series}:ended{KEPT}",
        f"count by ({SERVICE}) ({last})\nor 0 * {count}",
        "Those that were stopped on purpose, as on a machine that an autoscaler takes away.",
    )
    return [
        Rule(count, f"count by ({SERVICE}) ({now})"),
        Rule(f"{name}:{series}:steady{STEADY}", f"count by ({SERVICE}) ({now} and {earlier})"),
        *([ended] if ends else []),
        Rule(
            state,
            f"{count}\n{stopped}or 0 * {replaced(state, count, SERVICE, 'job')}",
            "0 when the last one was stopped, or others of the job have begun under labels that none had before."
            if ends
            else "0 when others of the job have begun under labels that none had before.",
        ),
        Rule(f"{name}:{series}:gone", f"last_over_time({state}[{MISSED}]) > 0 unless {state}", "None is left."),
    ]


def liveness() -> RuleGroup:
    """All rules about what is alive."""
    collectors = reporters("collector", "otelcol_process_uptime_seconds_total")
    samplers = reporters("sampler", "otelml_sampler_interval_seconds", ends=True)
    return RuleGroup("otel-ml-liveness", [*models(), *collectors, *samplers], SLOW_INTERVAL)
