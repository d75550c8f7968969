// The page's side of the service worker (/sw.js): says how old a kept copy is, what waits to be sent, and what came of
// it. Without a service worker nothing here happens.
import { say } from "./messages.js";

const worker = navigator.serviceWorker;
const body = document.body;
const person = document.querySelector("meta[name=person]")?.content ?? "";
const AGAIN_MS = 10_000; // how often a page tries while something waits
const NAMES = { acknowledge: "Acknowledge", resolve: "Resolve" };
const told = new Set();
let waiting = [];
let isMerged = false;

// A copy begins at its top, where its age stands: after a reload a browser would put what is below that where it was.
history.scrollRestoration = body.dataset.copyAt ? "manual" : "auto";

const ask = (what) => worker?.controller?.postMessage(what);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(text, run, kind = "") {
  const made = element("button", { type: "button", class: `button button-small ${kind}`.trim() }, text);
  made.addEventListener("click", run);
  return made;
}

function clock(at) {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  const day = isToday ? {} : { weekday: "short", day: "numeric", month: "short" };
  return new Date(at).toLocaleString("en-GB", { ...day, hour: "2-digit", minute: "2-digit" });
}

function ago(at) {
  const minutes = Math.round((Date.now() - at) / 60_000);
  if (minutes < 1) return "just now";
  return minutes < 90 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

// --- a kept copy ---------------------------------------------------------------------------------------------------

function showAge() {
  const at = body.dataset.copyAt;
  let bar = document.getElementById("copy-bar");
  if (!at) return bar?.remove();
  if (!bar) {
    bar = element("div", { id: "copy-bar", class: "copy-bar", role: "status" }, element("p"), button("Try again", comeBack));
    document.getElementById("main").prepend(bar);
  }
  const text = element("strong", {}, `Offline: as of ${clock(at)}.`);
  bar.firstChild.replaceChildren(text, " What you press now is kept, and sent when you are back online.");
  return bar;
}

async function comeBack() {
  if (!body.dataset.copyAt && !document.querySelector("[data-offline]")) return;
  const answer = await fetch("/push/session", { cache: "no-store" }).catch(() => undefined);
  if (!answer || answer.status >= 500) return; // nobody is there, or only a proxy
  // A page of fragments stays as it is around them, with what somebody typed; another is loaded anew.
  if (!document.querySelector("[data-fragment]:not([data-fragment=messages])")) return location.reload();
  const { names, refresh, tellPanels } = await import("./fragments.js");
  if (await refresh(names({ slow: true }))) tellPanels();
}

document.addEventListener("fragments:merged", () => {
  isMerged = true;
  delete body.dataset.copyAt; // what was merged came from the server
  showAge();
  markRows();
});

// --- what waits ----------------------------------------------------------------------------------------------------

const TEXTS = {
  waiting: () => "is not sent yet, and calls go on until it is. It will be sent when you are back online.",
  "signed-out": () => (person ? "was not sent: you were signed out. It is being sent now." : "was not sent: you are signed out. Sign in to send it."),
  old: (one) => `was pressed ${ago(one.at)} and not sent. Much may have happened since. Send it now?`,
};

function line(one) {
  const name = `${NAMES[one.verb] ?? "Your answer for"} #${one.number}`;
  const text = element("p", {}, element("strong", {}, name), ` ${TEXTS[one.state](one)}`);
  const buttons = element("p", { class: "buttons" });
  if (one.state === "old") buttons.append(button("Send it now", () => ask({ confirm: one.id }), "button-primary"));
  if (one.state === "signed-out" && !person && !document.querySelector("input[type=password]")) {
    buttons.append(element("a", { class: "button button-small button-primary", href: "/login" }, "Sign in"));
  }
  buttons.append(button("Do not send", () => ask({ drop: one.id }), "button-quiet"));
  return element("li", { "data-waits": one.number, "data-state": one.state }, text, buttons);
}

function showQueue() {
  const mine = waiting.filter((one) => TEXTS[one.state] && (!person || !one.person || one.person === person));
  let list = document.getElementById("waiting");
  if (!mine.length) list?.remove();
  else {
    if (!list) {
      list = element("div", { id: "waiting", class: "waiting", role: "status" });
      document.getElementById("main").prepend(list);
    }
    const state = JSON.stringify(mine.map(({ id, state }) => [id, state]));
    if (list.dataset.shown !== state) list.replaceChildren(element("ul", {}, ...mine.map(line))); // else a pressed button would be lost
    list.dataset.shown = state;
  }
  markRows();
}

// On each row and page of an incident, beside its state.
function markRows() {
  document.querySelectorAll(".chip-waiting").forEach((chip) => chip.remove());
  for (const one of waiting) {
    if (!TEXTS[one.state] || one.person !== person) continue;
    const places = `#incident-${one.number} .chip, [data-number="${one.number}"] .chip, [data-incident="${one.number}"] .chip`;
    const chip = document.querySelector(places);
    chip?.after(element("span", { class: "chip chip-waiting" }, `${NAMES[one.verb] ?? "Answer"}: not sent yet`));
  }
}

// What came of an entry is said once, on a page that somebody sees.
function showOutcomes() {
  if (document.visibilityState !== "visible" || !person) return;
  for (const one of waiting) {
    if (TEXTS[one.state] || (one.person && one.person !== person) || told.has(one.id)) continue;
    told.add(one.id);
    say(one.text, one.state === "done" ? "success" : "error");
    ask({ drop: one.id });
    document.body.dispatchEvent(new CustomEvent("queue-sent", { detail: one }));
    refreshSoon();
  }
}

async function refreshSoon() {
  if (!person || !document.querySelector("[data-fragment]:not([data-fragment=messages])")) return;
  const { refresh } = await import("./fragments.js");
  refresh();
}

worker?.addEventListener("message", ({ data }) => {
  if (data.saved) return showSaved(data.saved);
  if (!data.queue) return undefined;
  const known = new Map(waiting.map(({ id, state }) => [id, state]));
  const mine = data.queue.filter((one) => person && one.person === person);
  const fresh = mine.filter((one) => !known.has(one.id) && one.state === "waiting");
  const isOut = mine.some((one) => known.get(one.id) === "waiting" && one.state === "signed-out");
  waiting = data.queue;
  showQueue();
  showOutcomes();
  if (isOut) refreshSoon(); // the session has ended: this leads to the sign-in page
  for (const one of fresh) {
    if (Date.now() - one.at < 3000) say(`No connection. ${NAMES[one.verb] ?? "Your answer"} #${one.number} is kept and sent as soon as there is one.`, "warning");
  }
  return undefined;
});

// --- the page of the worker ------------------------------------------------------------------------------------------

function showSaved(pages) {
  const place = document.querySelector("[data-saved]");
  if (!place) return;
  const lines = pages.map(({ path, title, at }) =>
    element("li", {}, element("a", { href: path }, unescape(title.split(" · ")[0]).replace(/^\(\d+\) /, "") || path), element("span", { class: "soft" }, `as of ${clock(at)}`)),
  );
  place.replaceChildren(...lines);
  document.querySelector("[data-saved-none]").hidden = Boolean(lines.length);
}

function unescape(text) {
  return new DOMParser().parseFromString(text, "text/html").body.textContent;
}

document.querySelector("[data-try-again]")?.addEventListener("click", () => location.reload());

// --- when ------------------------------------------------------------------------------------------------------------

const hello = () => ask({ ...(person && { here: person }), flush: true, saved: Boolean(document.querySelector("[data-saved]")) });

async function start() {
  if (!worker) return;
  worker.addEventListener("controllerchange", hello);
  worker.startMessages();
  showAge();
  try {
    // For everybody who is signed in, and not before the page is there: it has no part in the first picture.
    if (person) await worker.register("/sw.js", { scope: "/", updateViaCache: "none" });
  } catch {
    return; // an old browser, or one that is told to keep nothing
  }
  hello();
}

addEventListener("online", () => {
  hello();
  comeBack();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") return hello();
  // The copy is to be as new as what was seen last.
  if (isMerged && navigator.onLine && !body.dataset.copyAt) ask({ keep: location.href });
  isMerged = false;
  return undefined;
});
setInterval(() => {
  if (waiting.some(({ state }) => state === "waiting" || state === "signed-out")) ask({ flush: true });
  comeBack();
}, AGAIN_MS);

if (document.readyState === "complete") start();
else addEventListener("load", start);
