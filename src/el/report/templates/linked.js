
"use strict";
const byId = (id) => document.getElementById(id);
const page = JSON.parse(byId("page").textContent);
const meshId = new RegExp(page.id);
const roomy = matchMedia("(min-width: 70rem)");

document.querySelector(".columns").before(byId("controls"));
document.querySelector("main").prepend(byId("none"));
for (const id of ["filters", "help", "panel"]) byId(id).hidden = false;
for (const kind of document.querySelectorAll(".legend .m")) kind.hidden = !document.querySelector(`main .${kind.dataset.kind}`);

// Each mention has a handle, which takes the keyboard's focus, and marks in the text.
const mentions = [];
const ofHandle = new Map();
for (const handle of document.querySelectorAll(".handle")) {
  handle.setAttribute("role", "button");
  handle.setAttribute("aria-controls", "panel");
  handle.setAttribute("aria-expanded", "false");
  const score = handle.dataset.score === "" ? 0 : Number(handle.dataset.score);
  const mention = { handle, marks: [], article: handle.closest("article"), place: mentions.length, score, off: false, faint: false };
  mentions.push(mention);
  ofHandle.set(handle.id, mention);
}
const mentionOf = (mark) => ofHandle.get(`${mark.closest("article").id}m${mark.dataset.m}`);
for (const mark of document.querySelectorAll("main .m")) mentionOf(mark).marks.push(mark);

// The panel.
const candidatesOf = new WeakMap();
let shown = null;
let pinned = false;
// The keys start from the mention and the document that were opened last, and from the place there. At the heading
// of a document the place is halfway between two mentions.
let last = null;
let lastArticle = null;
let place = null;

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
    const why = element("p", links.length ? "No candidate has a high enough score; the first is " : "There are no candidates.", "why");
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
  lastArticle = mention.article;
  place = mention.place;
  mention.handle.scrollIntoView({ block: "nearest" });
}

function close() {
  show(null);
  pinned = false;
}

// Filters.
const controls = ["search", "from", "to", "of-type", "by-stage", "answer", "unsure"].map(byId);
const [search, from, to, ofType, byStage, answer, unsure] = controls;
const articles = [...document.querySelectorAll("article")];
const leastSure = [...mentions].sort((one, other) => one.score - other.score);
const reachable = (mention) => !mention.off && !mention.faint && !mention.article.hidden;

// The texts that the search reads, by document. A text is made at the first search.
const texts = new Map();
const fold = (text) => text.replace(/\s+/g, " ").trim().toLowerCase();
function textOf(article) {
  if (!texts.has(article)) {
    const parts = [...article.querySelectorAll("h2, .text, .concept bdi")];
    texts.set(article, parts.map((part) => fold(part.textContent)).join("\n"));
  }
  return texts.get(article);
}

function filter() {
  byId("least").textContent = Number(from.value).toFixed(2);
  byId("most").textContent = Number(to.value).toFixed(2);
  for (const mention of mentions) filterMention(mention);
  filterDocuments();
  showCounts();
}

function filterMention(mention) {
  const { type, stage, nil } = mention.handle.dataset;
  mention.off = Boolean((ofType.value && ofType.value !== `=${type}`) || (byStage.value && byStage.value !== `=${stage}`)
    || (answer.value && (answer.value === "nil") !== (nil !== undefined)));
  mention.faint = mention.score < Number(from.value) || mention.score > Number(to.value);
  mention.handle.hidden = mention.off || mention.faint;
  for (const part of mention.marks) {
    part.classList.toggle("off", mention.off);
    part.classList.toggle("faint", mention.faint);
  }
}

// The filters by score hide no document: faint mentions can still be read.
function filterDocuments() {
  const wanted = fold(search.value);
  const narrowed = ofType.value || byStage.value || answer.value;
  const matching = new Set(mentions.filter((mention) => !mention.off).map((mention) => mention.article));
  for (const article of articles) {
    article.hidden = Boolean((narrowed && !matching.has(article)) || (wanted && !textOf(article).includes(wanted)));
  }
}

function showCounts() {
  const documents = articles.filter((article) => !article.hidden).length;
  byId("count").textContent = `${mentions.filter(reachable).length} of ${mentions.length} mentions, ${documents} of ${articles.length} documents`;
  byId("none").hidden = documents > 0 || !articles.length;
  byId("wanted").textContent = `No document has ${filtersInWords()}.`;
  if (shown && !reachable(shown)) close();
}

// Returns the filters in words.
function filtersInWords() {
  const chosen = (select) => select.selectedOptions[0].textContent.replace(/ \(\d+\)$/, "");
  const mention = [
    ofType.value && `of type ${chosen(ofType)}`,
    byStage.value && `decided by ${chosen(byStage)}`,
    answer.value && (answer.value === "nil" ? "without a concept" : "with a concept"),
  ].filter(Boolean).join(", ");
  return [search.value && `“${search.value}”`, mention && `a mention ${mention}`].filter(Boolean).join(" and ");
}

let waiting = 0;
for (const control of controls) {
  control.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 100);
  });
}
// The lower bound stays below the upper one: moving one of them moves the other.
from.addEventListener("input", () => { to.value = Math.max(from.value, to.value); });
to.addEventListener("input", () => { from.value = Math.min(from.value, to.value); });
// After a change of order the keys start at the first mention.
unsure.addEventListener("input", () => { last = null; });
byId("filters").addEventListener("submit", (event) => event.preventDefault());
for (const button of document.querySelectorAll(".reset")) {
  button.addEventListener("click", () => {
    byId("filters").reset();
    filter();
  });
}

// Pointer.
const main = document.querySelector("main");
const markAt = (event) => event.target.closest(".m");

main.addEventListener("pointerover", (event) => {
  const found = markAt(event);
  if (found && !pinned && roomy.matches && event.pointerType === "mouse" && reachable(mentionOf(found))) show(mentionOf(found));
});

// A click opens the shortest mention at its place. If that mention is open, the click opens the next longer one.
main.addEventListener("click", (event) => {
  const found = [];
  for (let part = markAt(event); part; part = part.parentElement.closest(".m")) {
    if (reachable(mentionOf(part))) found.push(mentionOf(part));
  }
  if (!found.length) return;
  const wanted = pinned ? found[found.indexOf(shown) + 1] : found[0];
  if (!wanted) return close();
  wanted.handle.focus({ preventScroll: true });
  open(wanted);
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
// Returns the next wanted item of a list, after the place `from`. With null the search starts outside the list.
function next(list, from, by, wanted) {
  let at = by > 0 ? Math.floor(from ?? -1) + 1 : Math.ceil(from ?? list.length) - 1;
  while (list[at] && !wanted(list[at])) at += by;
  return list[at];
}

function step(by) {
  const found = unsure.checked
    ? next(leastSure, last && leastSure.indexOf(last), by, reachable)
    : next(mentions, place, by, reachable);
  if (found) found.handle.focus();
}

// Goes to the heading of the next or previous document.
function turn(by) {
  const article = next(articles, lastArticle && articles.indexOf(lastArticle), by, (one) => !one.hidden);
  if (!article) return;
  close();
  last = null;
  lastArticle = article;
  const above = ({ handle }) => handle.compareDocumentPosition(article) === Node.DOCUMENT_POSITION_FOLLOWING;
  place = mentions.findLastIndex(above) + 0.5;
  article.scrollIntoView();
  article.querySelector("h2").focus({ preventScroll: true });
}

// Closes the panel, and gives the focus back to the mention.
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
  n: () => turn(1),
  N: () => turn(-1),
  "/": () => search.focus(),
  p: () => { if (shown) byId("panel").querySelector("a, button").focus(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const mention = ofHandle.get(event.target.id);
  if (event.key === "Escape") {
    if (controls.includes(event.target)) event.target.blur();
    else leave();
  } else if (["Enter", " "].includes(event.key) && mention) {
    event.preventDefault();
    if (shown === mention && pinned) close();
    else open(mention);
  } else if (keys[event.key] && ![search, ofType, byStage, answer].includes(event.target)) {
    event.preventDefault();
    keys[event.key]();
  }
});

// On paper there is no panel, so the tables are opened.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const table of opened) table.open = true;
});
addEventListener("afterprint", () => { for (const table of opened) table.open = false; });

filter();
