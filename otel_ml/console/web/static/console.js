// Refreshes the content every few seconds; without this script the page works and a reload does the same.
"use strict";

const SECONDS = 5;

async function refresh() {
  const here = document.getElementById("live");
  const isBusy = document.hidden || here.contains(document.activeElement) || !getSelection().isCollapsed;
  if (isBusy) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  if (next && next.innerHTML !== here.innerHTML) here.replaceWith(document.adoptNode(next));
}

setInterval(() => refresh().catch(() => {}), SECONDS * 1000);
