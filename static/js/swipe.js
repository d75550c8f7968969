// Swiping an incident of a list on a phone: to the right acknowledges, to the left resolves. It is sent after a moment in
// which it can be undone, or at once when the page is put away. Who does not swipe has the buttons.
/* global htmx */
import { names } from "./fragments.js";

const UNDO_MS = 4000;
const STARTS_PX = 12; // before that it may still be a tap, or become scrolling
const ENOUGH = 0.3; // of the width of the row
const ACTS = {
  acknowledge: "Acknowledging",
  resolve: "Resolving",
};
const narrow = matchMedia("(max-width: 46rem)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const kept = new Map(); // number -> what is sent when its time is up
let swipe;
let sent = Promise.resolve(); // one after the other: htmx would drop what is pressed while it sends

function numberOf(row) {
  return row.dataset.number || /^incident-(\d+)$/.exec(row.id)?.[1];
}

// data-swipe says that the person may act on it; it can be acknowledged while it has the button for that.
function may(row, verb) {
  const number = numberOf(row);
  if (!number || kept.has(number)) return false;
  return verb === "resolve" || Boolean(row.querySelector(`form[action="${address(number, verb)}"]`));
}

function begin(event) {
  const row = event.target.closest("[data-swipe]");
  if (!row || !narrow.matches || event.pointerType === "mouse" || !event.isPrimary) return;
  if (event.target.closest("button, input, select, textarea, summary, label")) return;
  swipe = { row, id: event.pointerId, x: event.clientX, y: event.clientY, by: 0, runs: false };
}

function move(event) {
  if (!swipe || event.pointerId !== swipe.id) return;
  const [right, down] = [event.clientX - swipe.x, event.clientY - swipe.y];
  if (!swipe.runs) {
    if (Math.abs(down) > STARTS_PX && Math.abs(down) >= Math.abs(right)) return end(); // scrolling
    if (Math.abs(right) < STARTS_PX) return;
    swipe.runs = true;
    swipe.row.setPointerCapture?.(swipe.id);
    swipe.row.classList.add("swiping");
  }
  const verb = right > 0 ? "acknowledge" : "resolve";
  swipe.verb = may(swipe.row, verb) ? verb : "";
  swipe.by = swipe.verb ? right : right / 6; // what cannot be done pulls back
  swipe.isEnough = Boolean(swipe.verb) && Math.abs(right) > swipe.row.clientWidth * ENOUGH;
  swipe.row.dataset.swiped = swipe.verb;
  swipe.row.classList.toggle("swipe-enough", swipe.isEnough);
  if (!still.matches) swipe.row.style.translate = `${swipe.by}px 0`;
}

function end(event) {
  if (!swipe || (event && event.pointerId !== swipe.id)) return;
  const { row, verb, isEnough, runs } = swipe;
  swipe = undefined;
  row.classList.remove("swiping", "swipe-enough");
  delete row.dataset.swiped;
  row.style.translate = "";
  if (!runs) return;
  // The finger's way was a swipe: it opens no link that was under it.
  row.addEventListener("click", stop, { capture: true, once: true });
  setTimeout(() => row.removeEventListener("click", stop, { capture: true }), 300);
  if (event?.type === "pointerup" && isEnough) later(row, verb);
}

function stop(event) {
  event.preventDefault();
  event.stopPropagation();
}

function later(row, verb) {
  const number = numberOf(row);
  const toast = document.createElement("div");
  toast.className = "message message-undo";
  toast.setAttribute("role", "status");
  const text = document.createElement("span");
  text.textContent = `${ACTS[verb]} #${number} …`;
  const undo = document.createElement("button");
  undo.type = "button";
  undo.className = "button button-small";
  undo.textContent = "Undo";
  undo.setAttribute("aria-label", `Undo: do not ${verb} incident ${number}`);
  undo.addEventListener("click", () => forget(number));
  toast.append(text, undo);
  document.getElementById("messages").append(toast);
  navigator.vibrate?.(15);
  kept.set(number, { verb, toast, timer: setTimeout(() => send(number), UNDO_MS) });
  mark();
}

function forget(number) {
  const { toast, timer } = kept.get(number);
  clearTimeout(timer);
  toast.remove();
  kept.delete(number);
  mark();
}

const address = (number, verb) => `/incidents/${number}/do/${verb}`;

function values() {
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
  return { csrfmiddlewaretoken: token, next: location.pathname + location.search };
}

function send(number) {
  const one = kept.get(number);
  sent = sent.then(async () => {
    if (kept.get(number) !== one) return; // undone, or sent when the page was put away
    forget(number);
    const how = { source: document.body, target: "#main", swap: "fragments", values: values() };
    await htmx.ajax("POST", address(number, one.verb), how).catch(() => undefined); // fragments.js says that it failed
  });
}

// The page is put away: what is still kept goes now, and arrives also when the page is gone. What the server says to it
// waits for the next page, as nobody reads this answer (X-News).
function sendAll() {
  for (const [number, { verb }] of [...kept]) {
    forget(number);
    const headers = { "X-Fragment": names()[0], "X-News": "1" };
    fetch(address(number, verb), { method: "POST", body: new URLSearchParams(values()), keepalive: true, headers })
      .catch(() => undefined); // without a connection the service worker keeps it
  }
}

// A row that waits says so; news may have drawn it anew.
function mark() {
  for (const row of document.querySelectorAll("[data-swipe]")) {
    const one = kept.get(numberOf(row));
    row.classList.toggle("swipe-kept", Boolean(one));
  }
}

document.addEventListener("pointerdown", begin);
document.addEventListener("pointermove", move);
document.addEventListener("pointerup", end);
document.addEventListener("pointercancel", end);
document.addEventListener("fragments:merged", mark);
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && sendAll());
addEventListener("pagehide", sendAll);
