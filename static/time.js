// Shows <time> elements in the reader's zone and language. The server writes
// UTC, which stays in the title.
const language = document.documentElement.lang;
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(language, { style: "short", numeric: "always" });
const steps = [["second", 60], ["minute", 60], ["hour", 24], ["day", Infinity]];

function ago(seconds) {
  let value = Math.max(0, seconds);
  for (const [unit, size] of steps) {
    if (value < size) return relative.format(-Math.floor(value), unit);
    value /= size;
  }
}

function elapsed(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  return `${Math.floor(s / 3600)}h ${two(Math.floor(s / 60) % 60)}m ${two(s % 60)}s`;
}

function show(element, now) {
  const at = new Date(element.dateTime);
  const seconds = (now - at) / 1000;
  let text;
  switch (element.dataset.as) {
    case "ago": text = ago(seconds); break;
    case "elapsed": text = elapsed(seconds); break;
    default: text = (Math.abs(seconds) < 43200 ? clock : day).format(at);
  }
  if (element.textContent !== text) element.textContent = text;
  if (!element.title) element.title = `${full.format(at)}\n${element.dateTime}`;
}

export function showTimes(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time")) show(element, now);
}

setInterval(() => {
  const now = Date.now();
  for (const element of document.querySelectorAll("time[data-as]")) show(element, now);
}, 1000);
