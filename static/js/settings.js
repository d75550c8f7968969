// Follows a test message: asks once a second what became of it, for a minute at most. Without this script a link does.
const EVERY_MS = 1000;
const MOST_MS = 60_000;

async function follow(place, until) {
  while (place?.dataset.poll && Date.now() < until) {
    await new Promise((done) => setTimeout(done, EVERY_MS));
    let answer;
    try {
      answer = await fetch(place.dataset.poll, { cache: "no-store", credentials: "same-origin" });
    } catch {
      continue; // the network is away for a moment
    }
    if (answer.redirected || !answer.ok) return; // signed out, or gone
    const body = new DOMParser().parseFromString(await answer.text(), "text/html").body;
    const fresh = body.querySelector("[data-test]");
    if (!fresh) return;
    if (fresh.innerHTML !== place.innerHTML) place.replaceChildren(...fresh.childNodes); // said aloud only when it changed
    if (!fresh.dataset.poll) delete place.dataset.poll;
  }
}

for (const place of document.querySelectorAll("[data-poll]")) follow(place, Date.now() + MOST_MS);
document.querySelector(".refused")?.scrollIntoView?.({ block: "nearest" });
document.querySelector("[aria-invalid=true]")?.focus();
