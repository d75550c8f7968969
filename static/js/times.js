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

const STORED = "watchbill.times";
let isExact = false;
try {
  isExact = localStorage.getItem(STORED) === "exact";
} catch {
  // Nothing can be kept here: times are relative.
}

// Shows the exact times, which else stand in the titles, or the relative ones again.
export function exact() {
  isExact = !isExact;
  try {
    localStorage.setItem(STORED, isExact ? "exact" : "relative");
  } catch {
    // It holds for this page only.
  }
  document.getElementById("announcer").textContent = isExact ? "Times are exact." : "Times are relative.";
  refresh();
}

function refresh() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const isSaid = (isExact || time.dataset.exact !== undefined) && time.title;
    const text = isSaid ? time.title : relative(time.dataset.relative, Date.parse(time.dateTime), now);
    if (time.textContent !== text) time.textContent = text;
  }
}

// A touch has no hover: a tap shows the exact time, and another one the relative.
document.addEventListener("click", (event) => {
  const time = event.target.closest("time[data-relative]");
  if (!time || time.closest("a, button, summary, label")) return;
  time.toggleAttribute("data-exact");
  refresh();
});

refresh();
setInterval(refresh, 1000);
