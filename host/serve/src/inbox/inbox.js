// What makes the pages better where scripts run. Nothing needs it, and it decides nothing.
"use strict";

(() => {
  const body = document.body;
  const announce = (text) => {
    const place = document.getElementById("announce");
    if (place && place.textContent !== text) place.textContent = text;
  };

  // The number of waiting approvals, in the title and in the menu.
  let pending = document.querySelector("#pending .number")?.textContent ?? "0";
  if (document.getElementById("pending")?.hidden) pending = "0";
  const count = (shown) => {
    document.title = (shown === "0" ? "" : "(" + shown + ") ") + body.dataset.title;
    const place = document.getElementById("pending");
    if (!place) return;
    place.hidden = shown === "0";
    place.querySelector(".number").textContent = shown;
    if (shown !== pending) {
      announce(shown === "0" ? "Nothing waits for a decision" : shown + (shown === "1" ? " approval waits" : " approvals wait"));
      pending = shown;
    }
  };

  // Looks at this page again, and gives what is in it now.
  const look = async () => {
    const answer = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };

  // Puts what is there now in the place of what was, with what is open staying open and the focus where it is.
  const replace = (fresh) => {
    const old = document.getElementById("live");
    const next = fresh.getElementById("live");
    if (!old || !next || old.isEqualNode(next)) return next !== null;
    const open = [...old.querySelectorAll("details[open][id]")].map((it) => it.id);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const summary = focused?.closest("summary")?.parentElement?.id;
    const id = focused?.id;
    const href = focused?.getAttribute("href");
    const before = old.querySelector("[data-run]")?.dataset.run;
    for (const it of open) next.querySelector("#" + CSS.escape(it))?.setAttribute("open", "");
    const kept = document.importNode(next, true);
    old.replaceWith(kept);
    if (summary) kept.querySelector("#" + CSS.escape(summary) + " > summary")?.focus();
    else if (id) document.getElementById(id)?.focus();
    else if (href) kept.querySelector('a[href="' + CSS.escape(href) + '"]')?.focus();
    const now = kept.querySelector("[data-run]");
    if (now && now.dataset.run !== before) announce(now.textContent.trim().replace(/\s+/g, " "));
    return true;
  };

  // Whether somebody is at work in a form here: then nothing is taken from under their hands.
  const touched = () => {
    const live = document.getElementById("live");
    const at = document.activeElement;
    if (live?.contains(at) && at.matches("input, textarea, select, button")) return true;
    return [...(live?.querySelectorAll("input, textarea") ?? [])].some((it) =>
      it.type === "checkbox" ? it.checked !== it.defaultChecked : it.value !== it.defaultValue);
  };

  // An approval is never changed under the eyes of who reads it: they are told, and look again themselves.
  const compare = (fresh) => {
    const mine = document.getElementById("approval");
    const theirs = fresh.getElementById("approval");
    if (!mine || !theirs || document.getElementById("changed")) return;
    const same = ["state", "used", "digest"].every((name) => mine.dataset[name] === theirs.dataset[name]);
    if (same) return;
    const alert = document.createElement("div");
    alert.id = "changed";
    alert.className = "alert";
    alert.setAttribute("role", "alert");
    const words = document.createElement("p");
    words.textContent = mine.dataset.digest !== theirs.dataset.digest
      ? "The message has changed since you opened this page. "
      : "This has been decided, or has gone on, since you opened this page. ";
    const link = document.createElement("a");
    link.href = location.pathname;
    link.textContent = "Look again";
    words.append(link);
    alert.append(words);
    document.getElementById("live").before(alert);
  };

  // At most once a second, and once more for what came meanwhile.
  let looking = false;
  let later = 0;
  let last = 0;
  const refresh = async () => {
    const live = document.getElementById("live");
    if (!live || live.dataset.live === undefined || document.hidden) return;
    if (looking || Date.now() - last < 1000) {
      later ||= setTimeout(() => { later = 0; refresh(); }, 1000);
      return;
    }
    looking = true;
    last = Date.now();
    try {
      const fresh = await look();
      if (fresh && document.getElementById("approval")) compare(fresh);
      else if (fresh && !touched()) replace(fresh);
    } catch { /* The server is away: the page stays as it is, and is looked at again. */ }
    looking = false;
  };

  // The server tells of every change, once for all pages of this browser: of the six connections a browser has to a server without
  // TLS, one stream keeps one. Whichever page holds the lock listens and passes on what it hears; when it goes, another gets the lock.
  // Where nothing is heard, pages look for themselves.
  const NAME = "countersign-events";
  let heard = 0;
  let said = null;
  const hear = ({ kind, data }) => {
    heard = Date.now();
    if (kind === "change" || (kind === "pending" && data !== pending)) refresh();
    if (kind === "pending") count(data);
  };
  const lead = (channel, signal) => new Promise((over) => {
    const events = new EventSource(body.dataset.events);
    const end = () => { events.close(); over(); };
    for (const kind of ["pending", "change", "alive"]) {
      events.addEventListener(kind, (event) => {
        const told = { kind, data: event.data };
        if (kind === "pending") said = told;
        channel.postMessage(told);
        hear(told);
      });
    }
    // Closed for good: whoever was signed in is so no longer, perhaps.
    events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) end(); });
    signal.addEventListener("abort", end);
  }).finally(() => { said = null; });
  const listen = () => {
    const stop = new AbortController();
    const channel = new BroadcastChannel(NAME);
    channel.addEventListener("message", ({ data }) => {
      if (data.kind !== "new") hear(data);
      else if (said) channel.postMessage(said);
    });
    channel.postMessage({ kind: "new" });
    const turn = () => navigator.locks.request(NAME, { signal: stop.signal }, () => lead(channel, stop.signal))
      .catch(() => {})
      .then(() => { if (!stop.signal.aborted) setTimeout(turn, 10000); });
    turn();
    window.addEventListener("pagehide", () => { stop.abort(); channel.close(); }, { once: true });
  };
  if (body.dataset.events && window.EventSource && window.BroadcastChannel && navigator.locks) {
    listen();
    // Back from another page, by the browser's memory of this one.
    window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  }
  // What runs may be driven by another process, of which the server tells late. Anything else is looked at where nothing is heard.
  setInterval(() => {
    const silent = Date.now() - Math.max(heard, last) > 30000;
    if (document.querySelector("#live[data-live] [data-run]") || silent) refresh();
  }, 2000);
  document.addEventListener("visibilitychange", () => refresh());

  // Sending a form twice by two clicks sends it once.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
    announce("Sending");
    if (form.id === "install" && window.XMLHttpRequest) upload(event, form);
    // Where nothing comes of it, it can be tried again.
    else setTimeout(unsend, 15000);
  });
  const unsend = () => {
    for (const form of document.forms) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
    }
  };
  // Back from another page, by the browser's memory of this one.
  window.addEventListener("pageshow", (event) => { if (event.persisted) unsend(); });

  // A component may be large: how much of it has gone is shown.
  const upload = (event, form) => {
    event.preventDefault();
    const line = document.getElementById("upload");
    const bar = document.getElementById("uploaded");
    const words = line.querySelector("span");
    const request = new XMLHttpRequest();
    line.hidden = false;
    request.upload.addEventListener("progress", (it) => {
      if (!it.lengthComputable) return;
      const done = Math.floor((100 * it.loaded) / it.total);
      bar.value = done;
      words.textContent = done < 100 ? done + " %" : "Checking the component";
      if (done === 100) announce("Uploaded. Checking the component.");
    });
    request.addEventListener("load", () => {
      if (request.status < 400 && request.responseURL !== form.action) { location.assign(request.responseURL); return; }
      const fresh = new DOMParser().parseFromString(request.responseText, "text/html");
      const main = fresh.getElementById("live");
      if (!main) { words.textContent = "The server did not take it."; unsend(); return; }
      document.getElementById("live").replaceWith(document.importNode(main, true));
      document.getElementById("main").focus();
      announce("It was not installed");
    });
    request.addEventListener("error", () => {
      words.textContent = "The server cannot be reached. Nothing was installed.";
      announce(words.textContent);
      unsend();
    });
    request.open("POST", form.action);
    request.send(new FormData(form));
  };
})();
