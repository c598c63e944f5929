/* What all parts of the dashboard stand on: elements, figures, and asking the service. */

export const element = (id) => document.getElementById(id);
export const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/* ---- asking the service ---------------------------------------------------------------------- */

/* An answer that is no success: `problem` is the last part of its type, `status` 0 where none came. */
export class Refused extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `the service answered ${status}`);
    this.status = status;
    this.problem = (document.type ?? "").split(":").at(-1);
  }
}

/* An address of the API, for the model that is chosen where there are several. */
export function ofModel(path) {
  const name = element("models").value;
  return name ? `${path}${path.includes("?") ? "&" : "?"}model=${encodeURIComponent(name)}` : path;
}

export async function ask(path, options = {}) {
  const key = element("key").value;
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const answer = await fetch(path, { ...options, headers }).catch(() => {
    throw new Refused(0, { detail: "the service does not answer" });
  });
  if (answer.ok) return answer;
  if (answer.status === 401) element("key-field").hidden = false;
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

export const askJson = async (path, options) => (await ask(path, options)).json();

/* The same of the model that is chosen. */
export const askModel = (path, options) => askJson(ofModel(path), options);

/* ---- figures --------------------------------------------------------------------------------- */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = (number) => whole.format(number);
export const percent = (share) => (share === null ? "–" : `${(share * 100).toFixed(share < 0.001 && share > 0 ? 3 : 1)} %`);
export const bytes = (number) => `${(number / 2 ** 20).toFixed(0)} MiB`;

/* 45 s, 33 min, 5 h 12 min, 3 d 4 h */
export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 2) return `${Math.floor(seconds)} s`;
  if (hours < 2) return `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function showFigures(list, rows) {
  list.replaceChildren(...rows.map(([name, value, note]) => {
    const pair = make("div", { className: note ? "unsure" : "", title: note ?? "" },
                      make("dt", { textContent: name }), make("dd", { textContent: value }));
    return pair;
  }));
}

/* Arrow keys walk a grid of columns; calls `go` with the next index. */
export function walk(canvas, go) {
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    const { index = 0, columns, length } = canvas.vqct;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = canvas.vqct.index === undefined ? 0 : index + step;
    if (next >= 0 && next < length) go(next);
  });
}

/* The index in a grid of columns x rows that a pointer is over. */
export function cellUnder(event, canvas, columns, rows) {
  const x = Math.min(columns - 1, Math.max(0, Math.floor((event.offsetX / canvas.clientWidth) * columns)));
  const y = Math.min(rows - 1, Math.max(0, Math.floor((event.offsetY / canvas.clientHeight) * rows)));
  return y * columns + x;
}
