// Keeps an open page true. The socket says which incidents changed; the page then fetches the fragments that it shows,
// and panels that wait for it (hx-trigger="load, news from:body") fetch themselves.
// Without this script everything works by forms and reloads.
import { names, refresh as fetchFragments } from "./fragments.js";

const page = document.body.dataset;
const SILENT_MS = 60_000; // the server says something at least every 25 s
const GO_ON = { 4401: false, 4403: false }; // signed out, or a foreign origin: trying again cannot help
let since = Number(page.since);
let waits = 500;
let silence;
let running = false;
let again = false;

function show(state, text) {
  const place = document.getElementById("connection");
  if (!place) return;
  place.hidden = false;
  place.dataset.state = state;
  document.getElementById("connection-text").textContent = text;
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${page.socket}?since=${since}`);
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.close(), SILENT_MS);
  };
  listen();
  socket.onmessage = (event) => {
    listen();
    waits = 500;
    show("live", "Live");
    const news = JSON.parse(event.data);
    since = Math.max(since, news.entry ?? 0);
    if (news.reload) return refresh();
    if (news.incidents?.length) changed(news);
  };
  socket.onclose = (event) => {
    clearTimeout(silence);
    if (event.code === 4401) return location.reload(); // leads to the sign-in page and back
    if (GO_ON[event.code] === false) return show("off", "Not live: reload to see news");
    show("off", "Reconnecting");
    setTimeout(connect, waits * (0.75 + Math.random() / 2));
    waits = Math.min(waits * 2, 15_000);
  };
}

function changed({ incidents, kinds = [] }) {
  const mine = Number(document.querySelector("[data-incident]")?.dataset.incident);
  if (mine && !incidents.includes(mine)) return;
  refresh();
  document.body.dispatchEvent(new CustomEvent("news", { detail: { incidents, kinds } }));
  const what = incidents.length === 1 ? `Incident ${incidents[0]}` : `${incidents.length} incidents`;
  const how = kinds.map((kind) => kind.replaceAll("_", " ")).join(", ");
  document.getElementById("announcer").textContent = `${what}: ${how || "changed"}.`;
}

// One fetch at a time; what changes meanwhile is fetched once more afterwards.
async function refresh() {
  again = true;
  if (running || !names().length) return;
  running = true;
  while (again) {
    again = false;
    try {
      await fetchFragments();
    } catch {
      await new Promise((done) => setTimeout(done, 2000));
      again = true;
    }
  }
  running = false;
}

addEventListener("pageshow", (event) => event.persisted && refresh()); // back button: the copy is old
if (page.socket) connect();
