// Runs before the page is drawn, so that chosen colours do not flash.
"use strict";

document.documentElement.classList.add("js");
try {
  const chosen = localStorage.getItem("otel-ml-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // storage is blocked; the system's colours apply
}
