// Acknowledging and resolving without a connection: kept here, sent once the server can be reached, and never twice. An
// entry leaves only when the person was told what came of it, or said not to send it.

const ACT = /^\/incidents\/(\d+)\/do\/(acknowledge|resolve)$/;
const SLOW_MS = 8000; // a server that has not answered by then counts as out of reach
const OLD_MS = 12 * 3600_000; // what was pressed so long ago is asked about before it is sent
const NAMES = { acknowledge: "Acknowledge", resolve: "Resolve" };
const OVER = ["resolved", "closed"];
const LATE_MS = 60_000; // what is sent so long after it was pressed says so in the timeline
let opened;
let flushing;

function database() {
  opened ??= new Promise((done, fail) => {
    const request = indexedDB.open("watchbill", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("queue", { keyPath: "id" });
      request.result.createObjectStore("facts");
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
  return opened;
}

// One request to one store. A write counts once it is on the disk, not when it was asked for.
async function store(name, mode, ask) {
  const transaction = (await database()).transaction(name, mode, { durability: "strict" });
  const request = ask(transaction.objectStore(name));
  await new Promise((done, fail) => {
    transaction.oncomplete = done;
    transaction.onerror = transaction.onabort = () => fail(transaction.error);
  });
  return request.result;
}

const fact = (name) => store("facts", "readonly", (facts) => facts.get(name));
const setFact = (name, value) => store("facts", "readwrite", (facts) => facts.put(value, name));
const entry = (id) => store("queue", "readonly", (queue) => queue.get(id));
const write = (one) => store("queue", "readwrite", (queue) => queue.put(one));
const drop = (id) => store("queue", "readwrite", (queue) => queue.delete(id));
const whatOf = (one) => `${NAMES[one.verb] ?? "Answer"}${one.number ? ` #${one.number}` : ""}`;
const isToSend = (one) => one.state === "waiting" || one.state === "signed-out";

async function entries() {
  const all = await store("queue", "readonly", (queue) => queue.getAll());
  return all.sort((one, other) => one.at - other.at);
}

async function enqueue(values) {
  // The message of a bundle has no number of its own: there each link is another answer.
  const isSame = (one) => (values.number ? one.number === values.number : one.token === values.token);
  const same = (await entries()).find(
    (one) => isToSend(one) && isSame(one) && one.verb === values.verb && one.person === values.person,
  );
  if (same && (!values.note || values.note === same.note)) return same; // pressed twice
  if (same) await drop(same.id); // pressed again, with more to say
  const one = { id: crypto.randomUUID(), at: Date.now(), state: "waiting", ...values };
  await write(one);
  await tell();
  await self.registration.sync?.register("queue").catch(() => undefined); // else the next open page sends it
  return one;
}

// The button of a page. What the server answers is passed on; only its silence makes an entry.
async function act(event, url) {
  const [, number, verb] = ACT.exec(url.pathname);
  const spare = event.request.clone();
  const attempt = fetch(event.request);
  const answer = await Promise.race([attempt.catch(() => undefined), sleep(SLOW_MS)]);
  const isSignedOut = answer?.redirected && new URL(answer.url).pathname.startsWith("/login");
  if (answer && !isSignedOut && !DOWN.includes(answer.status)) return answer;
  const person = await fact("person").catch(() => undefined); // nothing can be kept: then it is refused at once
  if (!person) return answer ?? Response.error();
  const form = await spare.formData();
  const note = String(form.get("note") ?? "");
  const one = await enqueue({ number, verb, note, person, ...(isSignedOut && { state: "signed-out" }) });
  if (!answer) {
    // It may arrive after all. If it does not say so, sending it again changes nothing.
    event.waitUntil(attempt.then((late) => isDone(late) && drop(one.id).then(tell)).catch(() => undefined));
  }
  // Not done yet: whatever the page showed already is taken back.
  if (event.request.mode !== "navigate") return isSignedOut ? answer : new Response(null, { status: 408 });
  const next = String(form.get("next") ?? "");
  const isOurs = next.startsWith("/") && !next.startsWith("//");
  return Response.redirect(new URL(isOurs ? next : `/incidents/${number}`, self.location.origin).href, 303);
}

function isDone(answer) {
  return answer.type === "opaqueredirect" || (answer.ok && !new URL(answer.url).pathname.startsWith("/login"));
}

// Sends what waits, one at a time; whoever asks meanwhile waits for the same round.
function flush() {
  flushing ??= sendAll().finally(() => {
    flushing = undefined;
  });
  return flushing;
}

async function sendAll() {
  const waiting = (await entries()).filter(isToSend);
  if (!waiting.length) return;
  const session = waiting.some((one) => !one.token) ? await askWho() : undefined;
  let isLater = false;
  for (const { id } of waiting) {
    const one = await entry(id);
    if (!one || !isToSend(one)) continue;
    if (Date.now() - one.at > OLD_MS && !one.isConfirmed) {
      await change(one, { state: "old" });
      continue;
    }
    if (!one.token && session.person !== one.person) {
      // Somebody else's session sends nothing in this person's name.
      if (one.state !== "signed-out") await change(one, { state: "signed-out" });
      continue;
    }
    const outcome = await (one.token ? sendLink(one) : send(one, session));
    if (outcome) await change(one, outcome);
    else isLater = true; // and one that cannot be sent does not hold up the others
  }
  if (isLater) throw new Error("The server is out of order: later."); // the browser asks again after a while
}

// Who is signed in now, and the token that a form of theirs would have. Throws while there is no connection.
async function askWho() {
  const answer = await fetch("/push/session", { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (isForLater(answer)) throw new Error("Later.");
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  return isJson && answer.ok ? answer.json() : { person: "" };
}

async function api(path, options) {
  const answer = await fetch(`/api/v1/incidents/${path}`, { credentials: "same-origin", ...options });
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  return { status: answer.status, said: isJson ? await answer.json() : {} };
}

const nameOf = (one) => one?.name || one?.email || "somebody else";

// Returns what to change in the entry, or undefined when it must be tried again.
async function send(one, session) {
  const { status, said } = await api(`${one.number}/${one.verb}`, {
    method: "POST",
    // The server answers a key that it knows with what it answered before, and does nothing a second time.
    headers: { "Content-Type": "application/json", "X-CSRFToken": session.csrf, "Idempotency-Key": one.id },
    body: JSON.stringify(one.verb === "resolve" ? { note: one.note } : {}),
  });
  const name = `#${one.number}`;
  if (status >= 200 && status < 300) {
    const holder = said.acknowledged_by;
    if (one.verb === "acknowledge" && holder && holder.uuid !== one.person) {
      return { state: "done", text: `${name} was acknowledged by ${nameOf(holder)} meanwhile. Yours was sent and changed nothing.` };
    }
    await noteDelay(one, session);
    return { state: "done", text: one.verb === "resolve" ? `${name} is resolved: sent now.` : `You have ${name}: sent now.` };
  }
  if (isForLater({ status }) || said.code === "request_in_progress") return undefined;
  if (status === 401) return { state: "signed-out" };
  if (status === 409) {
    const now = await api(one.number);
    if (OVER.includes(now.said.status)) {
      const whom = now.said.resolved_by ? `by ${nameOf(now.said.resolved_by)} ` : "";
      const text = `${name} was resolved ${whom}meanwhile. Nothing is left to do.`;
      return { state: one.verb === "resolve" ? "done" : "refused", text };
    }
  }
  const why = said.detail || `The server answered ${status}.`;
  return { state: "refused", text: `${NAMES[one.verb]} ${name} was refused: ${why}` };
}

// The timeline has the time at which the press arrived: who reads it later is to know that it was made earlier. It says
// how long before and not when, as the clock of a device may be wrong.
async function noteDelay(one, session) {
  const span = Date.now() - one.at;
  if (span < LATE_MS) return;
  const minutes = Math.round(span / 60_000);
  const long = minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
  const text = `${NAMES[one.verb]} was pressed ${long} before it could be sent. The device kept it meanwhile.`;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": session.csrf, "Idempotency-Key": one.id };
  try {
    await api(`${one.number}/notes`, { method: "POST", headers, body: JSON.stringify({ text }) });
  } catch {
    // What was pressed has arrived, and that is what counts.
  }
}

// The button of a notification has a link of its own, which needs no session.
async function sendLink(one) {
  const answer = await post(`/l/${one.token}`);
  if (isForLater(answer)) return undefined;
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const text = isJson ? (await answer.json()).detail : "";
  if (answer.ok) return { state: "done", text: text || `${whatOf(one)}: sent now.` };
  return { state: "refused", text: text || `${whatOf(one)}: the button cannot be used any more. Open the page to see who has it.` };
}

async function change(one, values) {
  const changed = { ...one, ...values };
  await write(changed);
  await tell();
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (windows.some((window) => window.visibilityState === "visible")) return;
  if (self.Notification?.permission !== "granted") return; // the next page that is opened says it
  const what = whatOf(one);
  const heading = { done: `${what}: sent`, refused: `${what}: refused`, old: `${what}: not sent`, "signed-out": `${what}: not sent` };
  const body = {
    old: "It was pressed many hours ago. Open the incident to say whether it is still to be sent.",
    "signed-out": "You are signed out. Sign in to send it.",
  };
  const url = one.number ? `/incidents/${one.number}` : "/";
  await notify(heading[changed.state], body[changed.state] ?? changed.text, `queue-${one.number || one.id}`, url);
}

// Tells every open page what waits: it shows only what is for the person that it belongs to.
async function tell() {
  const list = (await entries()).map(({ token, note, ...one }) => one);
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  for (const window of windows) window.postMessage({ queue: list });
}

self.addEventListener("sync", (event) => event.tag === "queue" && event.waitUntil(flush()));

self.addEventListener("message", (event) => {
  if (event.origin && event.origin !== self.location.origin) return;
  event.waitUntil(listen(event.data ?? {}, event.source));
});

async function listen(said, source) {
  if (said.here) await belongTo(said.here);
  if (said.keep) {
    const url = new URL(said.keep);
    const asked = wipes;
    const keeps = (answer) => keep(url, answer, asked);
    if (isKept(url)) await fetch(url, { credentials: "same-origin" }).then(keeps).catch(() => undefined);
  }
  if (said.drop) await drop(said.drop);
  if (said.confirm) {
    const one = await entry(said.confirm);
    if (one) await write({ ...one, state: "waiting", isConfirmed: true });
  }
  if (said.saved) source?.postMessage({ saved: await saved() });
  await tell();
  if (said.flush || said.confirm) await flush().catch(() => undefined);
}
