// Copies of the pages somebody looked at, for a cellar or a train: read when the server cannot be reached, marked with
// their age, and forgotten as soon as that person signs out or another signs in.

const KEPT = /^\/($|incidents$|incidents\/\d+$|oncall$)/;
const INCIDENT = /^\/incidents\/\d+$/;
const MOST_INCIDENTS = 50;
const MOST_OTHERS = 12; // the overview and the lists, with their filters
const MOST_PANELS = 200;
const LONGEST_MS = 7 * 24 * 3600_000;
const PATIENCE_MS = 4000; // as long as a page of which there is a copy may take
const HASHED = /\.[0-9a-f]{12}\./; // a name that changes with its content never holds anything else
const FILES = /\/(js|css|icons|packages)\/|\/favicon/; // the admin keeps its own to itself
const DOWN = [502, 503, 504]; // what a proxy says while the server is not there
let wipes = 0; // what was asked for before a wipe must not be kept after it

const sleep = (span) => new Promise((done) => setTimeout(done, span));

function isKept(url) {
  return KEPT.test(url.pathname) && !(INCIDENT.test(url.pathname) && url.search);
}

function pathOf(url) {
  return INCIDENT.test(url.pathname) ? url.pathname : url.pathname + url.search;
}

async function wipe() {
  wipes += 1;
  await Promise.all([caches.delete("pages"), caches.delete("panels"), setFact("person", null)]);
}

// The copies are one person's: another's coming ends them.
async function belongTo(person) {
  const before = await fact("person");
  if (before === person) return;
  if (before) await wipe();
  await setFact("person", person);
}

// `asked` is what `wipes` was when the page was asked for.
async function keep(url, answer, asked) {
  const isPage = (answer.headers.get("Content-Type") ?? "").startsWith("text/html");
  if (!answer.ok || answer.redirected || !isPage) return;
  const text = await answer.text();
  const person = /<meta name="person" content="([\w-]+)">/.exec(text)?.[1];
  if (!person || asked !== wipes) return;
  await belongTo(person);
  const headers = new Headers(answer.headers); // with its content security policy
  headers.delete("Content-Encoding");
  headers.delete("Content-Length");
  headers.set("X-Kept-At", new Date().toISOString());
  headers.set("X-Title", encodeURIComponent(/<title>([^<]*)<\/title>/.exec(text)?.[1] ?? ""));
  const pages = await caches.open("pages");
  await pages.delete(pathOf(url)); // to the end of the queue
  await pages.put(pathOf(url), new Response(text, { headers }));
  await trim(pages, (one) => INCIDENT.test(one.pathname), MOST_INCIDENTS);
  await trim(pages, (one) => !INCIDENT.test(one.pathname), MOST_OTHERS);
  if (await fact("person") !== person) await wipe(); // they signed out meanwhile
  await hold(filesOf(text));
}

async function trim(cache, isOne, most) {
  const keys = (await cache.keys()).filter(({ url }) => isOne(new URL(url)));
  await Promise.all(keys.slice(0, Math.max(0, keys.length - most)).map((key) => cache.delete(key)));
}

function filesOf(text) {
  const found = text.matchAll(/(?:src|href)="([^"]+)"/g);
  return [...found].map(([, path]) => path).filter((path) => path.startsWith(BUILD.static));
}

async function hold(paths) {
  const files = await caches.open("files");
  await Promise.allSettled(paths.map(async (path) => (await files.match(path)) ?? files.add(path)));
}

// A browser whose storage is full or broken keeps nothing; what the server answers is shown all the same.
const held = (name, url) => caches.match(url, { cacheName: name, ignoreVary: true }).catch(() => undefined);

async function copyOf(url) {
  const pages = await caches.open("pages");
  const copy = await pages.match(pathOf(url));
  if (copy && Date.now() - Date.parse(copy.headers.get("X-Kept-At")) < LONGEST_MS) return copy;
  if (copy) await pages.delete(pathOf(url));
  return undefined;
}

// The page itself says how old it is: static/js/offline.js reads the mark.
async function dated(copy) {
  const text = await copy.text();
  const at = copy.headers.get("X-Kept-At");
  return new Response(text.replace("<body ", `<body data-copy-at="${at}" `), { headers: copy.headers });
}

async function offlinePage() {
  return (await held("shell", "/offline")) ?? Response.error();
}

async function visit(event) {
  const url = new URL(event.request.url);
  const asked = wipes;
  const server = (async () => (await event.preloadResponse) ?? fetch(event.request))();
  if (/^\/(login|logout)(\/|$)/.test(url.pathname)) {
    event.waitUntil(server.then(wipe, () => undefined)); // whoever is asked to sign in is nobody yet
  }
  event.waitUntil(server.then((answer) => !DOWN.includes(answer.status) && flush()).catch(() => undefined));
  if (!isKept(url)) return server.catch(offlinePage);
  event.waitUntil(server.then((answer) => keep(url, answer.clone(), asked)).catch(() => undefined));
  const copy = await copyOf(url).catch(() => undefined);
  const got = await Promise.race([server.catch(() => undefined), ...(copy ? [sleep(PATIENCE_MS)] : [])]);
  if (got && !(copy && DOWN.includes(got.status))) return got;
  return copy ? dated(copy) : offlinePage();
}

// A part of a page that another view makes (hx-swap="panel").
async function panel(event) {
  const { url } = event.request;
  const asked = wipes;
  const answer = await fetch(event.request).catch(() => undefined);
  if (!answer || DOWN.includes(answer.status)) return (await held("panels", url)) ?? answer ?? Response.error();
  if (answer.ok && !answer.redirected) event.waitUntil(keepPanel(url, answer.clone(), asked).catch(() => undefined));
  return answer;
}

async function keepPanel(url, answer, asked) {
  if (asked !== wipes || !(await fact("person"))) return;
  const panels = await caches.open("panels");
  await panels.put(url, answer);
  await trim(panels, () => true, MOST_PANELS);
  if (asked !== wipes) await wipe();
}

async function file(event) {
  const { url } = event.request;
  const had = await held("files", url);
  if (had && HASHED.test(url)) return had;
  const answer = await fetch(event.request).catch(() => undefined);
  if (answer?.status === 200) {
    const spare = answer.clone();
    event.waitUntil(caches.open("files").then((files) => files.put(url, spare)).catch(() => undefined));
  }
  return answer ?? had ?? Response.error();
}

// Drops the files of older versions that no kept page needs any more.
async function tidy() {
  const needed = new Set(BUILD.files);
  const pages = await caches.open("pages");
  for (const key of await pages.keys()) {
    filesOf(await (await pages.match(key)).text()).forEach((path) => needed.add(path));
  }
  const files = await caches.open("files");
  for (const path of needed) { // grows on the way: a script needs what it imports, and that is in no page
    const script = path.endsWith(".js") ? await files.match(path) : undefined;
    if (script) importsOf(path, await script.text()).forEach((one) => needed.add(one));
  }
  const old = (await files.keys()).filter(({ url }) => !needed.has(new URL(url).pathname));
  await Promise.all(old.map((key) => files.delete(key)));
}

function importsOf(path, text) {
  const found = text.matchAll(/\b(?:from|import)\s*\(?\s*["']\.\/([^"']+)["']/g);
  return [...found].map(([, name]) => path.replace(/[^/]*$/, name));
}

async function saved() {
  const pages = await caches.open("pages");
  const found = [];
  for (const key of (await pages.keys()).reverse()) {
    const { headers } = await pages.match(key);
    const { pathname, search } = new URL(key.url);
    found.push({ path: pathname + search, at: headers.get("X-Kept-At"), title: decodeURIComponent(headers.get("X-Title")) });
  }
  return found;
}

// A page that arrives may be opened where there is no connection any more.
async function fetchAhead(address) {
  const url = new URL(address || "/", self.location.origin);
  if (url.origin !== self.location.origin || !INCIDENT.test(url.pathname) || !(await fact("person"))) return;
  const asked = wipes;
  try {
    await keep(url, await fetch(url.pathname, { credentials: "same-origin" }), asked);
  } catch {
    // then not
  }
}

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(
    // A file that is missing must not keep the worker out: it also brings the pages.
    Promise.allSettled([
      hold(BUILD.files),
      caches.open("shell").then((shell) => shell.add(new Request("/offline", { credentials: "omit" }))),
    ]),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    Promise.allSettled([self.registration.navigationPreload?.enable(), tidy()]).then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== self.location.origin) return;
  if (request.method === "POST" && ACT.test(url.pathname)) return event.respondWith(act(event, url));
  if (request.method === "POST" && url.pathname === "/logout") return event.waitUntil(wipe());
  if (request.method !== "GET") return;
  if (request.mode === "navigate") return event.respondWith(visit(event));
  if (request.headers.get("X-Fragment") === "panel") return event.respondWith(panel(event));
  if (url.pathname.startsWith(BUILD.static) && FILES.test(url.pathname)) event.respondWith(file(event));
});
