// What a client in TypeScript writes with the types that openapi-typescript makes of /openapi.json:
// no cast, no `any`. It is compiled, not run.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

type Schemas = components["schemas"];

const client = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: "http://127.0.0.1:8080" });

export async function encode(pictures: string[]): Promise<number[][][]> {
  const { data, error } = await client.POST("/v1/encode", {
    params: { query: { size: "256", resize: "cover" } },
    body: { images: pictures },
  });
  if (error) throw new Error(`${error.title}: ${error.detail ?? error.type}`);
  const all: number[][][] = [];
  for (const one of data.images) {
    if ("error" in one) throw new Error(one.error.title);
    if (typeof one.tokens !== "string") all.push(one.tokens);
  }
  console.log(data.model.checksum, data.planes.map(({ name, first, count }) => [name, first + count]), data.failed);
  return all;
}

export async function decode(encoded: Schemas["Tokens"]): Promise<string[]> {
  const { data } = await client.POST("/v1/decode", { body: encoded, params: { query: { model_check: "off" } } });
  return data ? data.images.flatMap((one) => ("error" in one ? [] : [one.image])) : [];
}

export async function look(token: number): Promise<void> {
  const models = await client.GET("/v1/models");
  const names: string[] = models.data?.models.map(({ name }) => name) ?? [];
  const page = await client.GET("/v1/model", { params: { query: { model: names[0] } } });
  const limit: number | undefined = page.data?.limits.images, layers = page.data?.architecture["channels"];
  const width: number = typeof layers === "number" ? layers : 0;
  const codebook = await client.GET("/v1/codebook", { params: { query: { window: "1h" } } });
  const usage: number | undefined = codebook.data?.codebooks[0]?.windows["10m"].usage;
  const counts = await client.GET("/v1/codebook/usage");
  const code = await client.GET("/v1/codebook/codes/{id}", { params: { path: { id: token } } });
  const statistics = await client.GET("/v1/statistics", { params: { query: { history: true } } });
  const refused: number[] | undefined = statistics.data?.history?.map(({ requests }) => requests.refused);
  console.log(limit, width, usage, counts.data, code.data?.nearest.map(({ word }) => word), refused);
}

export async function infer(picture: string): Promise<(number | string)[]> {
  const { data, error } = await client.POST("/v2/models/{id}/infer", {
    params: { path: { id: "vqct-small.encode" } },
    body: {
      inputs: [{ name: "image", datatype: "BYTES", shape: [1, 1], data: [[picture]] }],
      parameters: { binary_data_output: false, sequence: 1 },
      outputs: [{ name: "tokens", parameters: { datatype: "INT64" } }],
    },
  });
  if (error) throw new Error(error.error);
  return data.outputs[0]?.data ?? [];
}
