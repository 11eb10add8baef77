// Draws the tables of a page: each chart is a table in the page, which stays as its text.
import { bars, heat, overTime } from "./drawing.js";
import { zoomOnDrag } from "./zoom.js";

const DRAWINGS = { time: overTime, heat, bars };
const drawn = new Map();
let library = null;

function number(cell) {
  const text = (cell.querySelector("data")?.value ?? cell.textContent).replaceAll(",", "").trim();
  return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
}

function moment(cell) {
  const time = cell.querySelector("time");
  return time ? Date.parse(time.getAttribute("datetime")) : cell.textContent.trim();
}

function read(figure) {
  const [first, ...headers] = figure.querySelectorAll("thead th");
  const rows = [...figure.querySelectorAll("tbody tr")].map((row) => [...row.cells]);
  // times stand newest first in a table
  if (figure.dataset.chart !== "bars") rows.reverse();
  return {
    title: figure.querySelector("figcaption h2, figcaption h3").textContent.trim(),
    unit: figure.dataset.unit,
    low: Number(figure.dataset.low || 0),
    from: Number(figure.dataset.from),
    to: Number(figure.dataset.to),
    first: first.textContent.trim(),
    keys: rows.map(([key]) => moment(key)),
    series: headers.map((header, place) => ({
      name: header.textContent.trim(),
      draw: header.dataset.draw || "line",
      tone: header.dataset.tone || String((place % 6) + 1),
      values: rows.map((cells) => number(cells[place + 1])),
    })),
    events: [...document.querySelectorAll("#events li")].map((event) => ({
      mark: event.querySelector(".letter").textContent,
      time: moment(event),
    })),
  };
}

// The colours of the style sheet as the canvas needs them.
export function colours(figure) {
  const probe = figure.querySelector(".plot");
  const resolve = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["ink", "quiet", "line", "paper", "bad", "warn", "good", "heat-0", "heat-1", "heat-2", "1", "2", "3", "4", "5", "6"];
  const found = Object.fromEntries(names.map((name) => [name, resolve(/^\d$/.test(name) ? `series-${name}` : name)]));
  probe.style.color = "";
  return { ...found, font: getComputedStyle(document.body).fontFamily };
}

function addToggle(figure) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "toggle quiet";
  const show = (isOpen) => {
    figure.toggleAttribute("data-drawn-open", isOpen);
    button.textContent = isOpen ? "Hide table" : "Table";
    button.setAttribute("aria-expanded", String(isOpen));
  };
  button.addEventListener("click", () => show(!figure.hasAttribute("data-drawn-open")));
  show(false);
  figure.querySelector(".plot").after(button);
}

function draw(figure) {
  const table = read(figure);
  let chart = drawn.get(figure);
  if (!chart) {
    chart = library.init(figure.querySelector(".plot"), null, { renderer: "canvas" });
    chart.group = "page";
    drawn.set(figure, chart);
    if (figure.dataset.chart !== "bars") zoomOnDrag(chart);
    new ResizeObserver(() => chart.resize()).observe(figure.querySelector(".plot"));
    figure.setAttribute("data-drawn", "");
  }
  if (!figure.querySelector(".toggle")) addToggle(figure);
  chart.setOption(DRAWINGS[figure.dataset.chart](table, colours(figure)), { notMerge: false, replaceMerge: ["series"] });
}

export function redrawCharts() {
  for (const [figure, chart] of drawn) {
    draw(figure);
    // a page that is being printed has no next frame
    chart.getZr().flush();
  }
}

export async function drawCharts() {
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  if (!figures.length) return;
  library ??= await import("./library.js");
  for (const [figure, chart] of drawn) {
    if (figure.isConnected) continue;
    chart.dispose();
    drawn.delete(figure);
  }
  figures.forEach(draw);
  library.connect("page");
}
