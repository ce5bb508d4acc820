// The page's script: asks for a section over one WebSocket, and changes only what differs.
// The address after '#' is all of the page's state: '#tasks?state=failed&page=2'.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const links = [...document.querySelectorAll("nav a")];
  const parts = { head: at("head"), section: at("section"), state: at("state"), search: at("search") };
  let socket = null;
  let tries = 0;
  let ended = "";
  let paused = false;
  let shown = "";
  let drawnFor = {}; // the query that the section's links were made for
  const waiting = []; // pieces that are not drawn yet
  // Kept by origin, and so by port: cookies go to every port of a host.
  const name = "nbray-pass " + location.pathname;
  const given = document.querySelector("meta[name=nbray-pass]");
  let pass = "";
  try {
    if (given) localStorage.setItem(name, given.content);
    pass = localStorage.getItem(name) || "";
  } catch {
    pass = given ? given.content : ""; // a browser that keeps nothing: until the next reload
  }

  // -- where we are ---------------------------------------------------------------------------

  const place = () => {
    const [name, text] = location.hash.slice(1).split("?", 2);
    const known = links.some((link) => link.dataset.section === name);
    return {
      section: known ? name : "overview",
      query: Object.fromEntries(new URLSearchParams(text || "")),
    };
  };

  const address = (section, query) => {
    const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
    return "#" + section + (text ? "?" + text : "");
  };

  const arrive = () => {
    const { section, query } = place();
    for (const link of links) {
      const here = link.dataset.section === section;
      if (here) {
        link.setAttribute("aria-current", "page");
        at("title").textContent = link.textContent;
        document.title = `nbray: ${link.textContent}`;
        at("searching").hidden = !link.dataset.search;
        parts.search.placeholder = link.dataset.search;
        parts.search.setAttribute("aria-label", `Search: ${link.dataset.search}`);
      } else {
        link.removeAttribute("aria-current");
      }
    }
    if (document.activeElement !== parts.search) parts.search.value = query.text || "";
    at("trace").hidden = section !== "timeline";
    at("trace").href = "trace.json" + address("", { ...query, state: "", pass }).slice(1);
    if (section !== shown) {
      parts.section.setAttribute("aria-busy", "true");
      scrollTo(0, 0);
    }
    ask();
  };

  // -- talking ----------------------------------------------------------------------------------

  const send = (message) => {
    if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  const ask = () => {
    const { section, query } = place();
    send({ section, query, hidden: document.hidden || paused });
  };

  const say = (text, kind) => {
    if (parts.state.textContent !== text) parts.state.textContent = text;
    parts.state.className = kind;
  };

  const connect = () => {
    const url = new URL("ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = url.search = "";
    socket = new WebSocket(url);
    socket.onopen = () => {
      send({ pass });
      ask();
    };
    socket.onmessage = (event) => {
      tries = 0;
      const piece = JSON.parse(event.data);
      waiting.push(piece);
      if (piece.state === "ended") {
        // The last word, in the background too; the server waits until the page has hung up.
        ended = piece.why || "the cluster has ended";
        catchUp();
        socket.close();
      } else {
        // A page in the background draws nothing, and so gets nothing.
        requestAnimationFrame(catchUp);
      }
    };
    socket.onclose = (event) => {
      if (ended) return;
      if (event.code === 4401) {
        say("no entry without the link: nbray dashboard prints it", "bad");
        return;
      }
      say("disconnected, trying again", "bad");
      tries += 1;
      setTimeout(connect, Math.min(8000, 250 * 2 ** tries));
    };
  };

  const catchUp = () => {
    for (const piece of waiting.splice(0)) {
      draw(piece);
      send({ drawn: piece.number });
    }
  };

  const draw = (piece) => {
    if (piece.head !== undefined) morph(parts.head, piece.head);
    if (piece.html !== undefined && piece.section === place().section) {
      const tails = [...parts.section.querySelectorAll("[data-tail]")];
      const atEnd = tails.every((one) => one.scrollHeight - one.scrollTop - one.clientHeight < 30);
      const fresh = piece.section !== shown;
      if (fresh) parts.section.replaceChildren();
      morph(parts.section, piece.html);
      shown = piece.section;
      drawnFor = piece.query;
      parts.section.removeAttribute("aria-busy");
      if (fresh || atEnd) {
        for (const one of parts.section.querySelectorAll("[data-tail]")) {
          one.scrollTop = one.scrollHeight;
        }
      }
    }
    if (ended) {
      say(ended, "bad");
      document.body.classList.add("ended");
    } else if (!paused) {
      say(piece.state, piece.state === "live" ? "live" : "bad");
    }
  };

  // -- changing only what differs ------------------------------------------------------------

  const morph = (target, html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    children(target, template.content);
  };

  const children = (from, to) => {
    let old = from.firstChild;
    for (const next of [...to.childNodes]) {
      if (!old) {
        from.append(next);
        continue;
      }
      const after = old.nextSibling;
      if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) {
        old.replaceWith(next);
      } else if (old.nodeType !== Node.ELEMENT_NODE) {
        if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
      } else if (!old.isEqualNode(next)) {
        attributes(old, next);
        children(old, next);
      }
      old = after;
    }
    while (old) {
      const after = old.nextSibling;
      old.remove();
      old = after;
    }
  };

  const attributes = (old, next) => {
    for (const { name } of [...old.attributes]) {
      const own = name === "open"; // what the reader has unfolded stays so
      if (!own && !next.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  };

  // -- gestures --------------------------------------------------------------------------------

  let typing = 0;
  const search = () => {
    if (!typing) return;
    clearTimeout(typing);
    typing = 0;
    const { section, query } = place();
    history.replaceState(null, "", address(section, { ...query, text: parts.search.value, page: "" }));
    arrive();
  };
  parts.search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(search, 150);
  });
  parts.search.addEventListener("blur", search);

  // A link in the section holds the whole query, as it was when the section was drawn. What
  // the reader has chosen since then stands: only what the link changes is changed.
  parts.section.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || modified) return;
    const [name, text] = link.hash.slice(1).split("?", 2);
    const { section, query } = place();
    if (name !== section || name !== shown) return;
    event.preventDefault();
    const wanted = Object.fromEntries(new URLSearchParams(text || ""));
    for (const key of new Set([...Object.keys(wanted), ...Object.keys(drawnFor)])) {
      if (wanted[key] !== drawnFor[key]) query[key] = wanted[key] || "";
    }
    parts.search.value = query.text || "";
    location.hash = address(section, query);
  });

  document.addEventListener("keydown", (event) => {
    const free = !event.ctrlKey && !event.metaKey && !event.altKey;
    const inField = event.target instanceof HTMLInputElement;
    if (event.key === "/" && free && !inField && !at("searching").hidden) {
      event.preventDefault();
      parts.search.focus();
      parts.search.select();
    } else if (event.key === "Escape" && inField) {
      parts.search.blur();
    }
  });

  at("pause").addEventListener("click", () => {
    paused = !paused;
    at("pause").setAttribute("aria-pressed", String(paused));
    at("pause").textContent = paused ? "Go on" : "Pause";
    if (paused) say("paused", "");
    ask();
  });

  const theme = (dark) => {
    document.body.dataset.jpThemeLight = String(!dark);
    at("theme").textContent = dark ? "Light" : "Dark";
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem("nbray-theme");
    } catch {
      return null; // storage is forbidden here: the theme is not kept
    }
  };
  const choose = () => theme(kept() ? kept() === "dark" : system.matches);
  system.addEventListener("change", choose);
  at("theme").addEventListener("click", () => {
    const dark = document.body.dataset.jpThemeLight === "true";
    try {
      localStorage.setItem("nbray-theme", dark ? "dark" : "light");
    } catch {
      // as above
    }
    theme(dark);
  });

  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    at("content").focus();
  });
  document.addEventListener("visibilitychange", ask);
  addEventListener("hashchange", arrive);

  // The key has become a cookie: it need not stay in the address and the history.
  const url = new URL(location.href);
  if (url.searchParams.has("key")) {
    url.searchParams.delete("key");
    history.replaceState(null, "", url);
  }
  choose();
  arrive();
  connect();
})();
