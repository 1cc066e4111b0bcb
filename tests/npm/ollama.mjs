// The `ollama` package, unmodified, against a gateway.

import assert from "node:assert/strict";
import test from "node:test";

import { Ollama } from "ollama";

import {
  brokenBefore,
  brokenStreams,
  collected,
  embedder,
  key,
  pixel,
  schema,
  seer,
  talker,
  thinker,
  tool,
  url,
  user,
} from "./surroundings.mjs";

const clientOf = (bearer) =>
  new Ollama({ host: url, headers: { Authorization: `Bearer ${bearer}` } });
const client = clientOf(key);

test("chat", async () => {
  const answer = await client.chat({ model: talker, messages: user("hello there") });
  assert.equal(answer.done, true);
  assert.equal(answer.done_reason, "stop");
  assert.match(answer.message.content, /You said: hello there/);
  assert.ok(answer.prompt_eval_count > 0 && answer.eval_count > 0);
});

test("chat, streamed", async () => {
  const messages = user("hello there [[n=12]]");
  const chunks = await collected(await client.chat({ model: talker, messages, stream: true }));
  assert.deepEqual(
    chunks.map((chunk) => chunk.done),
    [...Array(12).fill(false), true],
  );
  assert.match(chunks.map((chunk) => chunk.message.content).join(""), /You said: hello there/);
  assert.equal(chunks.at(-1).eval_count, 12);
});

test("generate", async () => {
  const whole = await client.generate({ model: talker, prompt: "hello there" });
  const stream = await client.generate({ model: talker, prompt: "hello there", stream: true });
  const chunks = await collected(stream);
  assert.equal(chunks.map((chunk) => chunk.response).join(""), whole.response);
  assert.equal(whole.context, undefined);
  assert.equal(chunks.at(-1).context, undefined);
});

test("thinking", async () => {
  const messages = user("hello [[think=3]]");
  const chunks = await collected(
    await client.chat({ model: thinker, messages, think: true, stream: true }),
  );
  assert.ok(chunks.map((chunk) => chunk.message.thinking ?? "").join("").length > 0);
  const quiet = await client.chat({ model: thinker, messages, think: false });
  assert.equal(quiet.message.thinking, undefined);
});

test("tools", async () => {
  const messages = user("weather in Bern? [[tool=get_weather]]");
  const answer = await client.chat({ model: talker, messages, tools: [tool] });
  const [call] = answer.message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.equal(typeof call.function.arguments, "object");
  const told = [
    ...messages,
    answer.message,
    { role: "tool", content: "sunny", tool_name: "get_weather" },
    ...user("and now? [[n=3]]"),
  ];
  const last = await client.chat({ model: talker, messages: told, tools: [tool] });
  assert.equal(last.eval_count, 3);
});

test("tools, streamed", async () => {
  const messages = user("weather in Bern? [[tools=1]]");
  const chunks = await collected(
    await client.chat({ model: talker, messages, tools: [tool], stream: true }),
  );
  const calls = chunks.flatMap((chunk) => chunk.message.tool_calls ?? []);
  assert.deepEqual(
    calls.map((call) => call.function.name),
    ["get_weather"],
  );
});

test("output by a JSON schema", async () => {
  const messages = user("who?");
  const answer = await client.chat({ model: talker, messages, format: schema });
  const found = JSON.parse(answer.message.content);
  assert.equal(typeof found.name, "string");
  assert.ok(Number.isInteger(found.age));
  const loose = await client.generate({ model: talker, prompt: "who?", format: "json" });
  assert.equal(typeof JSON.parse(loose.response), "object");
});

test("images", async () => {
  for (const image of [pixel, new Uint8Array(Buffer.from(pixel, "base64"))]) {
    const messages = [{ role: "user", content: "what is it?", images: [image] }];
    const answer = await client.chat({ model: seer, messages });
    assert.equal(answer.done, true);
    const described = await client.generate({ model: seer, prompt: "what?", images: [image] });
    assert.equal(described.done, true);
  }
  await assert.rejects(
    client.generate({ model: talker, prompt: "what?", images: [pixel] }),
    { status_code: 400 },
  );
});

test("embeddings", async () => {
  const input = Array.from({ length: 1000 }, (_, number) => `text ${number}`);
  const many = await client.embed({ model: embedder, input });
  assert.equal(many.embeddings.length, 1000);
  assert.ok(many.prompt_eval_count > 0);
  const one = await client.embed({ model: embedder, input: "text 7" });
  assert.deepEqual(one.embeddings, [many.embeddings[7]]);
  const old = await client.embeddings({ model: embedder, prompt: "text 7" });
  assert.deepEqual(old.embedding, one.embeddings[0]);
});

test("models", async () => {
  const names = (await client.list()).models.map((model) => model.name);
  assert.ok(names.includes("llama3.2:latest"));
  const shown = await client.show({ model: talker });
  assert.ok(shown.capabilities.includes("completion"));
  assert.equal(shown.details.format, "gguf");
  assert.equal(shown.template, undefined);
  assert.match((await client.version()).version, /^\d+\.\d+/);
});

test("preload", async () => {
  for (const answer of [
    await client.chat({ model: talker, messages: [] }),
    await client.generate({ model: talker, prompt: "" }),
    ...(await collected(await client.chat({ model: talker, messages: [], stream: true }))),
    ...(await collected(await client.generate({ model: talker, prompt: "", stream: true }))),
  ]) {
    assert.equal(answer.done_reason, "load");
  }
});

test("habits", async () => {
  const options = { num_ctx: 8192, num_predict: 3, temperature: 0, seed: 1, stop: ["x"] };
  const answer = await client.chat({
    model: talker,
    messages: user("hi"),
    keep_alive: "10m",
    options,
  });
  assert.equal(answer.done_reason, "length");
  assert.equal(answer.eval_count, 3);
  const empty = { model: talker, prompt: "hi", system: "", template: "", images: [], format: "" };
  assert.equal((await client.generate({ ...empty, context: [], raw: false })).done, true);
});

test("refusals", async () => {
  const stranger = clientOf("nz_unknown");
  for (const stream of [false, true]) {
    await assert.rejects(stranger.chat({ model: talker, messages: user("hi"), stream }), {
      name: "ResponseError",
      status_code: 401,
    });
    await assert.rejects(client.chat({ model: "not-installed", messages: user("hi"), stream }), {
      name: "ResponseError",
      status_code: 403,
    });
    await assert.rejects(client.chat({ model: talker, messages: [{ role: "x" }], stream }), {
      name: "ResponseError",
      status_code: 400,
    });
  }
  await assert.rejects(stranger.list(), { status_code: 401 });
  await assert.rejects(client.pull({ model: talker }), { status_code: 403 });
  await assert.rejects(client.delete({ model: talker }), { status_code: 403 });
});

test("streams that die", async () => {
  for (const fault of brokenStreams) {
    for (const ask of [
      (prompt) => client.chat({ model: talker, messages: user(prompt), stream: true }),
      (prompt) => client.generate({ model: talker, prompt, stream: true }),
    ]) {
      const stream = await ask(`hi [[n=9 delay=10ms fault=${fault}]]`);
      const received = [];
      await assert.rejects(async () => {
        for await (const chunk of stream) received.push(chunk.done);
      }, fault);
      assert.ok(received.length > 0 && !received.includes(true), fault);
    }
  }
});

test("answers that die", async () => {
  for (const fault of [...brokenStreams, ...brokenBefore]) {
    const messages = user(`hi [[n=9 fault=${fault}]]`);
    await assert.rejects(client.chat({ model: talker, messages }), { status_code: 502 }, fault);
  }
  for (const fault of brokenBefore) {
    const messages = user(`hi [[n=9 fault=${fault}]]`);
    const asked = client.chat({ model: talker, messages, stream: true });
    await assert.rejects(asked, { status_code: 502 }, fault);
  }
});

test("a client that aborts", async () => {
  const messages = user("hi [[n=100000 delay=5ms]]");
  const stream = await client.chat({ model: talker, messages, stream: true });
  await assert.rejects(
    async () => {
      for await (const chunk of stream) if (!chunk.done) stream.abort();
    },
    { name: "AbortError" },
  );
});
