"use strict";
// What makes the page fast: keys, the next action at hand before it is asked for, and what changes meanwhile. Without
// it everything essential works as plain forms. It decides nothing: each decision is a form of the page's, sent whole.

const byId = (id) => document.getElementById(id);
const body = document.body;

if (body.dataset.page === "login") logIn();
if (body.dataset.page === "inbox") openInbox();

function logIn() {
  const code = location.hash.slice(1);
  if (!code) return;
  // Out of the address and the history before anything else.
  history.replaceState(null, "", location.pathname + location.search);
  byId("code").value = code;
  byId("enter").requestSubmit();
}

function openInbox() {
  const POLL = Number(body.dataset.poll) * 1000, FRESH = 60000, UNSEEN = 300; // milliseconds
  const list = byId("list"), main = byId("item"), help = byId("help");
  const pages = new Map(); // by action, its page and when it was fetched
  const typed = new Map(); // by action, what was typed and not sent
  const gone = new Set(); // decided here, as long as the server still names them
  let shownAt = 0, after = "0", current = shownId(), ended = false, keysOn = localStorage.getItem("keys") !== "off";

  body.classList.add("scripted");
  byId("help-button").hidden = false;
  byId("keys-on").checked = keysOn;
  history.replaceState({ id: current, at: body.className }, "");
  const seconds = Number(body.dataset.seconds);

  // On a small screen what waits comes first; what is chosen already stays in sight.
  const narrow = matchMedia("(max-width: 820px)");
  function fold() { byId("fold").open = !narrow.matches || body.dataset.query !== ""; }
  narrow.addEventListener("change", fold);
  fold();

  // ---- what is shown

  function article() { return main.querySelector("article"); }
  function shownId() { const one = main.querySelector("article"); return one ? one.dataset.id : null; }
  function rows() { return [...list.querySelectorAll("li[data-id]")].filter((row) => !row.hidden); }
  function rowOf(id) { return list.querySelector(`li[data-id="${id}"]`); }
  function say(words) { byId("status").textContent = words; }
  function complain(words) {
    const said = document.createElement("p");
    said.className = "problem";
    said.textContent = words;
    (byId("item-problem") || byId("trouble")).replaceChildren(said);
  }

  function mark(id) {
    for (const row of list.querySelectorAll("li.selected")) {
      row.classList.remove("selected");
      row.querySelector("a").removeAttribute("aria-current");
    }
    const row = id && rowOf(id);
    if (!row) return;
    row.classList.add("selected");
    row.querySelector("a").setAttribute("aria-current", "true");
    if (matchMedia("(min-width: 821px)").matches) row.scrollIntoView({ block: "nearest" });
  }

  async function pageOf(id) {
    const known = pages.get(id);
    if (known && Date.now() - known.at < FRESH) return known.html;
    const reply = await fetch(`/inbox/${id}?part=item`, { headers: { accept: "text/html" } });
    if (!reply.ok) throw new Error((await reply.json()).error);
    const html = await reply.text();
    pages.set(id, { html, at: Date.now() });
    return html;
  }

  function preload(id) { if (id) pageOf(id).catch(() => {}); }

  async function show(id, { push = true, focus = true } = {}) {
    keep();
    const wanted = (current = id);
    let html;
    try { html = id ? await pageOf(id) : nothing(); } catch (error) { complain(error.message); return; }
    if (wanted !== current) return; // somebody went on meanwhile
    main.innerHTML = html; // the server's own, in which everything from outside is escaped
    shownAt = performance.now();
    body.classList.remove("at-list"); body.classList.add("at-item");
    if (push && id) history.pushState({ id }, "", `/inbox/${id}` + (body.dataset.query ? `?${body.dataset.query}` : ""));
    restore();
    mark(id);
    if (focus) { byId("item-title").focus({ preventScroll: true }); main.scrollTop = 0; window.scrollTo(0, 0); }
    preload(beside(id, 1));
  }

  function nothing() {
    return '<div class="empty"><h2 id="item-title" tabindex="-1">All done</h2><p>Nothing that is shown here waits for a decision. What comes in appears by itself.</p></div>';
  }

  function beside(id, step) {
    const there = rows(), at = there.findIndex((row) => row.dataset.id === id);
    if (at < 0) return there.length ? there[0].dataset.id : null;
    const next = there[at + step];
    return next ? next.dataset.id : null;
  }

  function go(step) {
    const id = beside(current, step);
    if (id) show(id); else say(step > 0 ? "This is the last one." : "This is the first one.");
  }

  function count() {
    const many = rows().length;
    byId("count").textContent = `${many} ${many === 1 ? "waits" : "wait"}`;
    document.title = `${many} ${many === 1 ? "waits" : "wait"}: Signoff inbox`;
    for (const group of list.querySelectorAll(".group")) {
      const left = group.querySelectorAll("li[data-id]:not([hidden])").length;
      group.hidden = left === 0;
      group.querySelector(".many").textContent = left;
    }
    for (const ul of list.querySelectorAll("ul")) {
      ul.hidden = ul.previousElementSibling.hidden = !ul.querySelector("li:not([hidden])");
    }
  }

  // ---- what was typed is not lost: not by going on, not by a decision elsewhere, not by loading the page again

  function fields() { return [...main.querySelectorAll("#decide input:not([type=hidden]), #decide textarea")]; }

  function keep() {
    const one = article();
    if (!one) return;
    const changed = fields().filter((field) => field.value !== field.defaultValue).map((field) => [field.name, field.value]);
    const key = `typed ${one.dataset.id} ${one.dataset.digest}`;
    if (changed.length) { typed.set(key, changed); sessionStorage.setItem(key, JSON.stringify(changed)); }
    else { typed.delete(key); sessionStorage.removeItem(key); }
  }

  function restore() {
    const one = article();
    if (!one) return;
    const key = `typed ${one.dataset.id} ${one.dataset.digest}`;
    const kept = typed.get(key) || JSON.parse(sessionStorage.getItem(key) || "null");
    for (const [name, value] of kept || []) {
      const field = fields().find((each) => each.name === name);
      if (field) field.value = value;
    }
  }

  function forget(id) {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(`typed ${id} `)) { sessionStorage.removeItem(key); typed.delete(key); }
  }

  // ---- deciding

  async function post(form, submitter) {
    const sent = new URLSearchParams(new FormData(form));
    if (submitter && submitter.name) sent.append(submitter.name, submitter.value);
    const reply = await fetch(form.action, {
      method: "POST", body: sent,
      headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
    });
    const said = await reply.json();
    if (!reply.ok) throw new Error(said.error);
    return said;
  }

  function decided(held) {
    for (const id of held.actions) {
      gone.add(String(id));
      const row = rowOf(id);
      if (row) { row.hidden = true; const box = row.querySelector("input"); if (box) box.checked = false; }
    }
    count();
    showHeld(held);
    const words = `${held.approve ? "Approved" : "Rejected"}: ${held.said}.`;
    say(`${words} u takes it back.`);
    setTimeout(() => { if (byId("status").textContent.startsWith(words)) say(words); poll(); }, seconds * 1000 + 1200);
  }

  function showHeld(held) {
    if (byId("held").querySelector(`[data-held="${held.id}"]`)) return;
    const form = document.createElement("form");
    form.method = "post"; form.action = "/inbox/undo"; form.dataset.held = held.id;
    for (const [name, value] of [["token", body.dataset.token], ["held", held.id]]) {
      const hidden = document.createElement("input");
      hidden.type = "hidden"; hidden.name = name; hidden.value = value;
      form.append(hidden);
    }
    const said = document.createElement("span");
    said.textContent = `${held.approve ? "Approved" : "Rejected"}: ${held.said}` + (held.trouble ? ` (not sent yet: ${held.trouble})` : "");
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    key.textContent = "u";
    button.append("Undo ", key);
    form.append(said, " ", button);
    byId("held").append(form);
  }

  async function submitted(event) {
    const form = event.target;
    if (form.method !== "post" || form.action.endsWith("/logout")) return;
    event.preventDefault();
    const submitter = event.submitter;
    if (form.dataset.busy) return;
    form.dataset.busy = "yes";
    try {
      if (form.id === "decide") {
        if (!open()) return;
        const id = current;
        const next = beside(id, 1) || beside(id, -1);
        keep();
        const said = await post(form, submitter);
        decided(said.held);
        if (current === id) await show(next);
      } else if (form.id === "together") {
        const said = await post(form, submitter);
        decided(said.held);
        if (said.held.actions.map(String).includes(current)) await show(rows().length ? rows()[0].dataset.id : null);
        marked();
      } else if (form.dataset.held) {
        await undo(form);
      } else { // passed on
        const said = await post(form, submitter);
        pages.delete(current);
        const again = current;
        say(`Passed on to ${said.asked}.`);
        await show(again, { push: false });
      }
    } catch (error) {
      complain(error.message);
    } finally { delete form.dataset.busy; }
  }

  async function undo(form) {
    const said = await post(form);
    form.remove();
    for (const id of said.undone) {
      gone.delete(String(id));
      const row = rowOf(id);
      if (row) row.hidden = false;
    }
    count();
    say("Taken back: nothing was sent.");
    pages.delete(String(said.undone[0]));
    if (said.undone.length === 1) await show(String(said.undone[0]));
  }

  function marked() {
    const many = list.querySelectorAll("input[name=chosen]:checked").length;
    const words = byId("marked");
    if (words) words.textContent = many ? `${many} marked:` : "None marked";
    for (const id of ["approve-marked", "reject-marked"]) if (byId(id)) byId(id).disabled = many === 0;
  }

  // ---- what changes meanwhile

  let polling = 0;
  function again() { clearTimeout(polling); polling = setTimeout(poll, POLL); }

  async function poll() {
    clearTimeout(polling);
    if (ended) return;
    if (document.hidden) { again(); return; }
    try {
      const reply = await fetch(`/inbox/changes?after=${after}`, { headers: { accept: "application/json" } });
      const said = await reply.json();
      if (reply.status === 401) { ended = true; complain(said.error); return; }
      if (reply.ok) await take(said);
    } catch (error) { /* the server is away: the next look makes up for it */ }
    again();
  }

  async function take(said) {
    const waiting = new Set(said.waiting.map(String));
    const held = new Set(said.held.flatMap((one) => one.actions.map(String)));
    for (const form of [...byId("held").children]) if (!said.held.some((one) => one.id === form.dataset.held)) form.remove();
    for (const one of said.held) if (one.mine) {
      const there = byId("held").querySelector(`[data-held="${one.id}"]`);
      if (there && one.trouble && !there.textContent.includes("not sent yet")) there.remove();
      showHeld(one);
    }
    for (const one of said.told) {
      after = String(one.number);
      const id = String(one.action);
      gone.delete(id);
      if (!one.problem) { forget(id); continue; }
      const words = document.createElement("p");
      words.className = "problem";
      words.textContent = `Not done, #${id}: ${one.problem}.`;
      byId("trouble").append(words);
    }
    let fewer = false, more = false;
    for (const row of list.querySelectorAll("li[data-id]")) {
      const id = row.dataset.id, shown = waiting.has(id) && !held.has(id) && !gone.has(id);
      if (row.hidden === shown) { row.hidden = !shown; fewer = true; }
    }
    await lookAtShown(waiting, said.held);
    for (const id of waiting) if (!rowOf(id) && !held.has(id) && !gone.has(id)) more = true;
    if (more) await reload();
    if (fewer || more) { count(); marked(); }
    if (current === null && rows().length) { await show(rows()[0].dataset.id, { focus: false }); }
  }

  // Decided elsewhere, or expired, while it is on the screen: it says so, and what was typed stays where it is.
  async function lookAtShown(waiting, held) {
    const one = article();
    if (!one || one.dataset.id !== current || gone.has(current)) return;
    const holder = held.find((each) => each.actions.map(String).includes(current));
    if (holder && one.dataset.waits === "yes") {
      stop(`${holder.mine ? "You have" : `${holder.person} has`} just decided this elsewhere; it can be taken back for some seconds.`);
      one.dataset.waits = "held";
    } else if (!holder && one.dataset.waits === "held" && waiting.has(current)) {
      one.dataset.waits = "yes";
      byId("item-problem").replaceChildren();
      for (const button of main.querySelectorAll(".bar button")) button.disabled = false;
    } else if (one.dataset.waits !== "no" && !waiting.has(current)) {
      await closed(current);
    }
  }

  function stop(words) {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = words;
    byId("item-problem").replaceChildren(note);
    for (const button of main.querySelectorAll(".bar button")) button.disabled = true;
  }

  async function closed(id) {
    pages.delete(id);
    const html = await pageOf(id).catch(() => "");
    if (current !== id || !html) return;
    const note = new DOMParser().parseFromString(html, "text/html").querySelector("#item-problem .note");
    stop(note ? note.textContent : "It does not wait any more.");
    article().dataset.waits = "no";
  }

  async function reload() {
    const query = body.dataset.query ? `&${body.dataset.query}` : "";
    const reply = await fetch(`/inbox?part=list${query}`, { headers: { accept: "text/html" } });
    if (!reply.ok) return;
    const chosen = new Set([...list.querySelectorAll("input[name=chosen]:checked")].map((box) => box.value));
    const top = list.scrollTop;
    list.innerHTML = await reply.text();
    for (const box of list.querySelectorAll("input[name=chosen]")) box.checked = chosen.has(box.value);
    list.scrollTop = top;
    mark(current);
  }

  // ---- keys

  function typing(target) { return target.matches("input:not([type=checkbox]), textarea, select"); }

  function pressed(event) {
    if (event.defaultPrevented || event.isComposing || event.altKey || event.metaKey) return;
    const target = event.target;
    if (event.key === "Enter" && event.ctrlKey && target.form && target.form.id === "decide") { event.preventDefault(); arm(); return; }
    if (event.ctrlKey || help.open) return;
    if (event.key === "Escape" && typing(target)) { target.blur(); byId("item-title").focus({ preventScroll: true }); disarm(); return; }
    if (event.key === "Enter" && target.id === "comment") {
      event.preventDefault();
      if (event.repeat) return;
      if (byId("reject").classList.contains("meant")) byId("decide").requestSubmit(byId("reject")); else arm();
      return;
    }
    if (!keysOn || typing(target)) return;
    const action = KEYS[event.key];
    if (!action) return;
    // Leaning on a key decides nothing.
    if (event.repeat && !["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) { event.preventDefault(); return; }
    event.preventDefault();
    action();
  }

  // Only what is on the screen and was asked for: whoever has gone on means the next one, which may still be coming.
  function open() { const one = article(); return one && one.dataset.id === current && one.dataset.waits === "yes" ? one : null; }

  // High impact: the key only goes to the button, where it is seen; Enter presses it.
  function arm() {
    if (!open() || !byId("approve")) return;
    byId("approve").classList.add("armed");
    byId("approve").focus();
    byId("approve").scrollIntoView({ block: "nearest" });
    say(`Enter approves: ${byId("item-title").textContent}`);
  }
  function disarm() { if (byId("approve")) byId("approve").classList.remove("armed"); }

  const KEYS = {
    j: () => go(1), ArrowDown: () => go(1), k: () => go(-1), ArrowUp: () => go(-1),
    a: () => {
      const one = open();
      if (!one || !byId("approve")) return;
      if (one.dataset.impact !== "low") arm();
      // A key that was meant for the one before, pressed twice, must not approve what nobody has seen yet.
      else if (performance.now() - shownAt > UNSEEN) byId("decide").requestSubmit(byId("approve"));
    },
    r: () => { if (!open()) return; byId("reject").classList.add("meant"); byId("comment").focus(); say("Why? Enter rejects."); },
    e: () => { const box = main.querySelector(".box textarea, .box input"); if (box && open()) box.focus(); },
    c: () => { if (open()) byId("comment").focus(); },
    p: () => { const pass = byId("pass"); if (pass) { pass.open = true; byId("pass-person").focus(); } },
    u: () => { const last = byId("held").lastElementChild; if (last) last.requestSubmit(); else say("There is nothing to take back."); },
    x: () => { const row = current && rowOf(current), box = row && row.querySelector("input"); if (box) { box.checked = !box.checked; marked(); } else say("Only what is low-impact can be marked."); },
    X: () => {
      const row = current && rowOf(current);
      const group = row ? row.closest(".group") : list.querySelector(".group:not([hidden])");
      if (!group) return;
      const boxes = [...group.querySelectorAll("li:not([hidden]) input[name=chosen]")];
      const all = boxes.every((box) => box.checked);
      for (const box of boxes) box.checked = !all;
      marked();
      say(all ? "Nothing is marked." : `${boxes.length} low-impact ones of ${group.dataset.workflow} are marked. A goes to their button.`);
    },
    A: () => { const button = byId("approve-marked"); if (button && !button.disabled) button.focus(); else say("Nothing is marked: x marks one, X all of a workflow."); },
    "/": () => { byId("fold").open = true; byId("words").focus(); },
    "?": () => help.showModal(),
  };

  document.addEventListener("keydown", pressed);
  document.addEventListener("submit", submitted);
  document.addEventListener("focusout", (event) => {
    if (event.target.id === "approve") disarm();
    if (event.target.id === "comment") byId("reject") && byId("reject").classList.remove("meant");
  });
  document.addEventListener("input", (event) => { if (event.target.closest("#decide")) keep(); });
  list.addEventListener("change", marked);
  list.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='/inbox/']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(link.closest("li").dataset.id);
  });
  main.addEventListener("click", (event) => {
    if (!event.target.closest(".back a")) return;
    event.preventDefault();
    body.classList.remove("at-item"); body.classList.add("at-list");
    const row = current && rowOf(current);
    if (row) row.querySelector("a").focus();
  });
  byId("help-button").addEventListener("click", () => help.showModal());
  byId("keys-on").addEventListener("change", (event) => { keysOn = event.target.checked; localStorage.setItem("keys", keysOn ? "on" : "off"); });
  window.addEventListener("popstate", (event) => { if (event.state && event.state.id) show(event.state.id, { push: false }); });
  window.addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });

  restore(); marked(); mark(current); preload(beside(current, 1)); again();
  if (body.classList.contains("at-item") || matchMedia("(min-width: 821px)").matches) byId("item-title").focus({ preventScroll: true });
}
