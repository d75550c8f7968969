// While somebody fills in a form, its preview says what it would mean. Without this script, its button does.
const PAUSE_MS = 500;

for (const form of document.querySelectorAll("form[data-preview]")) {
  const place = document.getElementById(form.dataset.preview);
  let timer;
  let asked = 0;

  async function ask() {
    const number = ++asked;
    const body = new FormData(form);
    body.append("preview", "yes");
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "preview" } });
      const text = answer.ok ? await answer.text() : "";
      if (number === asked && text) place.innerHTML = text; // a later question has a later answer
    } catch {
      // No connection: the button tells.
    }
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  });
  if (form.elements.condition?.value.trim()) ask(); // filled in from an alert
}
