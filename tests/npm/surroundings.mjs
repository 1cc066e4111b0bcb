// What both clients' tests share: where the gateway is, and what they ask it.

export const url = process.env.GATEWAY_URL;
export const key = process.env.GATEWAY_KEY;
export const talker = "llama3.2";
export const thinker = "qwen3:8b";
export const seer = "llava:7b";
export const embedder = "nomic-embed-text";

// A red PNG of one pixel.
export const pixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4" +
  "2mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

export const tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: {
      type: "object",
      required: ["city"],
      properties: { city: { type: "string", description: "Its name" } },
    },
  },
};

export const schema = {
  type: "object",
  required: ["name", "age"],
  properties: { name: { type: "string" }, age: { type: "integer" } },
};

// After five frames; a client must not take what came for a whole answer.
export const brokenStreams = ["reset@5", "nofinal", "error@5", "garbage@5"];
export const brokenBefore = ["reset@0", "error@0", "garbage@0", "status:500"];

export const user = (content) => [{ role: "user", content }];

export async function collected(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
