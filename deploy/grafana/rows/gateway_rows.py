"""The row about the Collectors that sample traces by their tails."""

from __future__ import annotations

from rows.panels import CHOSEN_PLACE, Panel, Row, limit, query
from rows.telemetry_rows import PER_SECOND, collectors

SAMPLING = "processor_tail_sampling"
FATES = (("true", "kept"), ("false", "discarded"))
"""Values of the label `sampled`, and what they mean."""
GATEWAYS = Row(
    "Gateways",
    [
        Panel(
            "Traces Kept and Discarded",
            "Decisions of the Collectors that sample traces (`gateway.yaml`). Without one this row is empty.",
            [
                query(
                    collectors(f"{SAMPLING}_global_count_traces_sampled", "instance", f', sampled="{kept}"'),
                    f"{fate} {{{{instance}}}}",
                )
                for kept, fate in FATES
            ],
            unit=PER_SECOND,
            defaults={"min": 0},
        ),
        Panel(
            "Reasons to Keep a Trace",
            "Traces per second that each policy keeps; a trace can have several reasons.",
            [query(collectors(f"{SAMPLING}_count_traces_sampled", "policy", ', sampled="true"'), "{{policy}}")],
            unit=PER_SECOND,
            defaults={"min": 0},
        ),
        Panel(
            "Traces before Their Decision",
            "What a kill of the gateway loses. A gateway holds 100,000 traces; above that it drops the oldest.",
            [query(f"otelcol_{SAMPLING}_sampling_traces_on_memory{{{CHOSEN_PLACE}}}", "{{instance}}")],
            defaults={"min": 0, **limit(100_000)},
        ),
        Panel(
            "Dropped before and Late after the Decision",
            "Traces that were dropped undecided, and spans that came after `OTELCOL_DECISION_WAIT`: they follow the "
            "decision, so an error in a late span does not keep its trace.",
            [
                query(
                    collectors(f"{SAMPLING}_sampling_trace_dropped_too_early", "instance"),
                    "dropped traces {{instance}}",
                ),
                *(
                    query(
                        collectors(f"{SAMPLING}_early_releases_from_cache_decision", "instance", f', sampled="{kept}"'),
                        f"late spans, {fate} {{{{instance}}}}",
                    )
                    for kept, fate in FATES
                ),
            ],
            unit=PER_SECOND,
            defaults={"min": 0},
        ),
    ],
)
"""How the Collectors sample traces."""
