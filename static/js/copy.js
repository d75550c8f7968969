// Buttons that copy what stands in a field or a block.
for (const button of document.querySelectorAll("[data-copy]")) {
  const place = document.getElementById(button.dataset.copy);
  place.addEventListener("focus", () => place.select?.());
  if (!navigator.clipboard) continue; // not over plain http: mark and copy by hand
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(place.value ?? place.textContent);
    button.textContent = "Copied";
    document.getElementById("announcer").textContent = "It is copied.";
  });
}
