// The page of one incident: what is pressed shows at once, what is typed stays, and notes have a toolbar.
// Without this script everything works by forms and reloads.
import { say } from "./messages.js";

const WAIT_MS = 15_000;
const page = document.querySelector(".incident");
const note = document.getElementById("note-text");

// --- what is pressed shows at once ----------------------------------------------------------------------------------
const AFTER = {
  acknowledge: ["acknowledged", "Acknowledged", "You have it"],
  start: ["investigating", "Investigating", "Investigating"],
  remediate: ["remediating", "Remediating", "Repairing"],
  resolve: ["resolved", "Resolved", "Resolving"],
  close: ["closed", "Closed", "Closing"],
};
const undone = new WeakMap(); // request -> what takes back what was shown for it

function change(element, property, value, undo) {
  const before = element[property];
  element[property] = value;
  undo.push(() => { element[property] = before; });
}

function expected(form) {
  const undo = [];
  const task = form.closest(".task");
  if (task) {
    task.classList.toggle("is-done");
    undo.push(() => task.classList.toggle("is-done"));
  }
  const move = AFTER[form.dataset.verb];
  if (!move) return undo;
  const [state, word, pressed] = move;
  const head = document.querySelector(".head");
  const chip = document.getElementById("status-chip");
  change(head, "className", `card head head-${state}`, undo);
  change(chip, "className", `chip chip-${state}`, undo);
  change(chip, "textContent", word, undo);
  const button = form.querySelector("button:not([type])");
  const texts = [...button.childNodes].filter((node) => node.matches?.(".long, .short") || node.data?.trim());
  for (const text of texts) change(text, "textContent", pressed, undo);
  change(button, "disabled", true, undo);
  const menu = form.closest(".verb");
  if (menu) change(menu, "open", false, undo);
  return undo;
}

function takeBack(xhr) {
  const undo = undone.get(xhr) ?? [];
  undone.delete(xhr);
  undo.reverse().forEach((step) => step());
}

document.body.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (!detail.elt.matches(".incident form[data-verb]")) return;
  detail.xhr.timeout = WAIT_MS;
  undone.set(detail.xhr, expected(detail.elt));
});
// Before what is true now is merged in, else the guess would be put back over it.
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => detail.xhr.status >= 400 && takeBack(detail.xhr));
for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout", "htmx:sendAbort"]) {
  document.body.addEventListener(name, ({ detail }) => takeBack(detail.xhr));
}
document.body.addEventListener("htmx:afterRequest", ({ detail }) => {
  const form = detail.elt;
  if (!detail.successful || !form.matches(".incident form[method=post]")) return;
  const menu = form.closest(".verb[open]");
  form.reset(); // what was typed has been said
  if (note && form.contains(note)) showPreview(false);
  if (!menu) return;
  const inside = menu.contains(document.activeElement);
  menu.open = false;
  for (const part of menu.querySelectorAll("details[open]")) part.open = false;
  if (inside) menu.querySelector("summary").focus();
});

// --- menus ----------------------------------------------------------------------------------------------------------
// A part of a menu may be opened from afar, by its shortcut: then the menu opens around it.
page.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.open || !details.matches(".verb, .menu-part")) return;
  const menu = details.parentElement.closest("details.verb");
  if (menu) menu.open = true;
  const field = details.matches(".verb-more") ? null : details.querySelector("textarea, select, input:not([type=hidden])");
  (field ?? details.querySelector(".menu-item, .drop button"))?.focus({ preventScroll: true });
}, true);

page.addEventListener("click", (event) => {
  const link = event.target.closest("a.menu-item");
  if (!link) return;
  link.closest("details.verb").open = false;
  // After the click, which closes what is open.
  const opens = { "#team-head": "verb-add-responder", "#verb-snooze": "verb-snooze" }[link.hash];
  if (opens) setTimeout(() => { document.getElementById(opens).open = true; });
  if (link.hash === "#update-head") setTimeout(() => document.getElementById("update-text")?.focus());
});

// --- notes ----------------------------------------------------------------------------------------------------------
function edited(text, from, to) {
  note.value = text;
  note.setSelectionRange(from, to);
  note.focus();
  note.dispatchEvent(new Event("input", { bubbles: true }));
}

function around(mark) {
  const { value, selectionStart: start, selectionEnd: end } = note;
  const inner = value.slice(start, end);
  edited(value.slice(0, start) + mark + inner + mark + value.slice(end), start + mark.length, end + mark.length);
}

function before(mark) {
  const { value, selectionStart: start, selectionEnd: end } = note;
  const first = value.lastIndexOf("\n", start - 1) + 1;
  const lines = value.slice(first, end).split("\n").map((line) => mark + line).join("\n");
  edited(value.slice(0, first) + lines + value.slice(end), first + lines.length, first + lines.length);
}

function link() {
  const { value, selectionStart: start, selectionEnd: end } = note;
  const words = value.slice(start, end) || "text";
  const from = start + words.length + 3;
  edited(`${value.slice(0, start)}[${words}](address)${value.slice(end)}`, from, from + "address".length);
}

let asked = 0;
async function showPreview(wanted) {
  const button = document.getElementById("note-preview-button");
  const place = document.getElementById("note-preview");
  button.setAttribute("aria-expanded", String(wanted));
  place.hidden = !wanted;
  place.replaceChildren();
  if (!wanted) return;
  const mine = ++asked;
  const body = new FormData(note.form);
  const answer = await fetch(button.dataset.url, { method: "POST", body }).catch(() => null);
  if (mine !== asked || place.hidden) return;
  if (!answer?.ok || answer.redirected) return say("The preview could not be made. The note can be added all the same.");
  // The server made it of Markdown and let safe elements through, as it does for the timeline.
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  place.replaceChildren(...parsed.body.childNodes);
}

if (note) {
  document.getElementById("note-tools").hidden = false;
  document.getElementById("note-tools").addEventListener("click", (event) => {
    const tool = event.target.closest(".tool");
    if (!tool) return;
    if (tool.dataset.mark) around(tool.dataset.mark);
    else if (tool.dataset.line) before(tool.dataset.line);
    else if (tool.dataset.link !== undefined) link();
    else showPreview(document.getElementById("note-preview").hidden);
  });
  note.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) note.form.requestSubmit();
    if ((event.ctrlKey || event.metaKey) && event.key === "b") {
      event.preventDefault();
      around("**");
    }
  });
}
