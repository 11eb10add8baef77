// What the pages do beyond links and forms; without scripts every page works.
import { drawCharts, redrawCharts } from "./charts.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { showLocalTimes, startTimes } from "./time.js";

const THEMES = ["", "light", "dark"];

function showTheme() {
  const chosen = document.documentElement.dataset.theme || "";
  document.querySelector("#theme span:last-child").textContent = { "": "Auto", light: "Light", dark: "Dark" }[chosen];
}

function nextTheme() {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme || "") + 1) % THEMES.length];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  try {
    localStorage.setItem("otel-ml-theme", next);
  } catch {
    // storage is blocked; the choice holds for this page
  }
  showTheme();
  redrawCharts();
}

async function enhance() {
  showLocalTimes();
  if ("charts" in document.body.dataset) await drawCharts();
}

// On a narrow screen the pages are a line that scrolls.
function showCurrentPage() {
  const pages = document.querySelector(".pages");
  const current = pages.querySelector("[aria-current]");
  if (current) pages.scrollLeft = current.offsetLeft - (pages.clientWidth - current.offsetWidth) / 2;
}

showTheme();
showCurrentPage();
document.getElementById("theme").addEventListener("click", nextTheme);
for (const colours of ["(prefers-color-scheme: dark)", "print"]) matchMedia(colours).addEventListener("change", redrawCharts);
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("formdata", ({ formData }) => {
  // an empty field is no filter, and an address without it is short
  for (const name of new Set(formData.keys())) {
    const values = formData.getAll(name).filter((value) => value !== "");
    formData.delete(name);
    for (const value of values) formData.append(name, value);
  }
  // a range by its name wins over start and end
  if (formData.has("range")) for (const name of ["from", "to"]) formData.delete(name);
});
startKeys();
startTimes(() => {
  showLocalTimes();
  redrawCharts();
});
await enhance();
startLive(enhance);
