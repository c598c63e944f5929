/* A picture is tried: encoded, rebuilt, and laid beside what comes back, position by position. */
import { ask, cellUnder, element, make, ofModel, walk } from "./page.js";

const PICTURE_SIDE = 256; /* pixels: what a tried picture is reduced to */
const DIFFERENCE = 4; /* times that a difference is made stronger */
const CELL = 16; /* pixels of a position on the grid's canvas */

/* ---- the two pictures ------------------------------------------------------------------------ */

/* The picture as cover-resizing leaves it, drawn by the browser. */
async function drawOriginal(file, width, height) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const canvas = make("canvas", { className: "picture", width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - bitmap.width * scale) / 2, (height - bitmap.height * scale) / 2,
                    bitmap.width * scale, bitmap.height * scale);
  return canvas;
}

function drawDifference(original, picture) {
  const { width, height } = original;
  const canvas = make("canvas", { className: "over", id: "difference-view", width, height });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  const others = original.getContext("2d").getImageData(0, 0, width, height).data;
  for (let i = 0; i < others.length; i++)
    if (i % 4 !== 3) pixels.data[i] = Math.min(255, DIFFERENCE * Math.abs(pixels.data[i] - others[i]));
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/* The original once more, over the reconstruction, as much of it as the slider uncovers. */
function wipeOf(original) {
  const canvas = make("canvas", { className: "over", id: "wipe-view", width: original.width, height: original.height });
  canvas.getContext("2d").drawImage(original, 0, 0);
  return canvas;
}

function showLayers() {
  const wipe = element("wipe-view");
  if (!wipe) return;
  wipe.style.setProperty("clip-path", `inset(0 ${100 - element("wipe").value}% 0 0)`);
  element("difference-view").hidden = !element("difference").checked;
  for (const grid of document.querySelectorAll("canvas.grid")) drawGrid(grid);
}

/* ---- positions ------------------------------------------------------------------------------- */

function drawGrid(canvas) {
  const { columns, rows, index } = canvas.vqct;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = "rgb(255 255 255 / 0.35)";
  if (element("grid").checked) {
    for (let x = 1; x < columns; x++) context.strokeRect(x * CELL, -1, 0, canvas.height + 2);
    for (let y = 1; y < rows; y++) context.strokeRect(-1, y * CELL, canvas.width + 2, 0);
  }
  if (index === undefined) return;
  const [x, y] = [(index % columns) * CELL, Math.floor(index / columns) * CELL];
  context.lineWidth = 4;
  context.strokeStyle = "#000";
  context.strokeRect(x - 1, y - 1, CELL + 2, CELL + 2);
  context.lineWidth = 2;
  context.strokeStyle = "#fff";
  context.strokeRect(x - 1, y - 1, CELL + 2, CELL + 2);
  context.lineWidth = 1;
}

function addGrids(answer) {
  const image = answer.images[0];
  const [rows, columns] = image.grid;
  const grids = [["original", "the original"], ["reconstruction", "the reconstruction"]].map(([id, what]) => {
    const canvas = make("canvas", { className: "grid", width: columns * CELL, height: rows * CELL });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `positions of ${what}; arrow keys walk`);
    canvas.vqct = { columns, rows, length: rows * columns };
    element(id).append(canvas);
    return canvas;
  });
  const show = (index) => {
    for (const grid of grids) {
      grid.vqct.index = index;
      drawGrid(grid);
    }
    if (index === undefined) return;
    element("cell").textContent = `row ${Math.floor(index / columns)}, column ${index % columns}: ` + answer.planes.map((plane, p) =>
      `${plane.name} “${image.words[p][index] || "–"}” (${image.tokens[p][index]})`).join(", ");
  };
  for (const grid of grids) {
    const under = (event) => show(cellUnder(event, grid, columns, rows));
    grid.addEventListener("pointermove", under);
    grid.addEventListener("pointerdown", under);
    walk(grid, show);
  }
  show();
}

/* ---- trying ---------------------------------------------------------------------------------- */

function showTimings(header) {
  const rows = [...(header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g)];
  element("timings").tBodies[0].replaceChildren(...rows.map(([, name, time]) =>
    make("tr", {}, make("td", { textContent: name }), make("td", { textContent: Number(time).toFixed(1) }))));
}

function shellCommand(file) {
  const name = file.name.replace(/[^\w.-]/g, "_");
  const key = element("key").value ? ' -H "Authorization: Bearer $VQCT_KEY"' : "";
  return `curl${key} --data-binary @${name} -H 'Content-Type: ${file.type}' \\\n` +
    `  '${location.origin}${ofModel(`/v1/encode?size=${PICTURE_SIDE}&words=true`)}'`;
}

const sayings = {
  "bad-image": "This file cannot be read as a picture.",
  "unsupported-media-type": "Files of this kind are not read. PNG, JPEG and WebP are.",
  "body-too-large": "This file is larger than the service takes.",
  "image-too-large": "This picture has more pixels than the service takes.",
  "queue-full": "The service has its hands full. Try again in a moment.",
  unauthorized: "The service asks for a key: give it at the top of the page.",
};

function showFault(error) {
  element("fault").textContent = sayings[error.problem] ? `${sayings[error.problem]} (${error.message})` : error.message;
  element("fault").hidden = false;
}

export async function tryPicture(file) {
  element("fault").hidden = true;
  element("result").hidden = true;
  try {
    const post = { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } };
    const encoded = await ask(ofModel(`/v1/encode?size=${PICTURE_SIDE}&words=true`), post);
    const answer = await encoded.json();
    const image = answer.images[0];
    const rebuilt = await ask(ofModel(`/v1/reconstruct?size=${PICTURE_SIDE}`), { ...post, headers: { ...post.headers, Accept: "image/png" } });
    const url = URL.createObjectURL(await rebuilt.blob());
    const picture = make("img", { src: url, alt: "the picture rebuilt from its tokens" });
    await picture.decode();
    URL.revokeObjectURL(url);
    const original = await drawOriginal(file, image.width, image.height);
    element("wipe").value = 0;
    element("original").replaceChildren(original);
    element("reconstruction").replaceChildren(picture, wipeOf(original), drawDifference(original, picture));
    const quality = ["PSNR", "SSIM"].map((name) => `${name} ${Number(rebuilt.headers.get(`X-Vqct-${name}`)).toFixed(2)}`);
    element("quality").textContent = `from its tokens; ${quality.join(", ")}`;
    addGrids(answer);
    showLayers();
    showTimings(encoded.headers.get("Server-Timing"));
    element("curl").textContent = shellCommand(file);
    element("result").hidden = false;
  } catch (error) {
    showFault(error);
  }
}

async function trySample(name) {
  const blob = await (await ask(`/assets/${name}`)).blob();
  await tryPicture(new File([blob], name, { type: "image/jpeg" }));
}

export function listenForPictures() {
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
  element("file").addEventListener("change", (event) => {
    if (event.target.files.length) tryPicture(event.target.files[0]);
    event.target.value = "";
  });
  for (const button of document.querySelectorAll(".sample"))
    button.addEventListener("click", () => trySample(button.dataset.name).catch(showFault));
  for (const name of ["wipe", "difference", "grid"]) element(name).addEventListener("input", showLayers);
}
