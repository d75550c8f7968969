// Merges fragments of a page into it (core/pages.py): what a form of htmx is answered with, and what news ask for.
// What somebody reads, types, points at and has opened stays as it is.
/* global htmx, Idiomorph */
import { say, take } from "./messages.js";

const RELOAD_PAUSE_MS = 30_000; // a page that reloads itself more often than this is in a circle
const POINTING_MS = 30_000; // for so long a pointer that rests may be about to press something
const AGAIN_MS = 1000; // until a panel asks again that came at the wrong time
const STAMP = "watchbill-reloaded";
let submitted = null; // the form whose answer is being merged: what was typed into it has been said
let answers = 0; // how many of somebody's presses were answered: what was asked for before one of them is old
const merges = new WeakMap(); // how often each panel was merged
const asked = new WeakMap(); // and how often when a request for it began

const MORPH = {
  morphStyle: "outerHTML",
  ignoreActiveValue: true,
  callbacks: {
    beforeAttributeUpdated: (name, element) => !(name === "open" && /^(DETAILS|DIALOG)$/.test(element.nodeName)),
    beforeNodeMorphed: (old) => {
      if (old.nodeType !== Node.ELEMENT_NODE) return true;
      // data-keep: the script that made its contents looks after them.
      if (old.dataset.keep !== undefined || isTyped(old)) return false;
      old.wasState = old.dataset.state;
      return true;
    },
    afterNodeMorphed: (old) => {
      if (old.nodeType !== Node.ELEMENT_NODE) return;
      if (old.wasState !== undefined && old.wasState !== old.dataset.state) flash(old);
      delete old.wasState;
    },
    afterNodeAdded: (node) => node.nodeType === Node.ELEMENT_NODE && node.dataset.state !== undefined && flash(node),
  },
};

// Whether somebody changed this field and has not sent it.
function isTyped(field) {
  if (!field.form || field.form === submitted || field.type === "hidden") return false;
  if (field.matches("input[type=checkbox], input[type=radio]")) return field.checked !== field.defaultChecked;
  if (field.matches("input, textarea")) return field.value !== field.defaultValue;
  if (!field.matches("select") || field.multiple) return false;
  const named = [...field.options].findIndex((option) => option.defaultSelected);
  return field.selectedIndex !== Math.max(0, named);
}

export function flash(element) {
  element.classList.remove("changed");
  void element.offsetWidth; // restarts the animation
  element.classList.add("changed");
}

// The fragments of this page. Those with data-every change slowly and are fetched by the clock (live.js).
export function names({ slow = false } = {}) {
  const found = [...document.querySelectorAll("[data-fragment]")].filter((element) => slow || !element.dataset.every);
  return found.map((element) => element.dataset.fragment).filter((name) => name !== "messages");
}

// Merges the fragments among the children of `parent` and returns the elements that became part of the page.
export function merge(parent) {
  const letGo = hold();
  const merged = [];
  for (const fresh of [...parent.children]) {
    const name = fresh.dataset.fragment;
    if (!name) continue;
    if (name === "messages") {
      take(fresh);
      continue;
    }
    if (fresh.dataset.title) document.title = fresh.dataset.title;
    const old = document.querySelector(`[data-fragment="${name}"]`);
    if (old) merged.push(...Idiomorph.morph(old, fresh, MORPH));
  }
  letGo();
  document.dispatchEvent(new CustomEvent("fragments:merged"));
  return merged;
}

function hasFragments(parent) {
  return [...parent.children].some((child) => child.dataset.fragment);
}

// --- what one looks at stays where it is -------------------------------------------------------------------------

// Not every browser anchors its scrolling, none does at the top of a page, and a row may grow above the pointer there.
document.documentElement.style.overflowAnchor = "none";
let pointer = { x: -1, y: -1, at: -POINTING_MS };
const point = (event) => (pointer = { x: event.clientX, y: event.clientY, at: performance.now() });
for (const name of ["pointermove", "pointerdown"]) addEventListener(name, point, { passive: true });
document.documentElement.addEventListener("mouseleave", () => (pointer.at = -POINTING_MS));

// Remembers where the things are that somebody looks at; the function that it returns puts the page back there.
function hold() {
  const marks = anchors().map((element) => ({ element, parent: element.parentNode, top: element.getBoundingClientRect().top }));
  return () => {
    const mark = marks.find(({ element, parent }) => element.isConnected && element.parentNode === parent);
    const moved = mark ? mark.element.getBoundingClientRect().top - mark.top : 0;
    if (Math.abs(moved) >= 1) scrollBy({ top: moved, behavior: "instant" });
  };
}

// What must not move, the most important first; nothing at the top of a page where nobody points at anything.
function anchors() {
  const main = document.getElementById("main");
  if (!main) return [];
  const rows = [];
  if (performance.now() - pointer.at < POINTING_MS) rows.push(document.elementFromPoint(pointer.x, pointer.y)?.closest("[id]"));
  const focused = document.activeElement;
  if (main.contains(focused) && focused !== main && isSeen(focused)) rows.push(focused.closest("[id]"));
  const known = rows.filter((row) => row && row !== main && main.contains(row));
  const below = document.querySelector(".bar")?.getBoundingClientRect().bottom ?? 0;
  if (!known.length && scrollY < 1) return [];
  const seen = [...main.querySelectorAll("[data-fragment] [id], [data-fragment][id]")].filter((row) => isSeen(row, below));
  const near = known[0]?.getBoundingClientRect().top ?? below;
  const gap = (row) => Math.abs(row.getBoundingClientRect().top - near);
  return [...known, ...seen.sort((one, other) => gap(one) - gap(other)).slice(0, 20)];
}

function isSeen(element, top = 0) {
  const place = element.getBoundingClientRect();
  return place.height > 0 && place.top >= top && place.top < innerHeight;
}

// --- fetching ----------------------------------------------------------------------------------------------------

// Fetches fragments of this page anew. False: it could not be done now, so try again later.
export async function refresh(wanted = names()) {
  let answer, text;
  const before = answers;
  try {
    const headers = { "X-Fragment": wanted.join(","), "X-News": "1" };
    document.dispatchEvent(new CustomEvent("fragments:asked", { detail: { headers } })); // a page may add what it shows
    answer = await fetch(location.href, { headers, cache: "no-store", signal: AbortSignal.timeout(15_000) });
    text = await answer.text(); // a connection also ends in the middle of an answer
  } catch {
    return false;
  }
  if (answer.status >= 500 || answer.status === 429) return false;
  // Another filter, another kind: this shows what was chosen before. Each press asks once more, at most.
  if (answers !== before) return refresh(wanted);
  if (isPressed(document, false)) return false;
  const parent = parse(text).body;
  // Signed out, or it is hidden from us now, or it is another page since the server was updated.
  if (!answer.ok || answer.redirected || !hasFragments(parent)) return reload();
  added(merge(parent));
  return true;
}

const added = (elements) => elements.forEach((element) => element.nodeType === Node.ELEMENT_NODE && htmx.process(element));

const parse = (text) => new DOMParser().parseFromString(text, "text/html");

// Loads the page anew, and never in a circle. Returns whether there is nothing more to try.
export function reload() {
  const last = Number(sessionStorage.getItem(STAMP) ?? 0);
  if (Date.now() - last < RELOAD_PAUSE_MS) return false;
  sessionStorage.setItem(STAMP, String(Date.now()));
  location.reload();
  return true;
}

// Says that something happened: panels fetch themselves anew.
export function tellPanels(detail = { incidents: [], kinds: [] }) {
  document.body.dispatchEvent(new CustomEvent("news", { detail }));
}

// --- htmx --------------------------------------------------------------------------------------------------------

const isPanel = (element) => element.closest("[hx-swap]")?.getAttribute("hx-swap") === "panel";

// Whether something was pressed there whose answer is on its way. What comes before it is older than what was pressed.
function isPressed(place, isInPanel) {
  const waiting = place.querySelectorAll(":is(form, button, a).htmx-request");
  return [...waiting].some((element) => isPanel(element) === isInPanel);
}

// Whether a panel fetched this by itself before something that was pressed in it was answered.
function isOlder({ xhr, target, requestConfig }) {
  return requestConfig.elt === target && (asked.get(xhr) !== merges.get(target) || isPressed(target, true));
}

// Merges an answer; returns the elements that became part of the page, or false for other kinds of answers.
function swap(style, target, fragment) {
  if (style === "fragments") {
    answers += 1;
    return merge(fragment);
  }
  // A part of the page that another view makes: <div hx-get="…" hx-trigger="load, news from:body" hx-swap="panel">.
  if (style === "panel") {
    const said = fragment.querySelector('[data-fragment="messages"]');
    if (said) take(said);
    said?.remove(); // the page has its own place for them
    merges.set(target, (merges.get(target) ?? 0) + 1);
    const letGo = hold();
    const merged = Idiomorph.morph(target, fragment.childNodes, { ...MORPH, morphStyle: "innerHTML" });
    letGo();
    return merged;
  }
  return false;
}

// What a form was answered with when it is no fragment: another page to go to, or a page that says what is wrong.
function lead(detail) {
  const { xhr, requestConfig } = detail;
  const page = parse(xhr.responseText);
  const { body } = page;
  if (hasFragments(body)) return;
  detail.shouldSwap = false;
  const asked = new URL(requestConfig.path, location.href);
  const got = new URL(xhr.responseURL || asked, location.href);
  const wasLed = asked.pathname !== got.pathname;
  // A page that asks who we are leads back to this one, and not to the address of a form.
  if (wasLed && xhr.status < 400 && !body.classList.contains("framed")) location.reload();
  else if (wasLed && got.pathname === location.pathname) location.reload(); // an address with a # would only scroll
  else if (wasLed) location.assign(got.href);
  else if (xhr.status >= 400) say(sentence(body) || "This was refused. Reload the page and try again.");
  else renew(page);
}

// A whole page as the answer of a form: the page without fragments, or the form with what is wrong in it.
function renew(page) {
  const fresh = page.querySelector("main");
  const old = document.getElementById("main");
  if (!fresh || !old) return location.reload();
  answers += 1;
  document.title = page.title || document.title;
  Idiomorph.morph(old, fresh, { ...MORPH, morphStyle: "innerHTML" });
  htmx.process(old);
}

function sentence(body) {
  const main = body.querySelector("main");
  const words = main ? [...main.querySelectorAll("p, [role=alert]")].map((one) => one.textContent) : [];
  return words.map((text) => text.replace(/\s+/g, " ").trim()).find((text) => text) ?? "";
}

htmx.defineExtension("fragments", {
  isInlineSwap: (style) => style === "fragments" || style === "panel",
  handleSwap: swap,
  onEvent: (name, event) => {
    const { detail } = event;
    if (name === "htmx:configRequest" && !detail.headers["X-Fragment"]) {
      const wanted = isPanel(detail.elt) ? "panel" : names().join(",");
      if (wanted) detail.headers["X-Fragment"] = wanted;
    }
    if (name === "htmx:beforeRequest") asked.set(detail.xhr, merges.get(detail.target));
    if (name === "htmx:beforeSwap" && detail.shouldSwap) {
      const { elt, verb } = detail.requestConfig;
      const isOfPanel = isPanel(elt.isConnected ? elt : detail.target);
      submitted = detail.xhr.status < 400 ? elt.closest("form") : null;
      const isWhole = !isOfPanel || parse(detail.xhr.responseText).querySelector("main");
      if (isOfPanel && isOlder(detail)) {
        detail.shouldSwap = false;
        setTimeout(tellPanels, AGAIN_MS);
      }
      // Not the panel but a page that refuses it: what is shown stays, its link or what was true a moment ago.
      else if (isWhole && isOfPanel && verb === "get") detail.shouldSwap = false;
      else if (isWhole) lead(detail);
      // Another answer took the form away that was pressed, and htmx would not know any more what to do with this one.
      if (detail.shouldSwap && !elt.isConnected) {
        detail.shouldSwap = false;
        const { body } = parse(detail.xhr.responseText);
        added(swap(isOfPanel ? "panel" : "fragments", detail.target, body));
      }
    }
    if (name === "htmx:afterRequest") submitted = null;
    // What a panel fetches by itself fails in silence: it keeps what it shows, and the socket says what is wrong.
    if (detail?.requestConfig?.verb === "get" && isPanel(detail.requestConfig.elt)) return true;
    if (name === "htmx:sendError" || name === "htmx:timeout") {
      say("The server could not be reached. Nothing was changed; try again in a moment.");
    }
    if (name === "htmx:responseError" && detail.xhr.status >= 500) {
      say("Something broke on our side. Reload the page to see whether it was done.");
    }
    return true;
  },
});
