// The command palette: a field that leads anywhere. The server says what fits (config/palette.py); what can be done on
// this page is read from its buttons, which say their key in data-shortcut.
import { press, targets } from "./shortcuts.js";
import { choose } from "./theme.js";
import { exact } from "./times.js";

const dialog = document.getElementById("palette");
const field = dialog.querySelector("#palette-q");
const list = dialog.querySelector("#palette-list");
const none = dialog.querySelector(".palette-none");
const count = dialog.querySelector("#palette-count");
const WAIT_MS = 90;
// Offline, the worker of the browser may answer with a page of its own.
const GONE = "The server could not be reached, or you are signed out. Reload the page in a moment.";
const here = new Map(); // lines of this page, and the elements that they press
let asking, waiting, active;
let shown = null; // the words that the lines fit
let isEntered = false; // Enter was pressed for words that they do not fit yet

export function open() {
  if (dialog.open) return dialog.close();
  document.querySelectorAll("dialog[open]").forEach((other) => other.close());
  field.value = "";
  isEntered = false;
  dialog.showModal();
  field.focus();
  ask();
}

async function ask() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  shown = null;
  const words = field.value;
  try {
    const query = new URLSearchParams({ q: words });
    const answer = await fetch(`${dialog.dataset.results}?${query}`, { headers: { "X-Fragment": "results" }, signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector('[data-fragment="results"]');
    if (!answer.ok || !found) show(null, GONE);
    else show(found, "Nothing has these words. Try fewer, or the number of an incident.");
  } catch (error) {
    if (error.name === "AbortError") return;
    show(null, GONE);
  }
  shown = words;
  if (isEntered) enter();
}

function show(found, otherwise) {
  list.replaceChildren(...ofThisPage(), ...(found ? found.children : []));
  const lines = options();
  none.hidden = lines.length > 0;
  none.textContent = otherwise;
  count.textContent = lines.length ? `${lines.length} lines fit.` : otherwise;
  activate(lines[0]);
  list.scrollTop = 0;
}

// The first line that fits what was typed before leads elsewhere: Enter waits for those that fit now.
function enter() {
  isEntered = shown !== field.value;
  if (!isEntered && dialog.open) active?.click();
}

function ofThisPage() {
  here.clear();
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const group = document.createElement("div");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "On this page");
  for (const target of targets()) {
    const label = target.dataset.command || target.getAttribute("aria-label") || target.textContent.trim();
    if (!label || !words.every((word) => ` ${label.toLowerCase()}`.includes(` ${word}`))) continue;
    const line = document.getElementById("palette-here").content.cloneNode(true).firstElementChild;
    line.id = `here-${here.size}`;
    line.querySelector(".result-label").textContent = label.replace(/\s+/g, " ");
    line.querySelector("kbd").textContent = target.dataset.shortcut;
    here.set(line, target);
    group.append(line);
  }
  return here.size ? [group] : [];
}

function options() {
  return [...list.querySelectorAll('[role="option"]')];
}

function activate(line) {
  active?.setAttribute("aria-selected", "false");
  active = line;
  if (!line) return field.removeAttribute("aria-activedescendant");
  line.setAttribute("aria-selected", "true");
  line.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", line.id);
}

function move(steps) {
  const lines = options();
  if (!lines.length) return;
  activate(lines[(lines.indexOf(active) + steps + lines.length) % lines.length]);
}

const ACTIONS = {
  theme: choose,
  opens: (id) => document.getElementById(id).showModal(),
  times: exact,
};

function run(line, event) {
  const [name, value] = (line.dataset.action ?? "").split(":");
  const target = here.get(line);
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a link in a tab of its own
  if (target || ACTIONS[name]) event.preventDefault();
  dialog.close();
  if (target) press(target);
  else ACTIONS[name]?.(value);
}

dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});
field.addEventListener("input", () => {
  isEntered = false;
  clearTimeout(waiting);
  waiting = setTimeout(ask, WAIT_MS);
});
field.addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!steps || event.isComposing) return;
  event.preventDefault();
  move(steps);
});
list.addEventListener("mousemove", (event) => {
  const line = event.target.closest('[role="option"]');
  if (line && line !== active) activate(line);
});
list.addEventListener("click", (event) => {
  const line = event.target.closest('[role="option"]');
  if (line) run(line, event);
});
document.addEventListener("keydown", (event) => {
  const isIt = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  if (!isIt) return;
  event.preventDefault();
  open();
});
