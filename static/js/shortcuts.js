// Single keys. They do nothing while somebody types, nor with Ctrl, Alt or Meta, and they can be turned off.
// A page gives an element a key by data-shortcut="a": a button or a link is pressed, a menu opens, a field is focused.
import { exact } from "./times.js";

const STORED = "watchbill.keys";
const CHORD_MS = 1500;
const ROWS = "main [data-rows] > *, main .rows tbody tr, main .messages-list > li";
const sheet = document.getElementById("shortcuts");
const choice = document.getElementById("shortcuts-on");
let chordUntil = 0;
let isOn = true;

try {
  isOn = localStorage.getItem(STORED) !== "off";
} catch {
  // Nothing can be kept here: the keys are on.
}

function isShown(element) {
  return element.getClientRects().length > 0 && !element.disabled;
}

// What has a key on this page, and is not of the frame around it.
export function targets() {
  return [...document.querySelectorAll("main [data-shortcut]")].filter(isShown);
}

export function press(element) {
  if (element.matches("input, textarea, select")) element.focus();
  else if (element.matches("summary")) {
    element.parentElement.open = true;
    (element.parentElement.querySelector("input:not([type=hidden]), textarea, select, button") ?? element).focus();
  } else element.click();
}

function moveRow(steps) {
  const rows = [...document.querySelectorAll(ROWS)].filter(isShown);
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[at < 0 ? (steps > 0 ? 0 : rows.length - 1) : at + steps];
  const link = next?.querySelector("[data-open], .what a, a[href]");
  link?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "?": () => sheet.showModal(),
  "/": () => document.getElementById("bar-q")?.focus(),
  j: () => moveRow(1),
  k: () => moveRow(-1),
  t: () => exact(),
  g: () => {
    chordUntil = Date.now() + CHORD_MS;
  },
};

function isTyping(element) {
  return element.isContentEditable || element.matches("input:not([type=checkbox], [type=radio]), textarea, select");
}

document.addEventListener("keydown", (event) => {
  const { key } = event;
  if (!isOn || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat && !/^[jk]$/.test(key)) return;
  if (event.defaultPrevented || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const wasChord = Date.now() < chordUntil;
  chordUntil = 0;
  const found = wasChord
    ? document.querySelector(`[data-go="${CSS.escape(key)}"]`)
    : [...document.querySelectorAll(`[data-shortcut="${CSS.escape(key)}"]`)].find(isShown);
  if (!found && (wasChord || !KEYS[key])) return;
  event.preventDefault();
  if (found) press(found);
  else KEYS[key]();
});

choice.checked = isOn;
choice.addEventListener("change", () => {
  isOn = choice.checked;
  try {
    localStorage.setItem(STORED, isOn ? "on" : "off");
  } catch {
    // It holds for this page only.
  }
});

if (/Mac|iPhone|iPad/.test(navigator.platform)) {
  for (const shown of document.querySelectorAll('[data-keys="palette"]')) shown.textContent = "⌘ K";
}
