"""The style sheet of a report: light and dark by the system, and for paper. A notebook shows the light one."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
.otelml, .page { --ground: light-dark(#f7f8fa, #111318); --paper: light-dark(#fff, #191c22);
  --ink: light-dark(#1b2130, #e7e9ee); --quiet: light-dark(#5b6475, #9aa3b2); --line: light-dark(#e1e5ec, #2b303a);
  --bad: light-dark(#b3261e, #ff8f85); --bad-soft: light-dark(#fdeeec, #3a1e1e); --good: light-dark(#00694b, #5fd0a5);
  --now: light-dark(#0067a8, #5bb3f0); --then: light-dark(#aab3c0, #596273); --dot: light-dark(#c25400, #ff9a4d); }
.otelml { color-scheme: light; box-sizing: border-box; max-width: 72rem; color: var(--ink); background: var(--paper);
  font: 14px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
.page { margin: 0; background: var(--ground); color-scheme: light dark; }
.page .otelml { color-scheme: inherit; margin: 0 auto; padding: 32px 24px; background: var(--ground); }
.page .bar { display: flex; gap: 8px; max-width: 72rem; margin: 0 auto; padding: 16px 24px 0;
  font: 13px system-ui, sans-serif; }
.page .bar a { padding: 6px 12px; border: 1px solid var(--line); border-radius: 6px; background: var(--paper);
  color: var(--ink); text-decoration: none; }
.page .bar a:hover { border-color: var(--now); color: var(--now); }
.page .bar + .otelml { padding-top: 16px; }
.otelml h1 { margin: 0 0 8px; font-size: 26px; font-weight: 620; letter-spacing: -.01em; overflow-wrap: anywhere; }
.otelml h2 { margin: 0 0 4px; font-size: 16px; font-weight: 620; }
.otelml h3 { margin: 0; font-size: 14px; font-weight: 620; overflow-wrap: anywhere; }
.otelml p, .otelml ul { margin: 0 0 8px; overflow-wrap: anywhere; } .otelml ul { padding-left: 18px; }
.otelml dl { display: flex; flex-wrap: wrap; gap: 4px 24px; margin: 0 0 24px; }
.otelml dt { color: var(--quiet); font-size: 12px; } .otelml dd { margin: 0; overflow-wrap: anywhere; }
.otelml section { margin: 0 0 16px; padding: 16px; background: var(--paper); border: 1px solid var(--line);
  border-radius: 8px; }
.otelml .scroll { overflow-x: auto; } .otelml .timeline { min-width: 32rem; max-width: 54rem; margin: 12px 0 0; }
.otelml .attention { border-left: 4px solid var(--bad); } .otelml .calm { border-left: 4px solid var(--good); }
.otelml .attention ul { margin-bottom: 0; }
.otelml table { border-collapse: collapse; width: 100%; background: none; }
.otelml tr { background: none; }
.otelml th, .otelml td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line);
  vertical-align: top; font-variant-numeric: tabular-nums; white-space: nowrap; color: inherit; }
.otelml th { font-weight: 500; color: var(--quiet); font-size: 12px; }
.otelml tr:last-child td { border-bottom: 0; }
.otelml .text { text-align: left; white-space: normal; }
.otelml td.text { max-width: 24rem; overflow-wrap: break-word; }
.otelml .bad { color: var(--bad); font-weight: 600; }
.otelml .note { color: var(--quiet); font-size: 12px; font-weight: 400; }
.otelml .cards { display: grid; gap: 16px; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
.otelml .cards > section { margin: 0; background: none; }
.otelml .cards ul { font-size: 13px; }
.otelml svg { display: block; } .otelml svg.wide { width: 100%; height: auto; }
.otelml text { fill: var(--ink); font-size: 12px; } .otelml .quiet { fill: var(--quiet); }
.otelml .now { fill: var(--now); } .otelml .then { fill: var(--then); }
.otelml .axis { stroke: var(--line); } .otelml .dash { stroke: var(--quiet); stroke-dasharray: 5 4; }
.otelml .stroke { stroke: var(--now); stroke-width: 2; fill: none; } .otelml .band { fill: var(--now); opacity: .2; }
.otelml .tick { stroke: var(--quiet); stroke-width: 2; } .otelml .dot { fill: var(--dot); }
.otelml i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin: 0 4px 0 8px; }
.otelml i.now { background: var(--now); } .otelml i.then { background: var(--then); }
@media (max-width: 640px) { .page .otelml { padding: 16px 12px; } .otelml .drawn { display: none; } }
@media print {
  .page .bar { display: none; }
  .page, .page .otelml { color-scheme: light; padding: 0; max-width: none; background: #fff; }
  .otelml * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .otelml tr, .otelml svg, .otelml .cards > section { break-inside: avoid; } .otelml h2 { break-after: avoid; }
  .otelml .scroll { overflow: visible; }
}
"""
