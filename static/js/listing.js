// The list of incidents: rows are selected, moved through with j and k, and shown anew without losing either.
const $ = (id) => document.getElementById(id);
const picks = () => [...document.querySelectorAll("#listed input[name=number]")];
let last = null; // where a shift-click begins
let chosen = new Set(); // numbers; it outlives the rows that are merged in

function show() {
  const boxes = picks();
  for (const box of boxes) box.checked = chosen.has(box.value);
  const on = boxes.filter((box) => box.checked);
  chosen = new Set(on.map((box) => box.value)); // what is not shown any more is not done either
  const bar = $("bulk");
  const all = $("pick-all");
  if (!bar || !all) return;
  bar.classList.toggle("is-on", on.length > 0);
  $("bulk-count").textContent = on.length === 1 ? "1 selected" : `${on.length} selected`;
  $("bulk-none").hidden = false;
  all.hidden = boxes.length === 0;
  all.checked = on.length > 0 && on.length === boxes.length;
  all.indeterminate = on.length > 0 && on.length < boxes.length;
  for (const option of $("bulk-into").options) option.hidden = option.disabled = option.value !== "" && !chosen.has(option.value);
  const into = $("bulk-into");
  if (into.selectedOptions[0]?.disabled) into.value = "";
  $("bulk-merge").hidden = on.length < 2;
}

function pick(box, on) {
  if (on) chosen.add(box.value);
  else chosen.delete(box.value);
}

document.addEventListener("click", (event) => {
  const box = event.target;
  if (box.id === "bulk-none") {
    chosen.clear();
    show();
  }
  if (!box.matches?.("#listed input[name=number]")) return;
  const boxes = picks();
  const [from, to] = [boxes.findIndex((one) => one.value === last), boxes.indexOf(box)].sort((a, b) => a - b);
  const reach = event.shiftKey && from >= 0 ? boxes.slice(from, to + 1) : [box];
  for (const one of reach) pick(one, box.checked);
  last = box.value;
  show();
});

document.addEventListener("change", (event) => {
  if (event.target.id !== "pick-all") return;
  for (const box of picks()) pick(box, event.target.checked);
  show();
});

// What was done to them is done; what did not arrive can be pressed again.
document.addEventListener("htmx:beforeOnLoad", ({ detail }) => {
  const form = detail.requestConfig.elt;
  if (form.id !== "bulk" || detail.xhr.status >= 400) return;
  chosen.clear();
  for (const menu of form.querySelectorAll("details[open]")) menu.open = false;
});
document.addEventListener("fragments:merged", show);

// The rows that are shown stay when they match no more, until the filters change or the page is loaded anew.
function tellShown({ headers }) {
  if (!headers["X-Fragment"]?.includes("rows")) return;
  headers["X-Shown"] = [...document.querySelectorAll("#listed tr")].map((row) => row.dataset.number).join(",");
}
document.addEventListener("fragments:asked", (event) => tellShown(event.detail));
document.addEventListener("htmx:configRequest", (event) => event.target.id !== "finder" && tellShown(event.detail));

// --- the filters ----------------------------------------------------------------------------------------------

// “All” and the other states exclude each other.
$("finder")?.addEventListener(
  "change",
  (event) => {
    const box = event.target;
    if (box.name !== "state" || !box.checked) return;
    for (const other of document.querySelectorAll("#finder input[name=state]")) {
      if (other !== box && (box.value === "all" || other.value === "all")) other.checked = false;
    }
  },
  true,
);

for (const narrow of document.querySelectorAll(".finder-narrow")) {
  narrow.hidden = false;
  narrow.addEventListener("input", () => {
    const word = narrow.value.trim().toLowerCase();
    for (const label of narrow.parentElement.querySelectorAll("label")) {
      label.hidden = !label.textContent.toLowerCase().includes(word) && !label.querySelector(":checked");
    }
  });
  narrow.addEventListener("change", (event) => event.stopPropagation());
}

const menu = $("finder-menu");
document.addEventListener("click", (event) => menu?.open && !menu.contains(event.target) && (menu.open = false));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu?.open) return;
  const inside = menu.contains(document.activeElement);
  menu.open = false;
  if (inside) menu.querySelector("summary").focus();
});
// On a phone the button at the end of the sheet closes it.
$("finder")?.addEventListener("submit", () => (menu.open = false));

// --- by keyboard ------------------------------------------------------------------------------------------------
// The keys that walk through rows are those of every page (shortcuts.js); this one is for the row that has the focus.

const SELECT = "x";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), textarea, select")) return;
  const box = event.key === SELECT && event.target.closest("#listed tr")?.querySelector("input[name=number]");
  if (!box) return;
  pick(box, !box.checked);
  last = box.value;
  show();
});

show();
