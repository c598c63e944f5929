// Runs ONNX files on request: a line "FILE SHAPE..." on standard input gives a line with the
// milliseconds of one run on standard output. usage: node ort.js THREADS
"use strict";
const ort = require("onnxruntime-node");
const readline = require("readline");

const sessions = new Map();
const threads = Number(process.argv[2]);

async function run(file, shape) {
  if (!sessions.has(file))
    sessions.set(file, await ort.InferenceSession.create(
      file, { intraOpNumThreads: threads, interOpNumThreads: 1, executionProviders: ["cpu"] }));
  const session = sessions.get(file);
  const count = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898));
  const input = { [session.inputNames[0]]: new ort.Tensor("float32", data, shape) };
  const start = process.hrtime.bigint();
  await session.run(input);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [file, ...shape] = line.split(" ");
    console.log((await run(file, shape.map(Number))).toFixed(3));
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
