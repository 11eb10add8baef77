// Fetches the page again every few seconds and changes only what differs, so that scroll, focus and selection stay.
import { local } from "./time.js";

const state = document.getElementById("state");
const gone = document.getElementById("gone");
let isPaused = false;

function show(text, kind) {
  state.textContent = text;
  state.dataset.kind = kind;
}

function isBusy() {
  const at = document.activeElement;
  return document.hidden || !getSelection().isCollapsed || (at && at.matches("select, main input"));
}

// What the scripts made is not in the page that arrived.
const keep = (node) => !node.matches?.(".plot, .toggle");

async function refresh(morph, enhance) {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  // the login has ended: the same address asks for the token
  if (answer.status === 401) return location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  // another version of the console serves other scripts
  if (next.querySelector("script[type=module]")?.src !== document.querySelector("script[type=module]").src) location.reload();
  morph(document.getElementById("live"), next.getElementById("live"), {
    morphStyle: "outerHTML",
    ignoreActiveValue: true,
    callbacks: {
      beforeNodeMorphed: keep,
      beforeNodeRemoved: keep,
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.matches("details")) && !name.startsWith("data-drawn"),
    },
  });
  await enhance();
}

export async function startLive(enhance) {
  const seconds = Number(document.body.dataset.live);
  if (!seconds || !("charts" in document.body.dataset)) {
    show(seconds ? "Reload to update" : "Fixed range", "fixed");
    state.disabled = true;
    return;
  }
  const { Idiomorph } = await import("./library.js");
  let lost = null;
  const tick = async () => {
    if (isPaused || isBusy()) return;
    try {
      await refresh(Idiomorph.morph, enhance);
      lost = null;
      show("Live", "live");
    } catch {
      lost ??= Date.now();
      gone.querySelector("time").textContent = local(lost);
      show("No answer", "gone");
    }
    gone.hidden = lost === null;
  };
  show("Live", "live");
  state.addEventListener("click", () => {
    isPaused = !isPaused;
    show(isPaused ? "Paused" : "Live", isPaused ? "paused" : "live");
    if (!isPaused) tick();
  });
  document.addEventListener("visibilitychange", tick);
  for (;;) {
    await new Promise((wake) => setTimeout(wake, seconds * 1000));
    await tick();
  }
}
