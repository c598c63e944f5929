/* The dashboard: asks the service it came from every two seconds, draws what it answers, and lets a
 * person try a picture. Nothing here asks any other host. */
"use strict";

const POLL_MS = 2000;
const POINTS = 300; /* ten minutes of polls */
const SPAN_MIN = 60; /* seconds that a chart shows at least */
const PICTURE_SIDE = 256; /* pixels: what a tried picture is reduced to */

const element = (id) => document.getElementById(id);
const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/* ---- asking the service ---------------------------------------------------------------------- */

async function ask(path, options = {}) {
  const key = element("key").value;
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) element("key-field").hidden = false;
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? problem.title ?? `the service answered ${answer.status}`);
}

const askJson = async (path) => (await ask(path)).json();

/* ---- figures --------------------------------------------------------------------------------- */

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const percent = (share) => (share === null ? "–" : `${(share * 100).toFixed(1)} %`);
const bytes = (number) => `${(number / 2 ** 20).toFixed(0)} MiB`;

function showFigures(list, rows) {
  list.replaceChildren(...rows.map(([name, value]) => make("div", {}, make("dt", { textContent: name }),
                                                           make("dd", { textContent: value }))));
}

/* The quantile of the observations between two readings of one histogram: { bounds, counts }, where
 * counts has one more entry for what is above the last bound. */
function quantile(now, before, share) {
  const counts = now.counts.map((n, i) => n - (before?.counts[i] ?? 0));
  const total = counts.reduce((a, b) => a + b, 0);
  if (total <= 0) return null;
  let passed = 0;
  for (let i = 0; i < counts.length; i++) {
    if (passed + counts[i] >= share * total && counts[i] > 0) {
      const low = i ? now.bounds[i - 1] : 0;
      const high = now.bounds[i] ?? now.bounds.at(-1);
      return low + (high - low) * ((share * total - passed) / counts[i]);
    }
    passed += counts[i];
  }
  return now.bounds.at(-1);
}

function mean(now, before) {
  const counts = now.counts.reduce((a, b) => a + b, 0) - (before?.counts.reduce((a, b) => a + b, 0) ?? 0);
  return counts > 0 ? (now.sum - (before?.sum ?? 0)) / counts : null;
}

/* ---- charts ---------------------------------------------------------------------------------- */

const series = {
  time: [],
  requests: [[], []],
  latency: [[], []],
  queue: [[], []],
  batch: [[]],
};
const charts = {};
const labels = {
  requests: ["answered", "failed or refused"],
  latency: ["median", "99th percentile"],
  queue: ["waiting", "in flight"],
  batch: ["mean size"],
};

function drawChart(name) {
  const box = element(`chart-${name}`);
  charts[name]?.destroy();
  const axis = { stroke: styleOf("--faint"), grid: { stroke: styleOf("--line"), width: 1 }, ticks: { show: false } };
  const colors = [styleOf("--accent"), styleOf("--warn")];
  charts[name] = new uPlot({
    width: box.clientWidth || 280,
    height: 130,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { range: (_, low, high) => [Math.min(low, high - SPAN_MIN), high] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [axis, { ...axis, size: 44 }],
    series: [{}, ...labels[name].map((label, i) => ({
      label, stroke: colors[i], width: 1.5, value: (_, value) => value?.toFixed(1) ?? "–",
    }))],
  }, [series.time, ...series[name]], box);
}

function addPoint(statistics, before) {
  const seconds = before ? statistics.uptime_seconds - before.uptime_seconds : 0;
  const rate = (field) => (seconds > 0 ? (statistics.requests[field] - before.requests[field]) / seconds : null);
  const milliseconds = (share) => {
    const value = quantile(statistics.request_seconds, before?.request_seconds, share);
    return value === null ? null : value * 1000;
  };
  series.time.push(Date.now() / 1000);
  const values = {
    requests: [rate("succeeded"), rate("failed")],
    latency: before ? [milliseconds(0.5), milliseconds(0.99)] : [null, null],
    queue: [statistics.queue.images, statistics.in_flight],
    batch: [before ? mean(statistics.batch_images, before.batch_images) : null],
  };
  for (const [name, list] of Object.entries(values)) list.forEach((value, i) => series[name][i].push(value));
  if (series.time.length > POINTS)
    [series.time, ...Object.keys(values).flatMap((name) => series[name])].forEach((list) => list.shift());
  for (const name of Object.keys(values)) charts[name].setData([series.time, ...series[name]]);
}

/* ---- codebooks ------------------------------------------------------------------------------- */

const codeCache = new Map();

async function describeCode(token, share) {
  if (!codeCache.has(token)) codeCache.set(token, await askJson(`/v1/codebook/codes/${token}`));
  const code = codeCache.get(token);
  const near = code.nearest.slice(0, 5).map((other) => other.word).join(", ");
  element("code").textContent =
    `${token}: ${code.word || "(no word)"}, ${code.part_of_speech}, ${percent(share)} of the window; near: ${near}`;
}

/* A square a code, in the order of the codebook; the darker the ink, the more often it was picked
 * (logarithmic). Codes never picked stay the ground's colour. */
function drawHeat(canvas, counts) {
  const columns = Math.ceil(Math.sqrt(counts.length * 3));
  const rows = Math.ceil(counts.length / columns);
  const high = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 0));
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, columns, rows);
  context.fillStyle = styleOf("--accent");
  counts.forEach((n, i) => {
    if (!n) return;
    context.globalAlpha = 0.15 + 0.85 * (Math.log1p(n) / high);
    context.fillRect(i % columns, Math.floor(i / columns), 1, 1);
  });
  return columns;
}

function codebookCard(codebook) {
  const card = make("div", { className: "codebook", id: `codebook-${codebook.name}` });
  const canvas = make("canvas", { className: "heat" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `how often each ${codebook.name} code is picked`);
  card.append(make("h3", { textContent: `${codebook.name}, ${count.format(codebook.codes)} codes` }),
              make("dl", { className: "figures" }), canvas, make("ol", { className: "words" }));
  canvas.addEventListener("mousemove", (event) => {
    const { counts, columns, first } = canvas.vqct ?? {};
    if (!counts) return;
    const x = Math.floor((event.offsetX / canvas.clientWidth) * canvas.width);
    const y = Math.floor((event.offsetY / canvas.clientHeight) * canvas.height);
    const index = y * columns + x;
    const total = counts.reduce((a, b) => a + b, 0);
    if (x < columns && index < counts.length)
      describeCode(first + index, total ? counts[index] / total : 0).catch(() => {});
  });
  element("codebooks").append(card);
  return card;
}

function showCodebook(codebook, usage, name) {
  const card = element(`codebook-${codebook.name}`) ?? codebookCard(codebook);
  const health = codebook.windows[name];
  showFigures(card.querySelector("dl"), [
    ["usage", percent(health.usage)],
    ["perplexity", count.format(health.perplexity)],
    ["dead codes", count.format(health.dead)],
    ["drift", health.drift === null ? "–" : `${health.drift.toFixed(3)} bit`],
    ["tokens counted", count.format(health.tokens)],
  ]);
  const counts = usage.counts.slice(codebook.first, codebook.first + codebook.codes);
  const canvas = card.querySelector("canvas");
  canvas.vqct = { counts, columns: drawHeat(canvas, counts), first: codebook.first };
  card.querySelector("ol").replaceChildren(...codebook.top.map((code) =>
    make("li", {}, code.word || `#${code.token}`, " ", make("small", { textContent: count.format(code.count) }))));
}

/* ---- polling --------------------------------------------------------------------------------- */

let last = null;

function showState(text, bad) {
  element("state").textContent = text;
  element("state").classList.toggle("bad", bad);
}

function showStatistics(statistics) {
  showState(statistics.not_ready ?? "ready", Boolean(statistics.not_ready));
  showFigures(element("totals"), [
    ["up", `${count.format(statistics.uptime_seconds)} s`],
    ["requests", count.format(statistics.requests.succeeded + statistics.requests.failed)],
    ["pictures", count.format(statistics.images)],
    ["tokens", count.format(statistics.tokens)],
    ["memory", bytes(statistics.resident_bytes)],
  ]);
  /* After a restart the counters begin again: the difference to the reading before means nothing. */
  addPoint(statistics, last && last.uptime_seconds < statistics.uptime_seconds ? last : null);
  last = statistics;
}

async function poll() {
  try {
    const name = element("window").value;
    const [statistics, codebook, usage] = await Promise.all(
      ["/v1/statistics", "/v1/codebook", `/v1/codebook/usage?window=${name}`].map(askJson));
    showStatistics(statistics);
    codebook.codebooks.forEach((one) => showCodebook(one, usage, name));
  } catch (error) {
    showState(error.message, true);
  }
  setTimeout(poll, POLL_MS);
}

async function showModel() {
  const { model, codes, parameters } = await askJson("/v1/model");
  element("model").textContent = `${model.name} ${model.checksum.slice(0, 12)}, ${count.format(codes)} codes, ` +
    `${count.format(parameters)} parameters`;
}

/* ---- try it ---------------------------------------------------------------------------------- */

/* The picture as cover-resizing leaves it, drawn by the browser. */
async function drawOriginal(file, width, height) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const canvas = make("canvas", { className: "picture", width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - bitmap.width * scale) / 2, (height - bitmap.height * scale) / 2,
                    bitmap.width * scale, bitmap.height * scale);
  return canvas;
}

/* The grid of positions over a picture, with the position under the pointer filled. */
function drawGrid(canvas, rows, columns, chosen) {
  canvas.width = columns * 16;
  canvas.height = rows * 16;
  const context = canvas.getContext("2d");
  context.strokeStyle = "rgb(255 255 255 / 0.35)";
  for (let x = 1; x < columns; x++) context.strokeRect(x * 16, -1, 0, canvas.height + 2);
  for (let y = 1; y < rows; y++) context.strokeRect(-1, y * 16, canvas.width + 2, 0);
  if (chosen === null) return;
  context.fillStyle = "rgb(255 255 255 / 0.45)";
  context.fillRect((chosen % columns) * 16, Math.floor(chosen / columns) * 16, 16, 16);
}

function addGrids(answer) {
  const image = answer.images[0];
  const [rows, columns] = image.grid;
  const grids = [element("original"), element("reconstruction")].map((frame) => {
    const canvas = make("canvas", { className: "grid" });
    frame.append(canvas);
    return canvas;
  });
  const show = (chosen) => grids.forEach((grid) => drawGrid(grid, rows, columns, chosen));
  show(null);
  for (const grid of grids) {
    grid.addEventListener("pointermove", (event) => {
      const x = Math.min(columns - 1, Math.floor((event.offsetX / grid.clientWidth) * columns));
      const y = Math.min(rows - 1, Math.floor((event.offsetY / grid.clientHeight) * rows));
      const position = y * columns + x;
      show(position);
      element("cell").textContent = `row ${y}, column ${x}: ` + answer.planes.map((plane, p) =>
        `${plane.name} “${image.words[p][position] || "–"}” (${image.tokens[p][position]})`).join(", ");
    });
    grid.addEventListener("pointerleave", () => show(null));
  }
}

function showTimings(header) {
  const rows = [...(header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g)];
  element("timings").tBodies[0].replaceChildren(...rows.map(([, name, duration]) =>
    make("tr", {}, make("td", { textContent: name.replaceAll("_", " ") }),
         make("td", { textContent: `${Number(duration).toFixed(1)} ms` }))));
}

function shellCommand(file) {
  const name = file.name.replace(/[^\w.-]/g, "_");
  const key = element("key").value ? ' -H "Authorization: Bearer $VQCT_KEY"' : "";
  return `curl${key} --data-binary @${name} -H 'Content-Type: ${file.type}' \\\n` +
    `  '${location.origin}/v1/encode?size=${PICTURE_SIDE}&words=true'`;
}

async function tryPicture(file) {
  element("fault").hidden = true;
  try {
    const post = { method: "POST", body: file, headers: { "Content-Type": file.type } };
    const encoded = await ask(`/v1/encode?size=${PICTURE_SIDE}&words=true`, post);
    const answer = await encoded.json();
    const image = answer.images[0];
    if (image.error) throw new Error(image.error.detail ?? image.error.title);
    const rebuilt = await ask(`/v1/reconstruct?size=${PICTURE_SIDE}`, post);
    const url = URL.createObjectURL(await rebuilt.blob());
    const picture = make("img", { src: url, alt: "the picture rebuilt from its tokens" });
    await picture.decode();
    URL.revokeObjectURL(url);
    element("original").replaceChildren(await drawOriginal(file, image.width, image.height));
    element("reconstruction").replaceChildren(picture);
    const quality = ["PSNR", "SSIM"].map((name) => [name, Number(rebuilt.headers.get(`X-Vqct-${name}`)).toFixed(2)]);
    element("quality").textContent = "from its tokens; " +
      quality.filter(([, value]) => value).map(([name, value]) => `${name} ${value}`).join(", ");
    addGrids(answer);
    showTimings(encoded.headers.get("Server-Timing"));
    element("curl").textContent = shellCommand(file);
    element("result").hidden = false;
  } catch (error) {
    element("fault").textContent = error.message;
    element("fault").hidden = false;
  }
}

function listenForPictures() {
  const drop = element("drop");
  const over = (on) => (event) => {
    event.preventDefault();
    drop.classList.toggle("over", on);
  };
  drop.addEventListener("dragover", over(true));
  drop.addEventListener("dragleave", over(false));
  drop.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) tryPicture(event.dataTransfer.files[0]);
  });
  drop.addEventListener("keydown", (event) => event.key === "Enter" && element("file").click());
  element("file").addEventListener("change", (event) => {
    if (event.target.files.length) tryPicture(event.target.files[0]);
  });
}

/* ---- theme and start ------------------------------------------------------------------------- */

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  Object.keys(labels).forEach(drawChart);
}

element("theme").addEventListener("click", () =>
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
addEventListener("resize", () => Object.entries(charts).forEach(([name, chart]) =>
  chart.setSize({ width: element(`chart-${name}`).clientWidth, height: 130 })));
setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
listenForPictures();
showModel().catch((error) => showState(error.message, true));
poll();
