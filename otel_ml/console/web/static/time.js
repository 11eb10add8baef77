// Moments in the reader's time zone, with UTC on hover, and how long ago they were.
const DAY = 86_400_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dated = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

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
  document.getElementById("zone").textContent = timeZone === "UTC" ? "UTC" : `local, ${timeZone}; hover one for UTC`;
}
