/* The charts of the load. The service keeps the last hour, every ten seconds, and the page adds what
 * it sees every two; both are readings of counters, and a point is the difference of two. */
import { element, make, styleOf } from "./page.js";

const HISTORY = 3600; /* seconds */
const HEIGHT = 150;

const rate = (value) => (now, before, seconds) => (value(now) - value(before)) / seconds;
const milliseconds = (share) => (now, before) => {
  const value = quantile(now.request_seconds, before.request_seconds, share);
  return value === null ? null : value * 1000;
};

/* Each line has a hue and a dash of its own, so that it is told apart without colours. */
const charts = [
  { title: "requests a second", lines: [
    { label: "answered", value: rate((s) => s.requests.succeeded) },
    { label: "refused (429)", value: rate((s) => s.requests.refused) },
    { label: "client's fault (4xx)", value: rate((s) => s.requests.failed - s.requests.refused - s.requests.faults) },
    { label: "our fault (5xx)", value: rate((s) => s.requests.faults) }] },
  { title: "latency, ms", lines: [
    { label: "half within", value: milliseconds(0.5) },
    { label: "99 in 100 within", value: milliseconds(0.99) }] },
  { title: "pictures waiting, requests in flight", lines: [
    { label: "waiting", value: (s) => s.queue.images },
    { label: "in flight", value: (s) => s.in_flight },
    { label: "limit of waiting", value: (s) => s.queue.limit, far: true }] },
  { title: "pictures a second", lines: [{ label: "computed", value: rate((s) => s.images) }] },
];
const dashes = [[], [6, 3], [2, 3], [9, 3, 2, 3]];
const times = [];
for (const chart of charts) chart.points = chart.lines.map(() => []);

/* The quantile of the observations between two readings of one histogram: { bounds, counts }, where
 * counts has one more entry for what is above the last bound. */
function quantile(now, before, share) {
  const counts = now.counts.map((n, i) => n - before.counts[i]);
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

/* ---- drawing --------------------------------------------------------------------------------- */

const two = (number) => String(number).padStart(2, "0");

function clock(seconds) {
  const time = new Date(seconds * 1000);
  return `${two(time.getHours())}:${two(time.getMinutes())}`;
}

const clockOf = (seconds) => `${clock(seconds)}:${two(new Date(seconds * 1000).getSeconds())}`;

const short = (value) => (value === null || value === undefined ? "–" : value >= 100 ? value.toFixed(0) : value.toFixed(1));

/* A line far above the rest, like a limit, sets the scale only once the rest comes near to it. */
function top(chart) {
  const from = times.findIndex((time) => time >= Date.now() / 1000 - span());
  const high = (near) => chart.points.reduce((most, list, i) => (Boolean(chart.lines[i].far) === near ? most
    : list.slice(Math.max(0, from)).reduce((a, b) => Math.max(a, b ?? 0), most)), 0);
  const [usual, limit] = [high(true), high(false)];
  return usual > limit / 4 ? Math.max(usual, limit) * 1.1 : usual > 0 ? usual * 1.15 : 1;
}

const span = () => Number(element("span").value);

function drawChart(chart) {
  chart.plot?.destroy();
  const axis = { stroke: styleOf("--faint"), grid: { stroke: styleOf("--line"), width: 1 }, ticks: { show: false },
                 font: "12px system-ui, sans-serif" };
  chart.plot = new uPlot({
    width: chart.box.clientWidth || 280,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    hooks: { setCursor: [(plot) => showValues(chart, plot.cursor.idx)] },
    scales: { x: { range: () => [Date.now() / 1000 - span(), Date.now() / 1000] }, y: { range: () => [0, top(chart)] } },
    axes: [{ ...axis, values: (_, ticks) => ticks.map(clock), space: 70, size: 28 }, { ...axis, size: 48 }],
    series: [{}, ...chart.lines.map((_, i) => ({ stroke: styleOf(`--line-${i + 1}`), dash: dashes[i], width: 1.75, points: { show: false }, spanGaps: true }))],
  }, [times, ...chart.points], chart.box);
  showValues(chart);
}

/* The newest values, or those under the pointer, stand in the caption as numbers. */
function showValues(chart, index) {
  const at = index ?? times.length - 1;
  chart.time.textContent = index === null || index === undefined ? "now" : clockOf(times[at]);
  chart.values.forEach((node, i) => (node.textContent = short(chart.points[i][at])));
}

/* Arrow keys move what the pointer moves; Escape, or leaving the chart, goes back to now. */
function walkChart(chart) {
  const release = () => chart.plot.setCursor({ left: -10, top: -10 });
  chart.box.addEventListener("blur", release);
  chart.box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") release();
    if (!step || !times.length) return;
    event.preventDefault();
    const first = times.findIndex((time) => time >= Date.now() / 1000 - span());
    const at = Math.max(first, Math.min(times.length - 1, (chart.plot.cursor.idx ?? times.length) + step));
    chart.plot.setCursor({ left: chart.plot.valToPos(times[at], "x"), top: 0 });
  });
}

function swatch(i) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  const line = document.createElementNS(namespace, "line");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `swatch line-${i + 1}`);
  for (const [name, value] of Object.entries({ x1: 0, x2: 22, y1: 4, y2: 4, "stroke-dasharray": dashes[i].join(" ") }))
    line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

export function makeCharts() {
  for (const chart of charts) {
    chart.box = make("div", { className: "chart", tabIndex: 0, role: "group" });
    chart.box.setAttribute("aria-label", `${chart.title}: arrow keys walk through time`);
    chart.time = make("span", { className: "time" });
    walkChart(chart);
    chart.values = chart.lines.map(() => make("b", { textContent: "–" }));
    const keys = chart.lines.map((line, i) => make("span", { className: "key" }, swatch(i), ` ${line.label} `, chart.values[i]));
    element("charts").append(make("figure", {}, make("figcaption", {}, make("strong", { textContent: chart.title }), " ", chart.time, ...keys), chart.box));
  }
  element("span").addEventListener("change", drawCharts);
  addEventListener("resize", () => charts.forEach((chart) => chart.plot.setSize({ width: chart.box.clientWidth, height: HEIGHT })));
}

export const drawCharts = () => charts.forEach(drawChart);

/* A reading, and the one before it: without one, or after a restart, nothing is known of rates. */
export function addPoint(time, now, before) {
  const seconds = before ? now.uptime_seconds - before.uptime_seconds : 0;
  times.push(time);
  for (const chart of charts)
    chart.lines.forEach((line, i) => chart.points[i].push(
      line.value.length === 1 || seconds > 0 ? line.value(now, before, seconds) : null));
  while (times[0] < time - HISTORY) [times, ...charts.flatMap((chart) => chart.points)].forEach((list) => list.shift());
}

export function clearCharts() {
  [times, ...charts.flatMap((chart) => chart.points)].forEach((list) => (list.length = 0));
}

export function updateCharts() {
  for (const chart of charts) {
    chart.plot.setData([times, ...chart.points]);
    showValues(chart, chart.plot.cursor.idx);
  }
}
