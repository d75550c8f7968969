// Keeps an open page true. The socket says which incidents changed; the page then fetches the fragments that it shows.
// Without this script everything works by forms and reloads.
import { morph } from "./morph.js";
import "./times.js";

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
  const what = incidents.length === 1 ? `Incident ${incidents[0]}` : `${incidents.length} incidents`;
  const how = kinds.map((kind) => kind.replaceAll("_", " ")).join(", ");
  document.getElementById("announcer").textContent = `${what}: ${how || "changed"}.`;
}

// One fetch at a time; what changes meanwhile is fetched once more afterwards.
async function refresh() {
  again = true;
  if (running) return;
  running = true;
  while (again) {
    again = false;
    try {
      await Promise.all([fragments(), ...[...document.querySelectorAll("[data-src]")].map(panel)]);
    } catch {
      await new Promise((done) => setTimeout(done, 2000));
      again = true;
    }
  }
  running = false;
}

async function load(url, names) {
  const answer = await fetch(url, { headers: { "X-Fragment": names }, cache: "no-store", credentials: "same-origin" });
  if (answer.redirected || answer.status === 404) location.reload(); // signed out, or it is hidden from us now
  if (!answer.ok) throw new Error(answer.status);
  return new DOMParser().parseFromString(await answer.text(), "text/html").body;
}

async function fragments() {
  const names = [...document.querySelectorAll("[data-fragment]")].map((element) => element.dataset.fragment);
  if (!names.length) return;
  const body = await load(location.href, names.join(","));
  for (const fresh of [...body.children]) {
    const old = document.querySelector(`[data-fragment="${fresh.dataset.fragment}"]`);
    if (fresh.dataset.title) document.title = fresh.dataset.title;
    if (old) morph(old, fresh);
  }
}

async function panel(place) {
  const body = await load(place.dataset.src, "panel");
  const fresh = place.cloneNode(false);
  fresh.append(...body.childNodes);
  morph(place, fresh);
}

document.querySelectorAll("[data-src]").forEach((place) => panel(place).catch(() => {}));
document.querySelectorAll("form[data-autosubmit]").forEach((form) =>
  form.addEventListener("change", (event) => event.target.matches("select") && form.requestSubmit()),
);
// A menu of a verb closes with Escape and with a click elsewhere.
document.addEventListener("keydown", (event) => event.key === "Escape" && close());
document.addEventListener("click", (event) => close(event.target.closest(".verb")));
function close(except) {
  for (const menu of document.querySelectorAll(".verb[open]")) {
    if (menu === except) continue;
    const inside = menu.contains(document.activeElement);
    menu.open = false;
    if (inside) menu.querySelector("summary").focus();
  }
}

addEventListener("pageshow", (event) => event.persisted && refresh()); // back button: the copy is old
if (page.socket) connect();
