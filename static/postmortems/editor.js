// The editor of a postmortem: each section is saved after a pause, with the version that it was seen in. What is not
// stored yet is kept in the browser, so that no lost network and no closed tab takes a text along. Without this script
// the same form has a button that saves everything.
import { say } from "../js/messages.js";
import { goOn, kept, person } from "../js/texts.js";

const PAUSE_MS = 2000; // after the last key
const LONGEST_MS = 15_000; // somebody who never pauses is saved too
const AGAIN_MS = 5000; // while the server is away

const form = document.getElementById("editor");
const state = document.getElementById("save-state");
const token = () => form.elements.csrfmiddlewaretoken.value;
let isLeaving = false;
let shown = "";

// --- why it is not stored ------------------------------------------------------------------------------------------

const AWAY = "there is no connection. Your text is kept in this browser and saved when it is back.";
const SIGNED_OUT = "you are signed out. Sign in in another tab: your text waits here, and is saved then.";
const ANOTHER = "somebody else is signed in here now. Copy your text, or sign in again in another tab.";
const REFUSED = "you may not change this any more. Copy your text if you need it.";
const WHY_NO_IMAGE = {
  [AWAY]: "Try again when there is a connection.",
  [SIGNED_OUT]: "You are signed out: sign in in another tab, then try again.",
  [ANOTHER]: "Somebody else is signed in here now.",
  [REFUSED]: "You may not change this any more.",
};

// What the editor was answered, null when somebody else answered: the page to sign in speaks JSON too.
async function ours(answer) {
  const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
  return isJson && !answer.redirected ? answer.json() : null;
}

// What an answer means that is none of the editor's: a page to sign in, or one that refuses. A token of before somebody
// signed in is old: with a new one it goes on.
async function whyNot(answer) {
  if (!answer || answer.status >= 500 || answer.status === 429) return AWAY;
  try {
    const session = await (await fetch("/push/session", { cache: "no-store", signal: AbortSignal.timeout(20_000) })).json();
    if (!session.person) return SIGNED_OUT;
    if (session.person !== person) return ANOTHER;
    if (answer.status !== 403 && !answer.redirected) return REFUSED;
    document.querySelectorAll("input[name=csrfmiddlewaretoken]").forEach((field) => (field.value = session.csrf));
    return "";
  } catch {
    return AWAY;
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
    this.isRenewed = false; // its token, once for each save
    this.why = ""; // it could not be sent
    this.since = 0;
    this.conflict = null;
    // What stood in the fields was typed and not stored: a page that shows a conflict, or a preview.
    if (this.isTorn || this.body.hasAttribute("data-is-typed") || this.body.value !== this.body.defaultValue) this.stored = null;
    const before = kept(this.uuid);
    if (before && (before.body !== this.body.value || before.title !== this.title.value)) this.bringBack(before);
    else if (before) kept(this.uuid, null);
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

  keep() {
    kept(this.uuid, { ...this.typed(), seen: this.seen.value });
  }

  changed() {
    this.isRefused = false;
    this.since ||= Date.now();
    this.keep();
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
      said = await ours(answer);
    } catch {
      answer = undefined;
    }
    this.why = said && answer.status < 500 ? "" : await whyNot(answer);
    this.isSaving = false;
    this.since = 0;
    if (!said && !this.why && !this.isRenewed) {
      this.isRenewed = true;
      return this.save({ auto, take });
    }
    this.take(answer, said, sent, take);
    tell();
    return !this.isDirty;
  }

  take(answer, said, sent, take) {
    if (!said) this.why ||= REFUSED;
    this.isRenewed = false;
    if (this.why) {
      this.keep();
      this.said.textContent = `Not saved: ${this.why}`;
      if (this.why !== REFUSED) this.later(AGAIN_MS);
      return undefined;
    }
    goOn();
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
    else kept(this.uuid, null);
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
    this.keep();
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
    let answer, said;
    try {
      answer = await fetch(form.dataset.images, { method: "POST", body, headers: { Accept: "application/json" } });
      said = await ours(answer);
    } catch {
      said = null;
    }
    if (said && answer.ok) line = said.markdown;
    this.said.textContent = line ? "" : said?.message ?? `The image was not sent. ${WHY_NO_IMAGE[await whyNot(answer)] ?? "Try again."}`;
    if (!line) say(this.said.textContent);
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
const head = document.getElementById("edit-head");
const headFields = [...head.querySelectorAll("input:not([type=hidden]), textarea, select")];
const others = () => [...headFields, document.getElementById("new-title")];
const HEAD = `head:${form.dataset.save}`;

function isTyped(field) {
  if (head.contains(field) && head.hasAttribute("data-is-typed")) return true; // the page shows what was refused
  if (field.matches("select")) return [...field.options].some((one) => one.selected !== one.defaultSelected) && field.selectedIndex !== [...field.options].findIndex((one) => one.defaultSelected);
  return field.value !== field.defaultValue;
}

// What stands above the sections is sent by the button. Until then the browser keeps it, as it does the texts.
function keepHead() {
  const typed = headFields.filter(isTyped).map(({ name, value }) => [name, value]);
  kept(HEAD, typed.length ? { seen: form.elements["seen-head"].value, typed } : null);
}

function bringHeadBack() {
  const plain = (text) => text.trim().replace(/\s+/g, " ");
  const before = kept(HEAD);
  const lost = (before?.typed ?? []).filter(([name, value]) => form.elements[name] && plain(form.elements[name].value) !== plain(value));
  kept(HEAD, null);
  if (!lost.length) return;
  for (const [name, value] of lost) form.elements[name].value = value;
  form.elements["seen-head"].value = before.seen;
  head.open = true;
  keepHead();
  say("What you wrote above the sections and did not save is back. Press Save to store it.", "warning");
}

const hasTyped = () => sections.some((one) => one.isDirty) || others().some(isTyped);

function words() {
  const waiting = sections.filter((one) => one.isDirty);
  if (sections.some((one) => one.isTorn)) return ["bad", "Not saved: somebody else changed a section. Choose below which text stands."];
  const { why } = sections.find((one) => one.why) ?? {};
  if (why) return ["bad", `Not saved: ${why}`];
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

form.addEventListener("input", (event) => {
  if (headFields.includes(event.target)) keepHead();
  tell();
});
form.addEventListener("submit", (event) => {
  // A preview is fetched beside the text; every other button sends all of it.
  if (event.submitter?.hasAttribute("hx-post")) return;
  isLeaving = true;
  setTimeout(() => (isLeaving = false), 10_000); // it did not get through
});
addEventListener("beforeunload", (event) => !isLeaving && hasTyped() && event.preventDefault());
addEventListener("pagehide", () => {
  sections.forEach((one) => one.isDirty && one.keep());
  keepHead();
});
addEventListener("online", () => sections.forEach((one) => one.why && one.save({ auto: true })));
addEventListener("keydown", (event) => {
  if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  sections.forEach((one) => one.isDirty && one.save());
});
bringHeadBack();
tell();
