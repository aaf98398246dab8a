
"use strict";
const byId = (id) => document.getElementById(id);
const page = JSON.parse(byId("page").textContent);
const meshId = new RegExp(page.id);
const roomy = matchMedia("(min-width: 70rem)");

document.querySelector(".columns").before(byId("controls"));
for (const id of ["filters", "help", "panel"]) byId(id).hidden = false;

// A mention: its stop of the keyboard and its marks in the text.
const mentions = [];
const ofHandle = new Map();
for (const handle of document.querySelectorAll(".handle")) {
  handle.setAttribute("role", "button");
  handle.setAttribute("aria-controls", "panel");
  handle.setAttribute("aria-expanded", "false");
  const score = handle.dataset.score === "" ? 0 : Number(handle.dataset.score);
  const mention = { handle, marks: [], article: handle.closest("article"), place: mentions.length, score, off: false };
  mentions.push(mention);
  ofHandle.set(handle.id, mention);
}
const mentionOf = (mark) => ofHandle.get(`${mark.closest("article").id}m${mark.dataset.m}`);
for (const mark of document.querySelectorAll("main .m")) mentionOf(mark).marks.push(mark);

// The panel.
const candidatesOf = new WeakMap();
let shown = null;
let pinned = false;
// The mention that was opened last: from there the keys go on.
let last = null;

function candidates(mention) {
  if (!candidatesOf.has(mention.article)) {
    candidatesOf.set(mention.article, JSON.parse(mention.article.querySelector("script").textContent));
  }
  const { lists, mentions: rows } = candidatesOf.get(mention.article);
  const [list, answers, margin] = rows[Number(mention.handle.id.split("m")[1])];
  const links = lists[list].map(([id, name, score, matched]) => ({ id, name, score, matched: matched || name }));
  return { links, answers, margin };
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className || "";
  return made;
}

function record(id) {
  if (!meshId.test(id)) return element("bdi", id);
  const link = element("a", `${id}\u00a0↗`);
  link.href = page.record + id;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.setAttribute("aria-label", `${id} at MeSH, in a new tab`);
  return link;
}

const digits = (score) => (score === null || score === undefined ? "–" : score.toFixed(3));

function bar(score) {
  const whole = element("span", "", "bar");
  const part = element("i", "");
  part.style.width = `${100 * Math.min(1, Math.max(0, score || 0))}%`;
  whole.append(part);
  return whole;
}

function fillAnswers(links, answers) {
  const texts = answers.map((id) => {
    const link = links.find((candidate) => candidate.id === id);
    const line = element("p", "");
    line.append(element("bdi", link ? link.name : ""), " ", record(id));
    return line;
  });
  if (!answers.length) {
    const why = element("p", links.length ? "No candidate was sure enough; the first is " : "There are no candidates.", "why");
    if (links.length) why.append(element("bdi", links[0].name), " ", record(links[0].id));
    texts.push(element("p", "NIL: no concept"), why);
  }
  byId("answers").replaceChildren(...texts);
}

function fillScores(links, answers, margin, score) {
  const taken = answers.length ? answers.map((id) => links.find((candidate) => candidate.id === id)).filter(Boolean) : links.slice(0, 1);
  byId("matched").textContent = taken.map((candidate) => candidate.matched).join("; ") || "–";
  byId("score").textContent = (score || "–") + (answers.length || !links.length ? "" : ", of the first candidate");
  byId("margin").textContent = digits(margin) + (links.length === 1 ? ", no other candidate" : "");
}

function fillCandidates(links, answers, nearest) {
  const body = byId("candidates").tBodies[0];
  body.replaceChildren();
  byId("candidates").hidden = !links.length;
  for (const { id, name, score, matched } of links) {
    const row = body.insertRow();
    if (answers.includes(id)) row.className = "answer";
    const concept = element("th", "");
    concept.scope = "row";
    concept.append(element("bdi", name), " ", record(id));
    if (matched !== name) {
      const note = element("span", `${nearest.toLowerCase()} `, "matched");
      note.append(element("bdi", matched));
      concept.append(note);
    }
    row.append(concept);
    row.insertCell().append(digits(score), bar(score));
  }
}

function show(mention) {
  if (shown) mark(shown, false);
  shown = mention;
  byId("shown").hidden = !mention;
  byId("hint").hidden = Boolean(mention);
  if (!mention) return;
  mark(mention, true);
  const { links, answers, margin } = candidates(mention);
  const row = byId(mention.handle.hash.slice(1));
  const [label, why, nearest] = page.stages[mention.handle.dataset.stage];
  byId("mention").textContent = row.cells[0].textContent;
  byId("type").textContent = mention.handle.dataset.type;
  byId("decided").textContent = answers.length ? "Decided by" : "First candidate by";
  byId("stage").textContent = label;
  byId("why").textContent = why;
  byId("nearest").textContent = nearest;
  fillAnswers(links, answers);
  fillScores(links, answers, margin, mention.handle.dataset.score);
  fillCandidates(links, answers, nearest);
  byId("panel").scrollTop = 0;
}

function mark(mention, chosen) {
  for (const part of mention.marks) part.classList.toggle("chosen", chosen);
  mention.handle.setAttribute("aria-expanded", String(chosen));
}

function open(mention) {
  show(mention);
  pinned = true;
  last = mention;
  mention.handle.scrollIntoView({ block: "nearest" });
}

function close() {
  show(null);
  pinned = false;
}

// Filters.
const controls = ["search", "from", "of-type", "by-stage", "answer"].map(byId);
const [search, from, ofType, byStage, answer] = controls;
const articles = [...document.querySelectorAll("article")];

function filterMentions() {
  byId("least").textContent = Number(from.value).toFixed(2);
  for (const mention of mentions) {
    const { type, stage, nil } = mention.handle.dataset;
    mention.off = (ofType.value && ofType.value !== `=${type}`) || (byStage.value && byStage.value !== `=${stage}`)
      || (answer.value && (answer.value === "nil") !== (nil !== undefined));
    mention.handle.hidden = Boolean(mention.off);
    for (const part of mention.marks) {
      part.classList.toggle("off", Boolean(mention.off));
      part.classList.toggle("faint", mention.score < Number(from.value));
    }
  }
  tell();
}

function filterDocuments() {
  const wanted = search.value.trim().toLowerCase();
  for (const article of articles) {
    const texts = [...article.querySelectorAll("h2, .text, tbody")].map((part) => part.textContent);
    article.hidden = !texts.join("\n").toLowerCase().includes(wanted);
  }
  tell();
}

const reachable = (mention) => !mention.off && !mention.article.hidden;

function tell() {
  const documents = articles.filter((article) => !article.hidden).length;
  const own = mentions.filter((mention) => reachable(mention) && mention.score >= Number(from.value)).length;
  byId("count").textContent = `${own} of ${mentions.length} mentions, ${documents} of ${articles.length} documents`;
  if (shown && !reachable(shown)) close();
}

let waiting = 0;
for (const control of controls) {
  control.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(control === search ? filterDocuments : filterMentions, 100);
  });
}
byId("filters").addEventListener("submit", (event) => event.preventDefault());

// Pointer.
const main = document.querySelector("main");
const markAt = (event) => event.target.closest(".m");

main.addEventListener("pointerover", (event) => {
  const found = markAt(event);
  if (found && !pinned && roomy.matches && event.pointerType === "mouse" && !mentionOf(found).off) show(mentionOf(found));
});

// The shortest mention at a place; when that is open, the one around it.
main.addEventListener("click", (event) => {
  const found = [];
  for (let part = markAt(event); part; part = part.parentElement.closest(".m")) {
    if (!mentionOf(part).off) found.push(mentionOf(part));
  }
  if (!found.length) return;
  const next = pinned ? found[found.indexOf(shown) + 1] : found[0];
  if (!next) return close();
  next.handle.focus({ preventScroll: true });
  open(next);
});

main.addEventListener("focusin", (event) => {
  const mention = ofHandle.get(event.target.id);
  if (mention) open(mention);
  for (const part of mention ? mention.marks : []) part.classList.add("focused");
});
main.addEventListener("focusout", (event) => {
  const mention = ofHandle.get(event.target.id);
  for (const part of mention ? mention.marks : []) part.classList.remove("focused");
});
byId("close").addEventListener("click", () => leave());

// Keyboard.
function step(by) {
  let place = last ? last.place + by : by > 0 ? 0 : mentions.length - 1;
  while (mentions[place] && !reachable(mentions[place])) place += by;
  if (mentions[place]) mentions[place].handle.focus();
}

// Closes the panel; the keyboard goes back to the mention.
function leave() {
  if (shown && byId("panel").contains(document.activeElement)) {
    const { handle } = shown;
    handle.focus();
  }
  close();
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  "/": () => search.focus(),
  p: () => { if (shown) byId("panel").querySelector("a, button").focus(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const mention = ofHandle.get(event.target.id);
  if (event.key === "Escape") {
    if (event.target === search) search.blur();
    else leave();
  } else if (event.key === "Enter" && mention) {
    event.preventDefault();
    if (shown === mention && pinned) close();
    else open(mention);
  } else if (keys[event.key] && !event.target.closest("input, select")) {
    event.preventDefault();
    keys[event.key]();
  }
});

// On paper there is no panel: the tables say what it would.
addEventListener("beforeprint", () => { for (const table of document.querySelectorAll("details")) table.open = true; });
addEventListener("afterprint", () => { for (const table of document.querySelectorAll("details")) table.open = false; });

filterMentions();
