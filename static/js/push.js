// The button that turns push on for this browser: <div data-push data-key data-subscribe data-unsubscribe>. It says in
// words why push cannot be had here.

const SAYS = {
  on: "Pages reach this browser, also while no window of it is open.",
  off: "Pages do not reach this browser yet.",
  denied:
    "This browser was told to block notifications of this site. Allow them in the browser's settings for this site, then reload the page.",
  dismissed: "The browser was not given leave to show notifications. Press the button again and choose “Allow”.",
  insecure: "Push needs a page that was opened by https://. Ask an administrator for the https address.",
  iphone:
    "On an iPhone or iPad push works from the home screen only (iOS 16.4 or later): tap Share, then “Add to Home Screen”, and open it from there.",
  unsupported: "This browser has no push. Use another browser, or another contact method.",
  unreachable:
    "The browser could not sign up with its push service. Check that this device is online and that nothing blocks push, then press the button again.",
  offline: "The server did not answer. Check the connection, then press the button again.",
};

const isApple = /iPhone|iPad|iPod/.test(navigator.userAgent) ||
  (navigator.platform === "MacIntel" && navigator.maxTouchPoints > 1);

function obstacle() {
  if (!window.isSecureContext) return "insecure";
  const isThere = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  if (!isThere) return isApple && !window.matchMedia("(display-mode: standalone)").matches ? "iphone" : "unsupported";
  return Notification.permission === "denied" ? "denied" : "";
}

function bytes(text) {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/") + "=".repeat((4 - (text.length % 4)) % 4));
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

function isMadeFor(subscription, key) {
  const made = subscription.options?.applicationServerKey;
  if (!made) return true; // an old browser that does not say
  const [one, two] = [new Uint8Array(made), bytes(key)];
  return one.length === two.length && one.every((byte, index) => byte === two[index]);
}

async function send(url, values) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
  let answer;
  try {
    answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify(values),
      credentials: "same-origin",
    });
  } catch {
    throw new Error(SAYS.offline);
  }
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const said = isJson ? await answer.json() : {};
  if (answer.ok) return said.is_on ?? true;
  if (answer.status === 409) return false;
  throw new Error(said.detail || `The server answered ${answer.status}. Reload the page, then press the button again.`);
}

class Push {
  constructor(place) {
    this.place = place;
    this.text = document.createElement("p");
    this.text.setAttribute("role", "status");
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.className = "button";
    this.button.hidden = true;
    this.button.addEventListener("click", () => this.press());
    place.replaceChildren(this.text, this.button);
  }

  say(state, text = SAYS[state]) {
    this.place.dataset.state = state;
    this.text.textContent = text;
  }

  async start() {
    const why = obstacle();
    if (why) return this.say(why);
    try {
      // Also brings a worker of an older version up to date.
      this.worker = await navigator.serviceWorker.register("/sw.js", { scope: "/" });
    } catch (error) {
      return this.say("broken", `The browser refused the site's service worker (${error.message}). Reload the page.`);
    }
    const had = await this.worker.pushManager.getSubscription();
    let isOn = false;
    try {
      // The server has the last word: the contact method may have been deleted, or belong to somebody else.
      isOn = had && isMadeFor(had, this.place.dataset.key) && (await this.tell(had, { is_question: true }));
    } catch (error) {
      this.show(null);
      return this.say("failed", error.message);
    }
    this.show(isOn ? had : null);
  }

  show(subscription) {
    this.subscription = subscription;
    this.say(subscription ? "on" : "off");
    this.button.textContent = subscription ? "Turn push off in this browser" : "Turn push on in this browser";
    this.button.classList.toggle("button-quiet", Boolean(subscription));
    this.button.hidden = false;
  }

  async press() {
    this.button.disabled = true;
    try {
      await (this.subscription ? this.turnOff() : this.turnOn());
    } catch (error) {
      this.say("failed", error.message);
    }
    this.button.disabled = false;
  }

  async turnOn() {
    const permission = await Notification.requestPermission();
    if (permission !== "granted") return this.say(permission === "denied" ? "denied" : "dismissed");
    await navigator.serviceWorker.ready;
    let subscription = await this.subscribe();
    if (!(await this.tell(subscription))) {
      // It is signed up for somebody who used this browser before: a new one ends theirs.
      await subscription.unsubscribe();
      subscription = await this.subscribe();
      if (!(await this.tell(subscription))) throw new Error("The page is out of date. Reload it, then try again.");
    }
    this.show(subscription);
    this.place.dispatchEvent(new CustomEvent("push-changed", { bubbles: true }));
    if (this.place.dataset.reload !== undefined) location.reload();
  }

  tell(subscription, more) {
    return send(this.place.dataset.subscribe, { subscription, key: this.place.dataset.key, ...more });
  }

  async subscribe() {
    const manager = this.worker.pushManager;
    const had = await manager.getSubscription();
    if (had && !isMadeFor(had, this.place.dataset.key)) await had.unsubscribe();
    try {
      return await manager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(this.place.dataset.key) });
    } catch (error) {
      throw new Error(error.name === "NotAllowedError" ? SAYS.denied : SAYS.unreachable);
    }
  }

  async turnOff() {
    const subscription = this.subscription;
    await send(this.place.dataset.unsubscribe, { subscription });
    await subscription.unsubscribe();
    this.show(null);
    this.place.dispatchEvent(new CustomEvent("push-changed", { bubbles: true }));
    if (this.place.dataset.reload !== undefined) location.reload();
  }
}

document.querySelectorAll("[data-push]").forEach((place) => new Push(place).start());
