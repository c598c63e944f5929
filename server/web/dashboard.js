/* The dashboard: asks the service it came from every two seconds, draws what it answers, and lets a
 * person try a picture. Nothing here asks any other host. */
import { askJson, askModel, bytes, count, duration, element, make, showFigures } from "./page.js";
import { addPoint, clearCharts, drawCharts, makeCharts, updateCharts } from "./charts.js";
import { beginModel, listenForCodes, pollCodebooks, redrawCodes } from "./codebooks.js";
import { listenForPictures } from "./pictures.js";

const POLL_MS = 2000;

let last = null;
let timer = null;

function showState(text, bad, banner) {
  element("state").textContent = text;
  element("state").classList.toggle("bad", bad);
  element("banner").hidden = !banner;
  if (element("banner").textContent !== (banner ?? "")) element("banner").textContent = banner ?? "";
}

const figures = (statistics) => [
  ["up", duration(statistics.uptime_seconds)],
  ["requests", count(statistics.requests.succeeded + statistics.requests.failed)],
  ["pictures", count(statistics.images)],
  ["tokens", count(statistics.tokens)],
  ["pictures a batch", mean(statistics.batch_images)],
  ["memory", bytes(statistics.resident_bytes)],
];

function mean({ counts, sum }) {
  const all = counts.reduce((a, b) => a + b, 0);
  return all ? (sum / all).toFixed(1) : "–";
}

/* After a restart the counters begin again: the difference to the reading before means nothing. */
function addReading(time, statistics) {
  addPoint(time, statistics, last && last.uptime_seconds < statistics.uptime_seconds ? last : null);
  last = statistics;
}

/* What the service kept of the last hour comes before what the page sees itself. */
function addHistory({ history, ...now }) {
  for (const one of history) {
    const seconds = now.uptime_seconds - one.uptime_seconds;
    addReading(Date.now() / 1000 - seconds, { ...one, queue: { ...one.queue, limit: now.queue.limit },
                                              request_seconds: { ...one.request_seconds, bounds: now.request_seconds.bounds } });
  }
}

/* Which model is shown: asked where there are several, and the first at first. */
function showModels(models) {
  const select = element("models");
  const names = models.length > 1 ? models.map(({ name }) => name) : [];
  if (names.join() === [...select.options].map(({ value }) => value).join()) return;
  const before = select.value;
  select.replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
  if (names.includes(before)) select.value = before;
  else beginFigures();
  element("models-field").hidden = !names.length;
}

/* What is drawn of one model says nothing of another. */
function beginFigures() {
  last = null;
  clearCharts();
}

async function pollOnce() {
  showModels((await askJson("/v1/models")).models);
  const statistics = await askModel(last ? "/v1/statistics" : "/v1/statistics?history=true");
  if (!last) addHistory(statistics);
  const reason = statistics.not_ready;
  showState(reason ?? "ready", Boolean(reason), reason && `The service takes no new work: ${reason}.`);
  showFigures(element("totals"), figures(statistics));
  addReading(Date.now() / 1000, statistics);
  updateCharts();
  const { model, codes, parameters } = await askModel("/v1/model");
  element("model").textContent = `${model.name} ${model.checksum.slice(0, 12)}, ${count(codes)} codes, ${count(parameters)} parameters`;
  await beginModel(model.checksum);
  await pollCodebooks();
}

async function poll() {
  clearTimeout(timer);
  try {
    await pollOnce();
  } catch (error) {
    if (error.status === 0) showState("no answer", true, "The service does not answer. This page asks again every two seconds.");
    else if (error.status === 401) showState("key wanted", true);
    else showState(error.message, true);
  }
  clearTimeout(timer);
  timer = setTimeout(poll, POLL_MS);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  drawCharts();
  redrawCodes();
}

element("theme").addEventListener("click", () =>
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
element("key").addEventListener("change", poll);
element("models").addEventListener("change", () => {
  beginFigures();
  poll();
});
makeCharts();
setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
listenForPictures();
listenForCodes(poll);
poll();
