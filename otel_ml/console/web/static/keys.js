// Keys: `/` finds, `j` and `k` go through a list, and so do the arrows once it has the focus;
// `p` and `n` open the previous and the next prediction; `?` shows the keys.
function rows() {
  return [...document.querySelectorAll("[data-list] tbody tr")].filter((row) => row.querySelector("a"));
}

function isInList() {
  return Boolean(document.activeElement?.closest("[data-list] tbody"));
}

function step(by) {
  const all = rows();
  if (!all.length) return false;
  const now = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(now + by, 0), all.length - 1)];
  next.querySelector("a").focus();
  return true;
}

function follow(kind) {
  const link = document.querySelector(`.steps a[rel=${kind}]`);
  link?.click();
  return Boolean(link);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const actions = {
    "/": () => document.querySelector(".find input").focus(),
    "?": () => document.getElementById("help").showModal(),
    j: () => step(1),
    k: () => step(-1),
    n: () => follow("next"),
    p: () => follow("prev"),
    ArrowDown: () => isInList() && step(1),
    ArrowUp: () => isInList() && step(-1),
  };
  const action = actions[event.key];
  if (action && action() !== false) event.preventDefault();
}

export function startKeys() {
  document.addEventListener("keydown", pressed);
  document.getElementById("keys").addEventListener("click", () => document.getElementById("help").showModal());
}
