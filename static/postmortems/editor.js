// The editor of a postmortem: each section is saved after a pause, with the version that it was seen in. What is not
// stored yet is kept in the browser, so that no lost network and no closed tab takes a text along. Without this script
// the same form has a button that saves everything.
import { say } from "../js/messages.js";

const PAUSE_MS = 2000; // after the last key
const LONGEST_MS = 15_000; // somebody who never pauses is saved too
const AGAIN_MS = 5000; // while the server is away

const form = document.getElementById("editor");
const state = document.getElementById("save-state");
const person = document.querySelector("meta[name=person]")?.content ?? "";
const token = () => form.elements.csrfmiddlewaretoken.value;
let isLeaving = false;
let shown = "";

// --- what the browser keeps ----------------------------------------------------------------------------------------

function kept(section, value) {
  const key = `watchbill-text:${person}:${section.uuid}`;
  try {
    if (value === null) localStorage.removeItem(key);
    else if (value) localStorage.setItem(key, JSON.stringify(value));
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    return null; // it keeps nothing: leaving the page asks first
  }
}

// --- one section ---------------------------------------------------------------------------------------------------

class Section {
  constructor(element) {
    this.element = element;
    this.uuid = element.dataset.section;
    this.body = element.querySelector("[data-body]");
    this.title = element.querySelector(".pm-title");
    this.seen = element.querySelector("[data-seen]");
    this.place = element.querySelector("[data-conflict]");
    this.said = element.querySelector("[data-state-of]");
    this.stored = this.typed();
    this.isTorn = this.body.hasAttribute("data-is-torn"); // two versions are shown, and nobody chose
    this.isSaving = false;
    this.isRefused = false;
    this.failed = false;
    this.since = 0;
    this.conflict = null;
    // What stood in the fields was typed and not stored: a page that shows a conflict, or a preview.
    if (this.isTorn || this.body.hasAttribute("data-is-typed") || this.body.value !== this.body.defaultValue) this.stored = null;
    const before = kept(this);
    if (before && before.body !== this.body.value) this.bringBack(before);
    else if (before) kept(this, null);
    element.addEventListener("input", (event) => event.target !== this.body && event.target !== this.title ? undefined : this.changed());
    this.place.addEventListener("click", (event) => this.choose(event));
    this.pictures();
  }

  typed = () => ({ title: this.title.value, body: this.body.value });

  get isDirty() {
    const now = this.typed();
    return !this.stored || now.body !== this.stored.body || now.title !== this.stored.title;
  }

  // A text that was never stored: with the version that it was written on, so that the server can tell.
  bringBack(before) {
    this.title.value = before.title;
    this.body.value = before.body;
    this.seen.value = before.seen;
    this.said.textContent = "What you wrote and could not be stored is back.";
    this.later();
  }

  changed() {
    this.isRefused = false;
    this.since ||= Date.now();
    kept(this, { ...this.typed(), seen: this.seen.value });
    this.later();
    tell();
  }

  later(pause = PAUSE_MS) {
    clearTimeout(this.timer);
    const waited = this.since ? Date.now() - this.since : 0;
    this.timer = setTimeout(() => this.save({ auto: true }), Math.min(pause, Math.max(0, LONGEST_MS - waited)));
  }

  async save({ auto = false, take = "" } = {}) {
    clearTimeout(this.timer);
    if (this.isSaving || (this.isTorn && auto) || (!this.isDirty && !take)) return !this.isSaving && !this.isDirty;
    const sent = this.typed();
    const body = new FormData();
    body.append("csrfmiddlewaretoken", token());
    body.append(`title-${this.uuid}`, sent.title);
    body.append(`body-${this.uuid}`, sent.body);
    body.append(`seen-${this.uuid}`, this.seen.value);
    if (auto) body.append("auto", "yes");
    if (take) body.append("take", take);
    this.isSaving = true;
    tell();
    let answer, said;
    try {
      answer = await fetch(`${form.dataset.save}${this.uuid}`, {
        method: "POST", body, headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20_000),
      });
      said = answer.headers.get("Content-Type")?.startsWith("application/json") ? await answer.json() : null;
    } catch {
      answer = undefined;
    }
    this.isSaving = false;
    this.since = 0;
    this.take(answer, said, sent, take);
    tell();
    return !this.isDirty;
  }

  take(answer, said, sent, take) {
    this.failed = !answer || answer.status >= 500 || !said;
    if (this.failed) {
      kept(this, { ...this.typed(), seen: this.seen.value });
      this.said.textContent = answer && answer.status < 500 ? "You are signed out. Sign in in another tab; your text waits here." : "";
      return void this.later(AGAIN_MS);
    }
    if (answer.ok) return this.stand(said, sent, take);
    if (answer.status === 409 && said.html) return this.tear(said);
    this.isRefused = true; // the same text would be refused again
    this.said.textContent = said.message;
    return undefined;
  }

  stand(said, sent, take) {
    this.seen.value = said.version;
    this.isTorn = false;
    this.place.replaceChildren();
    this.said.textContent = "";
    if (take) {
      this.body.value = said.body;
      this.title.value = said.title;
    }
    this.stored = take ? this.typed() : sent;
    if (this.isDirty) this.changed(); // typed on while it was stored
    else kept(this, null);
    this.settle();
  }

  // What is stored is what the fields began with: leaving the page takes nothing along.
  settle() {
    if (this.isDirty) return;
    this.body.defaultValue = this.body.value;
    this.title.defaultValue = this.title.value;
  }

  // Somebody else saved it meanwhile: both texts are shown, and nothing is sent until somebody chose.
  tear(said) {
    this.isTorn = true;
    this.conflict = said;
    kept(this, { ...this.typed(), seen: this.seen.value });
    this.place.innerHTML = said.html;
    this.place.querySelector("[role=alert]")?.focus({ preventScroll: true });
    this.place.scrollIntoView({ block: "nearest" });
  }

  choose(event) {
    const choice = event.target.closest("[data-choice]")?.dataset.choice;
    if (!choice || !this.conflict) return; // a page that showed it without us: its buttons send the form
    event.preventDefault();
    this.seen.value = this.conflict.version; // now it was seen
    if (choice === "mine") this.save();
    else if (choice === "theirs") this.save({ take: "theirs" });
    else {
      this.body.value = this.conflict.both;
      this.isTorn = false;
      this.place.replaceChildren();
      this.said.textContent = "Both texts stand in the field. Take out what is double.";
      this.body.focus();
      this.changed();
    }
  }

  // --- images ------------------------------------------------------------------------------------------------------

  pictures() {
    const field = this.element.querySelector("[data-image]");
    field.closest(".pm-pick").hidden = false;
    field.addEventListener("change", () => {
      for (const file of field.files) this.upload(file);
      field.value = "";
    });
    this.body.addEventListener("paste", (event) => this.dropped(event, event.clipboardData));
    this.body.addEventListener("drop", (event) => this.dropped(event, event.dataTransfer));
    this.body.addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
  }

  dropped(event, data) {
    const files = [...(data?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    for (const file of files) this.upload(file);
  }

  async upload(file) {
    const mark = `![Uploading ${file.name.replace(/[[\]\n]/g, "")} …]()`;
    this.insert(`${mark}\n`);
    const body = new FormData();
    body.append("csrfmiddlewaretoken", token());
    body.append("image", file);
    let line = "";
    try {
      const answer = await fetch(form.dataset.images, { method: "POST", body, headers: { Accept: "application/json" } });
      const said = await answer.json();
      if (answer.ok) line = said.markdown;
      this.said.textContent = answer.ok ? "" : said.message;
      if (!answer.ok) say(said.message);
    } catch {
      this.said.textContent = "The image could not be sent. Try again when there is a connection.";
      say(this.said.textContent);
    }
    this.body.value = this.body.value.replace(line ? mark : `${mark}\n`, () => line);
    this.changed();
  }

  insert(text) {
    const { selectionStart: start, selectionEnd: end, value } = this.body;
    const before = start && value[start - 1] !== "\n" ? "\n" : "";
    this.body.setRangeText(before + text, start, end, "end");
  }
}

// --- all of them ---------------------------------------------------------------------------------------------------

const sections = [...form.querySelectorAll("[data-section]")].map((element) => new Section(element));
const others = () => [...form.querySelectorAll("#edit-head :is(input, textarea, select), #new-title")];

function isTyped(field) {
  if (field.type === "hidden") return false;
  if (field.matches("select")) return [...field.options].some((one) => one.selected !== one.defaultSelected) && field.selectedIndex !== [...field.options].findIndex((one) => one.defaultSelected);
  return field.value !== field.defaultValue;
}

const hasTyped = () => sections.some((one) => one.isDirty) || others().some(isTyped);

function words() {
  const waiting = sections.filter((one) => one.isDirty);
  if (sections.some((one) => one.isTorn)) return ["bad", "Not saved: somebody else changed a section. Choose below which text stands."];
  if (sections.some((one) => one.failed)) return ["bad", "Not saved: there is no connection. Your text is kept in this browser and saved when it is back."];
  if (sections.some((one) => one.isRefused)) return ["bad", "Not saved: a section was refused. It says why."];
  if (sections.some((one) => one.isSaving)) return ["busy", "Saving …"];
  if (waiting.length) return ["busy", "Not saved yet"];
  if (others().some(isTyped)) return ["busy", "Title, summary and times are stored when you press Save."];
  return ["good", shown ? "Saved" : "Sections save themselves while you write."];
}

// Said aloud only when it is something new.
function tell() {
  const [kind, text] = words();
  state.dataset.kind = kind;
  if (text !== shown || state.textContent !== text) state.textContent = text;
  shown = text;
}

form.addEventListener("input", tell);
form.addEventListener("submit", (event) => {
  // A preview is fetched beside the text; every other button sends all of it.
  if (event.submitter?.hasAttribute("hx-post")) return;
  isLeaving = true;
  setTimeout(() => (isLeaving = false), 10_000); // it did not get through
});
addEventListener("beforeunload", (event) => !isLeaving && hasTyped() && event.preventDefault());
addEventListener("pagehide", () => sections.forEach((one) => one.isDirty && kept(one, { ...one.typed(), seen: one.seen.value })));
addEventListener("online", () => sections.forEach((one) => one.failed && one.save({ auto: true })));
addEventListener("keydown", (event) => {
  if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  sections.forEach((one) => one.isDirty && one.save());
});
tell();
