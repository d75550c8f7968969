// The hint on the page of one's own settings: an app on the home screen opens faster, and an iPhone allows push to
// nothing else. <div data-install> stays empty where it is installed already, or cannot be.
const place = document.querySelector("[data-install]");
const isInstalled = matchMedia("(display-mode: standalone)").matches || navigator.standalone === true;
const isApple = /iPhone|iPad|iPod/.test(navigator.userAgent) ||
  (navigator.platform === "MacIntel" && navigator.maxTouchPoints > 1);

function tell(text, ...more) {
  const line = document.createElement("p");
  line.textContent = text;
  place.replaceChildren(line, ...more);
}

if (place && !isInstalled) {
  if (isApple) tell("Put this on your home screen: tap Share, then “Add to Home Screen”. On an iPhone or iPad push works only from there.");
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault(); // the browser's own bar would cover the buttons at the bottom
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "Install as an app";
    button.addEventListener("click", () => {
      button.disabled = true;
      event.prompt(); // once: the browser offers it anew after another visit
    });
    tell("Put this on your home screen: it opens at once, and what you read stays readable without a connection.", button);
  });
  addEventListener("appinstalled", () => tell("It is on your home screen now."));
}
