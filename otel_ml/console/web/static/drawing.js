// The charts as options of the library: what a table becomes when it is drawn.
import { isUTC, local, short } from "./time.js";

// Bars differ by more than their colour.
const stripes = (rotation, gap) => ({ symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, gap], rotation, color: "rgba(255,255,255,.22)" });
const DECALS = [undefined, stripes(-Math.PI / 4, 5), stripes(Math.PI / 4, 5), stripes(0, 4), stripes(Math.PI / 2, 4), stripes(-Math.PI / 4, 2)];
const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3], [12, 4], [2, 4]];

export function format(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const round = (number) => Number(number.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 12 });
  if (unit === "share") return `${round(value * 100)} %`;
  if (unit === "seconds") {
    for (const [factor, name] of [[1, "s"], [1e3, "ms"], [1e6, "µs"]]) {
      if (Math.abs(value) * factor >= 1) return `${round(value * factor)} ${name}`;
    }
    return value ? `${round(value * 1e9)} ns` : "0";
  }
  if (unit === "bytes") {
    const power = value ? Math.min(4, Math.max(0, Math.floor(Math.log2(Math.abs(value)) / 10))) : 0;
    return `${round(value / 1024 ** power)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
  }
  return Math.abs(value) >= 1e6 ? `${round(value / 1e6)} M` : round(value);
}

// The tooltip is made of elements, so that no text of a sender is read as HTML.
function tooltip(heading, lines) {
  const box = document.createElement("div");
  box.className = "hint";
  const add = (parent, tag, text, className = "") => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    made.className = className;
    return made;
  };
  add(box, "strong", heading);
  for (const [name, text, tone] of lines) {
    const line = add(box, "p", "");
    add(line, "i", "", `tone-${tone}`);
    add(line, "span", name);
    add(line, "b", text);
  }
  return box;
}

function frame(table, colour) {
  return {
    animation: false,
    useUTC: isUTC(),
    textStyle: { fontFamily: colour.font, fontSize: 12, color: colour.quiet },
    // one left edge, so that the times of charts above each other line up
    grid: { left: 72, right: 28, top: 18, bottom: 24, outerBoundsMode: "none" },
    aria: { enabled: true, label: { description: `Chart: ${table.title}. The button "Table" shows its numbers.` } },
    tooltip: {
      trigger: "axis",
      confine: true,
      transitionDuration: 0,
      backgroundColor: colour.paper,
      borderColor: colour.line,
      padding: 8,
      axisPointer: { type: "line", lineStyle: { color: colour.quiet } },
    },
  };
}

// Shares end at 100 % if they come near it, and a chart of zeros has a scale too.
function shareScale(series) {
  const most = Math.max(0, ...series.flatMap(({ values }) => values)) * (series[0]?.draw === "stack" ? 2 : 1);
  if (most > 0.5) return { max: 1, interval: 0.25 };
  return most ? { max: null, interval: null } : { max: 0.1, interval: 0.05 };
}

// Bytes have round numbers of KiB, MiB or GiB.
function byteScale(series) {
  const most = Math.max(1, ...series.flatMap(({ values }) => values));
  const factor = 1024 ** Math.floor(Math.log2(most) / 10);
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500];
  const interval = (steps.find((step) => step * factor * 4 >= most) ?? 500) * factor;
  return { max: Math.ceil(most / interval) * interval, interval };
}

// A scale up to 1 has round steps, and begins at one of them.
function upToOne(low) {
  const interval = 1 - low > 0.5 ? 0.2 : 1 - low > 0.2 ? 0.1 : 0.05;
  return { min: Number((1 - Math.ceil((1 - low) / interval - 1e-9) * interval).toFixed(2)), max: 1, interval };
}

function scale({ unit, series, low }) {
  if (low) return upToOne(low);
  if (unit === "share") return shareScale(series);
  if (unit === "bytes") return byteScale(series);
  return { max: null, interval: null };
}

function valueAxis(table, colour) {
  return {
    type: "value",
    min: 0,
    ...scale(table),
    splitNumber: 3,
    axisLabel: { color: colour.quiet, formatter: (value) => format(value, table.unit) },
    splitLine: { lineStyle: { color: colour.line } },
  };
}

function timeAxis(table, colour) {
  return {
    type: "time",
    min: table.from,
    max: table.to,
    splitNumber: 4,
    axisLabel: { color: colour.quiet, hideOverlap: true, formatter: (time) => short(time, table.to - table.from) },
    axisLine: { lineStyle: { color: colour.line } },
    axisTick: { show: false },
    splitLine: { show: false },
  };
}

function marks(table, colour) {
  if (!table.events.length) return undefined;
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: colour.quiet, type: "dashed", width: 1 },
    label: { color: colour.ink, formatter: ({ name }) => name, fontWeight: 600, distance: 2 },
    data: table.events.map((event) => ({ name: event.mark, xAxis: event.time })),
  };
}

function points(values, keys, isAlways) {
  // a point without neighbours has no line to show it
  return values.map((value, at) => ({
    value: [keys[at], value],
    symbol: isAlways || (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? "circle" : "none",
  }));
}

// The interval of a line: an area from `low` to `high`, which stands on a line that is not seen.
function band(series, table, colour) {
  const low = table.series.find(({ draw }) => draw === "low").values;
  const isHigh = series.draw === "high";
  return {
    name: series.name,
    type: "line",
    stack: "band",
    data: table.keys.map((key, at) => [key, isHigh && series.values[at] !== null ? series.values[at] - low[at] : series.values[at], series.values[at]]),
    symbol: "none",
    lineStyle: { opacity: 0 },
    areaStyle: isHigh ? { color: colour[series.tone], opacity: 0.16 } : undefined,
    emphasis: { disabled: true },
  };
}

function line(series, at, table, colour) {
  if (series.draw === "low" || series.draw === "high") return band(series, table, colour);
  const stroke = colour[series.tone];
  const isBar = series.draw === "bar" || series.draw === "stack";
  return {
    name: series.name,
    type: isBar ? "bar" : "line",
    stack: series.draw.startsWith("stack") ? "all" : undefined,
    barCategoryGap: "15%",
    barMaxWidth: 14,
    data: isBar ? table.keys.map((key, place) => [key, series.values[place]]) : points(series.values, table.keys, series.draw === "point"),
    symbolSize: 6,
    lineStyle: { width: 1.75, color: stroke, type: DASHES[at % DASHES.length], opacity: series.draw === "point" ? 0 : 1 },
    itemStyle: { color: stroke, decal: isBar ? DECALS[at % DECALS.length] : undefined },
    areaStyle: series.draw.endsWith("area") ? { color: stroke, opacity: 0.16 } : undefined,
    emphasis: { disabled: true },
    markLine: at === 0 ? marks(table, colour) : undefined,
  };
}

export function overTime(table, colour) {
  const option = frame(table, colour);
  option.tooltip.formatter = (found) =>
    tooltip(
      local(found[0].axisValue ?? found[0].value[0]),
      found.filter(({ value }) => value[1] !== null).map(({ seriesIndex, value }) => {
        const { name, tone } = table.series[seriesIndex];
        return [name, format(value[2] ?? value[1], table.unit), tone];
      }),
    );
  return {
    ...option,
    xAxis: timeAxis(table, colour),
    yAxis: valueAxis(table, colour),
    series: table.series.map((series, at) => line(series, at, table, colour)),
  };
}

export function heat(table, colour) {
  const times = table.keys;
  const step = times.length > 1 ? times[1] - times[0] : table.to - table.from;
  const cells = table.series.flatMap((series, row) =>
    series.values.flatMap((value, at) => (value ? [[times[at], row, value]] : [])),
  );
  const option = frame(table, colour);
  option.tooltip.trigger = "item";
  option.tooltip.formatter = ({ value: [time, row, calls] }) => tooltip(local(time), [[table.series[row].name, format(calls), "1"]]);
  return {
    ...option,
    xAxis: timeAxis(table, colour),
    yAxis: {
      type: "category",
      data: table.series.map(({ name }) => name),
      axisLabel: { color: colour.quiet, interval: Math.ceil(table.series.length / 7) - 1 },
      axisLine: { show: false },
      axisTick: { show: false },
    },
    visualMap: {
      type: "continuous",
      show: false,
      min: 0,
      max: Math.max(1, ...cells.map(([, , calls]) => calls)),
      dimension: 2,
      inRange: { color: [colour["heat-0"], colour["heat-1"], colour["heat-2"]] },
    },
    series: [{ type: "custom", clip: true, data: cells, renderItem: (_, api) => cell(api, step), encode: { x: 0, y: 1 } }],
  };
}

// One step in one band, as wide as the step is long.
function cell(api, step) {
  const [left, middle] = api.coord([api.value(0), api.value(1)]);
  const [width, height] = api.size([step, 1]);
  const shape = { x: left, y: middle - height / 2, width: Math.max(1, width - 1), height: Math.max(1, height - 1) };
  return { type: "rect", shape, style: { fill: api.visual("color") } };
}

// The last bin is often the one that matters: it has its name, and names at the ends stay inside the chart.
function binAxis(table, colour) {
  const names = table.keys.map(String);
  const isLong = names.some((name) => name.length > 5);
  return {
    type: "category",
    data: names,
    axisLabel: {
      color: colour.quiet,
      hideOverlap: true,
      showMaxLabel: true,
      alignMinLabel: isLong ? "left" : "center",
      alignMaxLabel: isLong ? "right" : "center",
    },
    axisLine: { lineStyle: { color: colour.line } },
    axisTick: { show: false },
  };
}

export function bars(table, colour) {
  const option = frame(table, colour);
  option.tooltip.axisPointer = { type: "shadow" };
  option.tooltip.formatter = (found) =>
    tooltip(
      `${table.first} ${found[0].name}`,
      found.map(({ seriesIndex, value }) => {
        const { name, tone } = table.series[seriesIndex];
        return [name, format(value, table.unit), tone];
      }),
    );
  return {
    ...option,
    xAxis: binAxis(table, colour),
    yAxis: valueAxis(table, colour),
    series: table.series.map((series, at) => ({
      name: series.name,
      type: "bar",
      data: series.values,
      barCategoryGap: "12%",
      itemStyle: { color: colour[series.tone], decal: DECALS[at % DECALS.length] },
      emphasis: { disabled: true },
    })),
  };
}
