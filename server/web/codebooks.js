/* The codebooks: their health, every code by usage, drift or looks, and one code close up. */
import { askModel, cellUnder, count, element, make, percent, showFigures, styleOf, walk } from "./page.js";
import { looksWanted, setPartners } from "./looks.js";

const ENOUGH = 10; /* tokens a code, below which an unused code may be an accident */

let model = ""; /* the checksum that all below is of */
let training = null; /* counts of every code */
let chosen = null; /* token close up */
const books = new Map(); /* by name: { codebook, counts, canvas, card } */

/* ---- drawing every code ---------------------------------------------------------------------- */

const sum = (list) => list.reduce((a, b) => a + b, 0);

/* The darker, the more often picked (logarithmic); what was never picked stays the ground's colour. */
function inksOfUsage({ counts }) {
  const high = Math.log1p(Math.max(...counts));
  return counts.map((n) => (n ? [styleOf("--line-1"), 0.15 + 0.85 * (Math.log1p(n) / high)] : null));
}

/* Blue: picked more often than in training; orange: less. Full ink at eight times. */
function inksOfDrift({ codebook, counts }) {
  const before = training.slice(codebook.first, codebook.first + codebook.codes);
  const [now, then] = [sum(counts) + counts.length, sum(before) + counts.length];
  if (now === counts.length || then === counts.length) return counts.map(() => null);
  return counts.map((n, i) => {
    const times = Math.log2((n + 1) / now / ((before[i] + 1) / then));
    return [styleOf(times > 0 ? "--line-1" : "--line-2"), Math.min(1, Math.abs(times) / 3)];
  });
}

async function drawLooks(book, columns) {
  const { codebook, canvas } = book;
  const side = 16;
  const turn = (book.turn = (book.turn ?? 0) + 1);
  canvas.width = columns * side;
  canvas.height = Math.ceil(codebook.codes / columns) * side;
  const context = canvas.getContext("2d");
  const tokens = Array.from({ length: codebook.codes }, (_, i) => codebook.first + i);
  for await (const [token, bitmap] of looksWanted(tokens)) {
    if (book.turn !== turn) return;
    const i = token - codebook.first;
    context.drawImage(bitmap, (i % columns) * side, Math.floor(i / columns) * side, side, side);
  }
}

function drawCodes(book) {
  const { canvas, counts } = book;
  const way = element("draw").value;
  const columns = Math.ceil(Math.sqrt(counts.length * 3));
  canvas.vqct = { ...canvas.vqct, columns, rows: Math.ceil(counts.length / columns), length: counts.length };
  if (way === "looks") {
    if (book.way !== way) drawLooks(book, columns).catch((error) => (element("code").textContent = error.message));
    book.way = way;
    return;
  }
  book.way = way;
  book.turn = (book.turn ?? 0) + 1;
  canvas.width = columns;
  canvas.height = canvas.vqct.rows;
  const context = canvas.getContext("2d");
  (way === "drift" ? inksOfDrift : inksOfUsage)(book).forEach((ink, i) => {
    if (!ink) return;
    [context.fillStyle, context.globalAlpha] = ink;
    context.fillRect(i % columns, Math.floor(i / columns), 1, 1);
  });
}

/* ---- one code close up ----------------------------------------------------------------------- */

async function showCode(token) {
  chosen = token;
  const code = await askModel(`/v1/codebook/codes/${token}`);
  const book = [...books.values()].find(({ codebook }) => token >= codebook.first && token < codebook.first + codebook.codes);
  const total = sum(book.counts);
  const near = code.nearest.slice(0, 6);
  const looks = [];
  for await (const [other, bitmap] of looksWanted([token, ...near.map((one) => one.token)])) looks.push([other, bitmap]);
  if (chosen !== token) return;
  const card = (one, size, text) => {
    const canvas = make("canvas", { width: size, height: size });
    const look = looks.find(([other]) => other === one.token);
    if (look) canvas.getContext("2d").drawImage(look[1], 0, 0, size, size);
    return make("figure", { className: "look" }, canvas, make("figcaption", { textContent: text }));
  };
  element("code").replaceChildren(
    card(code, 96, `${code.token}`),
    make("div", {}, make("p", { id: "code-words", textContent: `${code.token}: “${code.word || "no word"}”, ${code.part_of_speech}; ` +
                                `${total ? percent(book.counts[token - book.codebook.first] / total) : "no share yet"} of the window` }),
         make("p", { textContent: "Nearest codes" }),
         make("div", { className: "near" }, ...near.map((one) => card(one, 48, one.word || `${one.token}`)))));
}

function choose(book, index) {
  book.canvas.vqct.index = index;
  showCode(book.codebook.first + index).catch((error) => (element("code").textContent = error.message));
}

/* ---- a codebook's card ----------------------------------------------------------------------- */

function makeBook(codebook) {
  const card = make("div", { className: "codebook", id: `codebook-${codebook.name}` });
  const canvas = make("canvas", { className: "heat" });
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `every ${codebook.name} code; arrow keys walk`);
  canvas.vqct = {};
  const book = { codebook, canvas, card, counts: [] };
  card.append(make("h3", { textContent: `${codebook.name}, ${count(codebook.codes)} codes` }),
              make("dl", { className: "figures" }), canvas, make("p", { className: "key", textContent: "most picked in the window" }),
              make("ol", { className: "top" }));
  canvas.addEventListener("click", (event) => {
    const index = cellUnder(event, canvas, canvas.vqct.columns, canvas.vqct.rows);
    if (index < canvas.vqct.length) choose(book, index);
  });
  walk(canvas, (index) => choose(book, index));
  element("codebooks").append(card);
  return book;
}

function topCode(code) {
  const name = element("words").checked ? code.word || `#${code.token}` : `#${code.token}`;
  const button = make("button", { type: "button", title: code.word || "no word" }, name, " ", make("small", { textContent: count(code.count) }));
  button.addEventListener("click", () => showCode(code.token).catch(() => {}));
  return make("li", {}, button);
}

function showBook(codebook, usage, window) {
  if (!books.has(codebook.name)) books.set(codebook.name, makeBook(codebook));
  const book = books.get(codebook.name);
  const health = codebook.windows[window];
  const few = health.tokens < ENOUGH * codebook.codes
    ? `fewer than ${ENOUGH} tokens a code were counted: a code that was not picked may be an accident` : undefined;
  const some = health.tokens > 0;
  showFigures(book.card.querySelector("dl"), [
    ["usage", some ? percent(health.usage) : "–", few],
    ["perplexity", some ? count(health.perplexity) : "–", few],
    ["dead codes", some ? count(health.dead) : "–", few],
    ["drift", health.drift === null || !some ? "–" : `${health.drift.toFixed(3)} bit`, few],
    ["tokens counted", count(health.tokens)],
  ]);
  const note = book.card.querySelector(".few") ?? make("p", { className: "few" });
  note.textContent = few ? `Grey: ${few}.` : "";
  book.card.querySelector("dl").after(note);
  book.codebook = codebook;
  book.counts = usage.counts.slice(codebook.first, codebook.first + codebook.codes);
  drawCodes(book);
  showTop(book);
}

/* Replaced only where it changed, so that a button keeps its focus from poll to poll. */
function showTop(book) {
  const drawn = JSON.stringify([book.codebook.top, element("words").checked]);
  if (drawn === book.drawn) return;
  book.drawn = drawn;
  book.card.querySelector("ol").replaceChildren(...book.codebook.top.map(topCode));
}

/* ---- polling --------------------------------------------------------------------------------- */

/* Another model has other codes: everything that was known of the old ones goes. */
export async function beginModel(checksum) {
  if (checksum === model) return;
  training = (await askModel("/v1/codebook/usage?window=training")).counts;
  const { codebooks } = await askModel("/v1/codebook");
  const { planes } = await askModel("/v1/model");
  books.clear();
  element("codebooks").replaceChildren();
  setPartners(checksum, planes ?? codebooks.map(({ name, first, codes }) => ({ name, first, count: codes })), training);
  model = checksum;
}

export async function pollCodebooks() {
  const window = element("window").value;
  const [codebook, usage] = await Promise.all([`/v1/codebook?window=${window}`, `/v1/codebook/usage?window=${window}`].map((path) => askModel(path)));
  codebook.codebooks.forEach((one) => showBook(one, usage, window));
}

export function listenForCodes(refresh) {
  element("window").addEventListener("change", refresh);
  element("draw").addEventListener("change", () => books.forEach(drawCodes));
  element("words").addEventListener("change", () => books.forEach(showTop));
}

export const redrawCodes = () => books.forEach(drawCodes);
