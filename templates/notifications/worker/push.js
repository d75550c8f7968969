// The service worker: shows pages while no window is open, answers them, and says what became of them.

const WAITS_MS = [0, 1500, 5000, 15000]; // the send may be written down after its notification is shown

async function post(path, values) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(values ?? {}),
    credentials: "omit",
  });
}

// The server, or the proxy before it, is out of order or asks for patience: what was sent may be sent again.
const isForLater = ({ status }) => status >= 500 || status === 429;

async function report(token, state) {
  for (const wait of WAITS_MS) {
    await new Promise((done) => setTimeout(done, wait));
    try {
      const answer = await post("/push/receipt", { token, state });
      if (answer.status !== 409 && answer.status < 500) return;
    } catch {
      // offline: once more in a moment
    }
  }
}

function show(page) {
  const actions = (page.actions ?? []).map(({ title, verb }) => ({ action: verb, title }));
  if (page.url) actions.push({ action: "open", title: "Open" });
  const isCall = page.urgency === "high" && page.again;
  return self.registration.showNotification(page.title, {
    body: page.body,
    tag: page.tag,
    renotify: Boolean(page.again && page.tag),
    silent: !page.again && page.urgency !== "high" ? true : undefined,
    requireInteraction: isCall,
    vibrate: isCall ? [400, 150, 400, 150, 800] : undefined,
    timestamp: page.at,
    icon: BUILD.icon,
    badge: BUILD.badge,
    actions,
    data: page,
  });
}

self.addEventListener("push", (event) => {
  let page;
  try {
    page = event.data.json();
  } catch {
    // A browser takes the permission away from a site that shows nothing.
    page = { title: "A message could not be read", body: "Open the dashboard to see what is up.", url: "/" };
  }
  event.waitUntil(
    show(page).then(() => Promise.all([page.receipt && report(page.receipt, "shown"), page.again && fetchAhead(page.url)])),
  );
});

self.addEventListener("notificationclick", (event) => {
  const page = event.notification.data ?? {};
  const chosen = (page.actions ?? []).find(({ verb }) => verb === event.action);
  event.notification.close();
  event.waitUntil(
    Promise.all([chosen ? answer(page, chosen) : open(page.url), page.receipt && report(page.receipt, "clicked")]),
  );
});

async function open(url) {
  const target = new URL(url || "/", self.location.origin);
  if (target.origin === self.location.origin) {
    const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const there = windows.find((one) => one.url === target.href);
    if (there) return there.focus();
  }
  return self.clients.openWindow(target.href);
}

function notify(title, body, tag, url) {
  return self.registration.showNotification(title, {
    body,
    tag,
    renotify: false,
    icon: BUILD.icon,
    badge: BUILD.badge,
    actions: [{ action: "open", title: "Open" }],
    data: { url },
  });
}

// The button of a notification: the one-tap link of the message, then a word about what came of it.
async function answer(page, { title, verb, token }) {
  const say = (heading, body) => notify(heading, body, page.tag, page.url);
  const sayOutcome = async (reply) => {
    const isJson = (reply.headers.get("Content-Type") ?? "").includes("json");
    const text = isJson ? (await reply.json()).detail : "";
    if (reply.ok) return say(`${title}: done`, text || `Your answer has arrived. ${page.title}`);
    return say(`${title}: not done`, text || "The button cannot be used any more. Open the page to see who has it.");
  };
  const attempt = post(`/l/${token}`).catch(() => undefined);
  const reply = await Promise.race([attempt, sleep(SLOW_MS)]);
  if (reply && !isForLater(reply)) return sayOutcome(reply);
  const number = /\/incidents\/(\d+)/.exec(page.url ?? "")?.[1] ?? "";
  const one = await enqueue({ number, verb, token, person: await fact("person") });
  await say(`${title}: not sent yet`, "The server cannot be reached. It is sent by itself as soon as it can be.");
  const late = await attempt; // it may arrive after all
  if (!late?.ok) return undefined;
  await drop(one.id);
  await tell();
  return sayOutcome(late);
}
