// Keeps relative times fresh. The same words as core/templatetags/pages.py.

const LATE_SECONDS = 30;

export function words(seconds) {
  seconds = Math.max(0, Math.floor(seconds));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} m`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export function relative(style, at, now) {
  const gone = (now - at) / 1000;
  if (style === "in") {
    if (gone <= -1) return `in ${words(-gone)}`;
    return gone < LATE_SECONDS ? "now" : `${words(gone)} late`;
  }
  return style === "age" ? words(gone) : `${words(gone)} ago`;
}

function refresh() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const text = relative(time.dataset.relative, Date.parse(time.dateTime), now);
    if (time.textContent !== text) time.textContent = text;
  }
}

refresh();
setInterval(refresh, 1000);
