// The overview: the wait for the next call runs down, news that came above what one reads are announced, the plots, the
// sound and the icon of the tab.
/* global uPlot */

// --- how long until somebody is called -----------------------------------------------------------------------------

const SOON_S = 60;

function burn() {
  const now = Date.now() / 1000;
  for (const fuse of document.querySelectorAll(".fuse")) {
    const left = Math.max(0, Number(fuse.dataset.until) - now);
    fuse.value = Math.min(left, fuse.max);
    fuse.classList.toggle("is-soon", left < SOON_S);
  }
}

// --- what came above what one reads --------------------------------------------------------------------------------

const pill = document.getElementById("news-pill");
const rows = () => [...document.querySelectorAll(".job")];
let known = new Set(rows().map((row) => row.id));
let above = new Set();

function isAbove(row) {
  const edge = document.querySelector(".bar")?.getBoundingClientRect().bottom ?? 0;
  return row.getBoundingClientRect().bottom <= edge + 4;
}

function lookAbove() {
  for (const id of above) {
    const row = document.getElementById(id);
    if (!row || !isAbove(row)) above.delete(id);
  }
  pill.hidden = !above.size;
  if (above.size) pill.textContent = above.size === 1 ? "1 new incident above" : `${above.size} new incidents above`;
}

pill.addEventListener("click", () => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  scrollTo({ top: 0, behavior: calm ? "instant" : "smooth" });
  document.getElementById("main").focus({ preventScroll: true });
});
addEventListener("scroll", lookAbove, { passive: true });

// --- the sound -----------------------------------------------------------------------------------------------------

const KEY = "watchbill-sound";
const NOTES = [
  [880, 0],
  [660, 0.18],
  [880, 0.36],
];
const toggle = document.getElementById("sound-switch");
const hint = document.getElementById("sound-hint");
let audio;

// Browsers make no sound before somebody touched the page.
async function wakeAudio() {
  audio ??= new AudioContext();
  if (audio.state !== "running") await Promise.race([audio.resume(), new Promise((done) => setTimeout(done, 300))]);
  const isReady = audio.state === "running";
  hint.textContent = isReady ? "" : "Your browser keeps it silent until you click anywhere on this page.";
  return isReady;
}

export async function beep() {
  if (!(await wakeAudio())) return;
  document.documentElement.dataset.beeps = Number(document.documentElement.dataset.beeps ?? 0) + 1;
  for (const [pitch, after] of NOTES) {
    const [tone, loudness, at] = [audio.createOscillator(), audio.createGain(), audio.currentTime + after];
    tone.frequency.value = pitch;
    loudness.gain.setValueAtTime(0.0001, at);
    loudness.gain.exponentialRampToValueAtTime(0.25, at + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.0001, at + 0.16);
    tone.connect(loudness).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.17);
  }
}

function stored(value) {
  try {
    if (value !== undefined) localStorage.setItem(KEY, value);
    return localStorage.getItem(KEY);
  } catch {
    return null; // the browser keeps nothing: the switch holds until the page is closed
  }
}

if (window.AudioContext) {
  document.getElementById("sound").hidden = false;
  toggle.checked = stored() === "on";
  toggle.addEventListener("change", () => {
    stored(toggle.checked ? "on" : "off");
    if (toggle.checked) beep();
    else hint.textContent = "";
  });
  const touched = () => toggle.checked && audio?.state !== "running" && wakeAudio();
  addEventListener("pointerup", touched);
  addEventListener("keyup", touched);
  if (toggle.checked) wakeAudio();
}

// --- the icon of the tab -------------------------------------------------------------------------------------------

const icon = document.querySelector("link[rel=icon]");
const [calm, alarmed] = [icon.href, document.querySelector(".overview").dataset.alarmIcon];

function dressTab() {
  const waiting = Number(document.querySelector("[data-waiting]")?.dataset.waiting ?? 0);
  const href = waiting ? alarmed : calm;
  if (icon.href !== new URL(href, location.href).href) icon.href = href;
}

// --- the plots -----------------------------------------------------------------------------------------------------

const plots = new Map(); // its place -> { plot, data as text }
const HEIGHT = 84;

function days() {
  return [...document.querySelectorAll("#trend-days tbody tr")].map(({ dataset, cells }) => ({
    at: Date.parse(`${dataset.day}T12:00:00`) / 1000,
    name: cells[0].textContent,
    mtta: dataset.mtta === "" ? null : Number(dataset.mtta) / 60,
    within: Number(dataset.answered) ? (100 * Number(dataset.within)) / Number(dataset.answered) : null,
    said: { mtta: cells[2].textContent, within: cells[3].textContent },
  }));
}

// A colour of the design system as a canvas knows it.
function colour(place, name) {
  const before = place.style.color;
  place.style.color = `var(${name})`;
  const found = getComputedStyle(place).color;
  place.style.color = before;
  return found;
}

function draw() {
  if (!window.uPlot) return;
  const shown = days();
  for (const place of document.querySelectorAll("[data-plot]")) {
    const what = place.dataset.plot;
    const width = Math.floor(place.clientWidth);
    const inks = { line: colour(place, "--accent-fill"), soft: colour(place, "--soft"), grid: colour(place, "--line") };
    const data = [shown.map((day) => day.at), shown.map((day) => day[what])];
    const text = JSON.stringify([data, width, inks]);
    const old = plots.get(place);
    if (!width || old?.text === text) continue;
    old?.plot.destroy();
    plots.set(place, { plot: new uPlot(options(place, what, width, inks, shown), data, place), text });
  }
}

function options(place, what, width, inks, shown) {
  const trend = place.closest(".trend");
  const pointed = trend.querySelector(".trend-now");
  const axis = { stroke: inks.soft, font: "11px sans-serif", ticks: { show: false }, grid: { stroke: inks.grid, width: 1 } };
  const unit = what === "mtta" ? (value) => (value >= 1 || !value ? `${Math.round(value)} m` : `${Math.round(value * 60)} s`) : (value) => `${value} %`;
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    padding: [6, 4, 7, 0],
    scales: {
      x: { time: false, range: (_, low, high) => [low - 43200, high + 43200] },
      y: { range: what === "within" ? [0, 100] : (_, low, high) => [0, Math.max(high || 0, 1) * 1.1] },
    },
    axes: [
      { ...axis, show: false },
      { ...axis, size: 38, space: 28, values: (_, ticks) => ticks.map(unit) },
    ],
    series: [{}, { fill: inks.line, stroke: inks.line, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.62, 18], radius: 0.2 }) }],
    hooks: {
      setCursor: [
        ({ cursor }) => {
          const day = shown[cursor.idx];
          const isPointed = Boolean(day) && cursor.left >= 0;
          pointed.hidden = !isPointed;
          trend.querySelector(".trend-read").hidden = isPointed;
          if (isPointed) pointed.textContent = `${day.name}: ${day.said[what]}`;
        },
      ],
    },
  };
}

// --- all of it -----------------------------------------------------------------------------------------------------

function merged() {
  const fresh = rows().filter((row) => !known.has(row.id));
  known = new Set(rows().map((row) => row.id));
  for (const row of fresh) if (isAbove(row)) above.add(row.id);
  if (toggle.checked && fresh.some((row) => row.classList.contains("is-triggered"))) beep();
  lookAbove();
  burn();
  dressTab();
  draw();
}

burn();
dressTab();
setInterval(burn, 1000);
addEventListener("load", draw); // the library is deferred, and modules may run before it
document.addEventListener("fragments:merged", merged);
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
