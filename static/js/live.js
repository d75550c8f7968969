// Keeps an open page true. The socket says which incidents changed; the page then fetches the fragments that it shows,
// and panels that wait for it (hx-trigger="load, news from:body") fetch themselves. What changes slowly (data-every)
// and what says "minute from:body" is fetched by the clock. Without this script everything works by forms and reloads.
import { names, refresh as fetchFragments, reload, tellPanels } from "./fragments.js";

const page = document.body.dataset;
const SILENT_MS = 60_000; // the server says something at least every 25 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const OLD_MS = 10_000; // not live for so long: say since when
const PAUSE_MS = 700; // between two fetches of a page that is looked at
const HIDDEN_PAUSE_MS = 3_000; // and of one that is not
const MINUTE_MS = 60_000;
const FINAL = [4401, 4403]; // signed out, or a foreign origin: trying again cannot help

let since = Number(page.since);
let socket;
let wait = FIRST_WAIT_MS;
let heardAt = 0;
let retry;
let lostAt = 0;

// --- what the page says about it -----------------------------------------------------------------------------------

function show(state, text) {
  document.documentElement.dataset.live = state;
  const place = document.getElementById("connection");
  if (!place) return;
  place.hidden = false;
  if (place.dataset.state !== state) place.dataset.state = state;
  const words = document.getElementById("connection-text");
  if (words.textContent !== text) words.textContent = text;
}

function showLost() {
  if (!lostAt) return;
  const at = new Date(lostAt).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (!navigator.onLine) show("off", `Offline since ${at}`);
  else show("off", Date.now() - lostAt < OLD_MS ? "Reconnecting" : `Not live since ${at}`);
}

// --- the socket ----------------------------------------------------------------------------------------------------

function connect() {
  clearTimeout(retry);
  if (socket && socket.readyState <= WebSocket.OPEN) return;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = (socket = new WebSocket(`${scheme}//${location.host}${page.socket}?since=${since}`));
  heardAt = Date.now();
  mine.onmessage = (event) => {
    if (mine !== socket) return;
    heardAt = Date.now();
    wait = FIRST_WAIT_MS;
    lostAt = 0;
    show("live", "Live");
    const news = JSON.parse(event.data);
    // What comes is fetched, however long it takes: so the next connection begins after it.
    since = Math.max(since, news.entry ?? 0);
    if (news.reload) return everythingMayHaveChanged();
    if (news.incidents?.length) changed(news);
  };
  mine.onclose = (event) => mine === socket && lost(event.code);
}

// Not every network says that it is gone, nor does a device that slept: a closing handshake that nobody answers takes
// minutes.
function drop() {
  if (!socket) return;
  socket.onclose = socket.onmessage = null;
  socket.close();
  lost();
}

function lost(code) {
  socket = null;
  if (code === 4401 && reload()) return; // leads to the sign-in page and back
  lostAt ||= Date.now();
  if (FINAL.includes(code)) return show("off", "Not live: reload to see news");
  showLost();
  clearTimeout(retry);
  retry = setTimeout(connect, wait * (0.75 + Math.random() / 2));
  wait = Math.min(wait * 2, LONGEST_WAIT_MS);
}

// The network is back, or somebody looks at the page again: not after the wait, now.
function hurry() {
  wait = FIRST_WAIT_MS;
  if (!socket) connect();
}

function changed({ incidents, kinds = [], spread_ms: spread = 0 }) {
  const mine = Number(document.querySelector("[data-incident]")?.dataset.incident);
  if (mine && !incidents.includes(mine)) return;
  soon(spread, () => tellPanels({ incidents, kinds }));
  const what = incidents.length === 1 ? `Incident ${incidents[0]}` : `${incidents.length} incidents`;
  const how = kinds.map((kind) => kind.replaceAll("_", " ")).join(", ");
  document.getElementById("announcer").textContent = `${what}: ${how || "changed"}.`;
}

// --- fetching ------------------------------------------------------------------------------------------------------

// One fetch at a time, with a pause between; what changes meanwhile is fetched once more afterwards. `spread` comes
// from the server: with many open pages each waits a part of it by chance, so that they do not all come at once.
let wanted = new Set();
let tellers = [];
let timer;
let running = false;
let lastAt = -PAUSE_MS;

function soon(spread = 0, teller, fragments = names()) {
  fragments.forEach((name) => wanted.add(name));
  if (teller) tellers = [teller]; // panels fetch all that they show, so one word is enough
  if (timer || running) return;
  const pause = document.hidden ? HIDDEN_PAUSE_MS : PAUSE_MS;
  const delay = Math.max(Math.random() * spread * (document.hidden ? 2 : 1), lastAt + pause - performance.now(), 0);
  timer = setTimeout(run, delay);
}

async function run() {
  timer = undefined;
  running = true;
  const [asked, told] = [[...wanted], tellers];
  wanted = new Set();
  tellers = [];
  told.forEach((tell) => tell());
  // What cannot be merged is loaded anew: a page that says it is live must not stand still.
  const isDone = !asked.length || (await fetchFragments(asked).catch(() => reload()));
  running = false;
  lastAt = performance.now();
  if (!isDone) {
    asked.forEach((name) => wanted.add(name));
    lastAt += 2000 + Math.random() * 2000;
  }
  if (wanted.size || tellers.length) soon(0, undefined, []);
}

function everythingMayHaveChanged() {
  soon(1000, () => tellPanels(), names({ slow: true }));
}

// --- the clock and the browser -------------------------------------------------------------------------------------

let minuteAt = Date.now();

function tick() {
  if (Date.now() - heardAt > SILENT_MS) drop();
  showLost();
  if (document.hidden || !navigator.onLine || Date.now() - minuteAt < MINUTE_MS) return;
  minuteAt = Date.now();
  const slow = names({ slow: true }).filter((name) => !names().includes(name));
  if (slow.length) soon(5000, undefined, slow);
  document.body.dispatchEvent(new CustomEvent("minute"));
}

if (page.socket) {
  connect();
  setInterval(tick, 1000);
  addEventListener("online", hurry);
  addEventListener("offline", drop);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    hurry();
    tick();
    if (timer) {
      clearTimeout(timer); // what a hidden page would have fetched some time
      timer = undefined;
      soon(0, undefined, []);
    }
  });
  // The copy that the back button shows is old, and its socket is closed.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    hurry();
    everythingMayHaveChanged();
  });
  addEventListener("pagehide", () => {
    const old = socket;
    socket = null;
    if (old) old.onclose = old.onmessage = null;
    old?.close();
  });
}
