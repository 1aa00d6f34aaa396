"""The look of written reports: readable offline, on paper, in light and in dark."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --t-canvas: #f6f7f9; --t-surface: #fff; --t-sunken: #eff1f5; --t-line: #e1e5eb;
  --t-line-strong: #8d97a6; --t-ink: #171c24; --t-ink-2: #434c5a; --t-ink-3: #596373; --t-accent: #4350d0;
  --t-good: #1a7040; --t-good-soft: #e4f4ea; --t-warn: #8a5300; }
@media (prefers-color-scheme: dark) { :root { --t-canvas: #0f1217; --t-surface: #171b22; --t-sunken: #1f252e;
  --t-line: #2b323d; --t-line-strong: #748092; --t-ink: #e9edf3; --t-ink-2: #bec7d3; --t-ink-3: #9ba6b5;
  --t-accent: #8f9bff; --t-good: #6fd39a; --t-good-soft: #14301f; --t-warn: #f0b455; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--t-canvas); color: var(--t-ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; } h2 { font-size: 18px; margin: 32px 0 8px; }
p { margin: 4px 0; max-width: 90ch; } .quiet { color: var(--t-ink-3); font-size: 13px; }
.verdict, .figure, .plain { background: var(--t-surface); border: 1px solid var(--t-line); border-radius: 10px; }
.verdict { border-left: 4px solid var(--t-good); padding: 16px 24px; margin-top: 20px; }
.verdict.wait { border-left-color: var(--t-warn); } .verdict h2 { margin: 0; font-size: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin-top: 12px; }
.tile { background: var(--t-surface); border: 1px solid var(--t-line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; } .tile span { font-size: 13px; }
.tile.good b { color: var(--t-good); } .tile.warn b { color: var(--t-warn); }
.plain, .figure { overflow-x: auto; } .figure { padding: 12px; } .figure svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { padding: 7px 12px; text-align: left; border-bottom: 1px solid var(--t-line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
thead th { background: var(--t-sunken); color: var(--t-ink-2); font-size: 12px; white-space: nowrap; }
.right { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.grouped th { color: var(--t-ink-3); font-size: 12px; padding-top: 12px; }
tr.picked td, tr.picked th { background: var(--t-good-soft); } tbody th { font-weight: 400; }
.short { white-space: nowrap; }
.badge { background: var(--t-good-soft); color: var(--t-good); border-radius: 99px; padding: 1px 8px; font-size: 12px;
  font-weight: 600; }
td.heat { background: color-mix(in srgb, var(--t-accent) calc(var(--score) * .4%), var(--t-surface)); }
td.ship { font-weight: 700; box-shadow: inset 0 0 0 2px var(--t-good); }
.chart { display: block; font-family: inherit; } .chart text { fill: var(--t-ink-2); font-size: 12px; }
.chart text.strong { fill: var(--t-ink); font-weight: 700; } .chart .grid { stroke: var(--t-line); fill: none; }
.chart .leader { stroke: var(--t-line-strong); fill: none; }
.chart .ring { fill: none; stroke: var(--t-good); stroke-width: 2; }
.chart .range { stroke: var(--t-accent); stroke-width: 2; } .chart .point { fill: var(--t-accent); }
.chart.narrow { display: none; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 0; font-size: 13px; }
dt { color: var(--t-ink-3); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) { main { padding: 20px 16px; } dl { grid-template-columns: 1fr; }
  .chart.wide { display: none; } .chart.narrow { display: block; } }
@media print { body { background: #fff; } main { max-width: none; padding: 0; }
  .verdict, .figure, .plain, .tile { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
