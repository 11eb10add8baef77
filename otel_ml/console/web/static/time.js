// Moments in the reader's time zone, with UTC on hover, and how long ago they were.
const DAY = 86_400_000;
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const KEY = "otel-ml-zone";
let zone;
let clock;
let dated;

function useZone(chosen) {
  zone = chosen === "UTC" ? "UTC" : undefined;
  clock = new Intl.DateTimeFormat(undefined, { ...TIME, timeZone: zone });
  dated = new Intl.DateTimeFormat(undefined, { ...TIME, month: "short", day: "numeric", timeZone: zone });
}

try {
  useZone(localStorage.getItem(KEY));
} catch {
  useZone("");
}

export function isUTC() {
  return zone === "UTC";
}

export function local(moment, isFine) {
  if (isFine) return `${local(moment)}.${String(moment % 1000).padStart(3, "0")}`;
  return (Math.abs(Date.now() - moment) < DAY / 2 ? clock : dated).format(moment);
}

// The label of a time axis that is so long.
export function short(moment, length) {
  if (length > DAY * 1.5) return dated.format(moment).slice(0, -3);
  return length > 600_000 ? clock.format(moment).slice(0, -3) : clock.format(moment);
}

export function ago(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  for (const [unit, size] of [["d", 86_400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${seconds} s ago`;
}

export function showLocalTimes() {
  const now = Date.now();
  for (const each of document.querySelectorAll("time[datetime]")) {
    const moment = Date.parse(each.getAttribute("datetime"));
    if (Number.isNaN(moment)) continue;
    each.textContent = "ago" in each.dataset ? ago(now - moment) : local(moment, "fine" in each.dataset);
  }
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  document.getElementById("zone").textContent = isUTC() || timeZone === "UTC" ? "UTC" : `local, ${timeZone}; hover one for UTC`;
  const zones = document.getElementById("zones");
  zones.hidden = timeZone === "UTC";
  zones.textContent = isUTC() ? "Show local times" : "Show UTC";
}

// Start and end of a range are typed in the zone that is shown, and sent as UTC.
function typed(moment) {
  const shifted = isUTC() ? moment : moment - new Date(moment).getTimezoneOffset() * 60_000;
  return new Date(shifted).toISOString().slice(0, 19);
}

export function startTimes(redraw) {
  const fields = [...document.querySelectorAll(".period input[type=datetime-local]")];
  const moments = fields.map((field) => Date.parse(`${field.value}Z`));
  const fill = () => fields.forEach((field, at) => (field.value = typed(moments[at])));
  fill();
  document.querySelector(".period form")?.addEventListener("formdata", ({ formData }) => {
    for (const { name, value } of fields) formData.set(name, new Date(isUTC() ? `${value}Z` : value).toISOString());
  });
  document.getElementById("zones").addEventListener("click", () => {
    useZone(isUTC() ? "" : "UTC");
    try {
      localStorage.setItem(KEY, isUTC() ? "UTC" : "");
    } catch {
      // storage is blocked; the choice holds for this page
    }
    fill();
    redraw();
  });
}
