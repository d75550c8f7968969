// Merges fragments of a page into it (core/pages.py): what a form of htmx is answered with, and what news ask for.
// Focus, typed text, open <details> and a button that is being pressed stay as they are.
/* global htmx, Idiomorph */
import { say, take } from "./messages.js";

const MORPH = {
  morphStyle: "outerHTML",
  ignoreActiveValue: true,
  callbacks: {
    beforeAttributeUpdated: (name, element) => !(name === "open" && /^(DETAILS|DIALOG)$/.test(element.nodeName)),
    // data-keep: the script that made its contents looks after them.
    beforeNodeMorphed: (old, fresh) => {
      if (old.nodeType !== Node.ELEMENT_NODE) return true;
      if (old.dataset.keep !== undefined) return false;
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

export function flash(element) {
  element.classList.remove("changed");
  void element.offsetWidth; // restarts the animation
  element.classList.add("changed");
}

export function names() {
  const found = [...document.querySelectorAll("[data-fragment]")].map((element) => element.dataset.fragment);
  return found.filter((name) => name !== "messages");
}

// Returns the elements that were merged; without any the answer was another page: signed out, or hidden from us now.
export function merge(parent) {
  const merged = [];
  for (const fresh of [...parent.children]) {
    const name = fresh.dataset.fragment;
    if (!name) continue;
    if (name === "messages") {
      take(fresh);
      merged.push(document.getElementById("messages"));
      continue;
    }
    if (fresh.dataset.title) document.title = fresh.dataset.title;
    const old = document.querySelector(`[data-fragment="${name}"]`);
    if (old) merged.push(...Idiomorph.morph(old, fresh, MORPH));
  }
  if (!merged.length) location.reload();
  document.dispatchEvent(new CustomEvent("fragments:merged"));
  return merged;
}

// Fetches the fragments that the page shows, anew.
export function refresh() {
  return htmx.ajax("GET", location.href, { source: document.body, target: "#main", swap: "fragments" });
}

htmx.defineExtension("fragments", {
  isInlineSwap: (style) => style === "fragments" || style === "panel",
  handleSwap: (style, target, fragment) => {
    if (style === "fragments") return merge(fragment);
    // A part of the page that another view makes: <div hx-get="…" hx-trigger="load, news from:body" hx-swap="panel">.
    if (style === "panel") return Idiomorph.morph(target, fragment.childNodes, { ...MORPH, morphStyle: "innerHTML" });
    return false;
  },
  onEvent: (name, event) => {
    if (name === "htmx:configRequest") {
      const headers = event.detail.headers;
      const isPanel = event.detail.elt.getAttribute("hx-swap") === "panel";
      if (!headers["X-Fragment"]) headers["X-Fragment"] = isPanel ? "panel" : names().join(",");
    }
    if (name === "htmx:sendError") say("The server could not be reached. Nothing was changed; try again in a moment.");
    if (name === "htmx:responseError" && event.detail.xhr.status >= 500) {
      say("Something broke on our side. Reload the page to see whether it was done.");
    }
    return true;
  },
});
