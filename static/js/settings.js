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

// The zone of this device, when the profile says another one; and a zone that is typed begins with an empty field.
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const offer of document.querySelectorAll("[data-zone-of]")) {
  const field = document.getElementById(offer.dataset.zoneOf);
  const known = [...(field?.list?.options ?? [])].some((one) => one.value === here);
  field?.addEventListener("focus", () => field.select());
  if (!known || field.value === here) continue;
  const button = offer.querySelector("button");
  button.textContent = `Use the zone of this device: ${here}`;
  button.addEventListener("click", () => {
    field.value = here;
    offer.hidden = true;
    field.focus();
  });
  offer.hidden = false;
}
