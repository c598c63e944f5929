/* What a code looks like: the decoder's picture of a field of 4 x 4 positions of that code, a quarter
 * each with one of the four codes of the other half that training picked most. Made once for a model
 * and kept by the browser, where it lets a page keep things (https, or the machine itself). */
import { askModel } from "./page.js";

const SIDE = 4; /* positions */
const AT_ONCE = 32; /* codes a request */

let checksum = "";
let planes = [];
let partners = []; /* for each plane, four tokens */
const known = new Map(); /* token: its picture */

export function setPartners(model, ofModel, training) {
  checksum = model;
  planes = ofModel;
  partners = planes.map(({ first, count }) => {
    const order = Array.from({ length: count }, (_, i) => first + i).sort((a, b) => training[b] - training[a] || a - b);
    return [0, 1, 2, 3].map((i) => order[Math.min(i, count - 1)]);
  });
  known.clear();
}

/* The planes of the field: the code everywhere in the first plane that has it, partners elsewhere. */
function fieldOf(token) {
  const own = planes.findIndex(({ first, count }) => token >= first && token < first + count);
  const quarter = (i) => 2 * (Math.floor(i / SIDE) >= SIDE / 2) + (i % SIDE >= SIDE / 2);
  return planes.map((_, p) => Array.from({ length: SIDE * SIDE }, (_, i) => (p === own ? token : partners[p][quarter(i)])));
}

async function bitmapOf(text) {
  const image = new Image();
  image.src = `data:image/png;base64,${text}`;
  await image.decode();
  return image;
}

async function make(tokens) {
  const images = tokens.map((token) => ({ grid: [SIDE, SIDE], tokens: fieldOf(token) }));
  const answer = await askModel("/v1/decode", { method: "POST", body: JSON.stringify({ images }),
                                               headers: { "Content-Type": "application/json", Accept: "application/json" } });
  return answer.images.map((one) => one.image);
}

const addressOf = (token) => `/looks/${checksum}/${token}`;

async function kept(store, token) {
  const answer = await store?.match(addressOf(token));
  return answer ? answer.text() : null;
}

/* The looks of these codes, as they come: those at hand first. */
export async function* looksWanted(tokens) {
  const store = await self.caches?.open("vqct-looks").catch(() => null);
  const missing = [];
  for (const token of tokens) {
    if (!known.has(token)) {
      const text = await kept(store, token);
      if (text) known.set(token, await bitmapOf(text));
    }
    if (known.has(token)) yield [token, known.get(token)];
    else missing.push(token);
  }
  for (let i = 0; i < missing.length; i += AT_ONCE) {
    const batch = missing.slice(i, i + AT_ONCE);
    const texts = await make(batch);
    for (const [j, token] of batch.entries()) {
      if (!texts[j]) continue;
      known.set(token, await bitmapOf(texts[j]));
      await store?.put(addressOf(token), new Response(texts[j]));
      yield [token, known.get(token)];
    }
  }
}
