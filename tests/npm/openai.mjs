// The `openai` package, unmodified, against a gateway.

import assert from "node:assert/strict";
import test from "node:test";

import OpenAI from "openai";

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

const clientOf = (apiKey) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const client = clientOf(key);
const chat = (messages, rest = {}) =>
  client.chat.completions.create({ model: talker, messages, ...rest });

test("chat", async () => {
  const answer = await chat(user("hello there"));
  assert.equal(answer.object, "chat.completion");
  assert.match(answer.choices[0].message.content, /You said: hello there/);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.completion_tokens > 0);
  assert.notEqual(answer.id, (await chat(user("hello there"))).id);
});

test("chat, streamed", async () => {
  const messages = user("hello there [[n=12]]");
  const stream = await chat(messages, { stream: true, stream_options: { include_usage: true } });
  const chunks = await collected(stream);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  assert.match(text, /You said: hello there/);
  assert.equal(chunks.at(-1).usage.completion_tokens, 12);
  assert.deepEqual(
    chunks.map((chunk) => chunk.choices[0]?.finish_reason).filter((reason) => reason),
    ["stop"],
  );
});

test("completions", async () => {
  const asked = { model: talker, prompt: "hello there", max_tokens: 4 };
  const whole = await client.completions.create(asked);
  const chunks = await collected(await client.completions.create({ ...asked, stream: true }));
  assert.equal(whole.choices[0].finish_reason, "length");
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.text ?? "").join(""), whole.choices[0].text);
});

test("reasoning", async () => {
  const messages = user("hello [[think=3]]");
  const stream = await chat(messages, { model: thinker, reasoning_effort: "low", stream: true });
  const chunks = await collected(stream);
  assert.ok(chunks.some((chunk) => chunk.choices[0]?.delta.reasoning));
});

test("tools", async () => {
  const messages = user("weather in Bern? [[tool=get_weather]]");
  const answer = await chat(messages, { tools: [tool], tool_choice: "auto" });
  const [choice] = answer.choices;
  assert.equal(choice.finish_reason, "tool_calls");
  const [call] = choice.message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.equal(typeof JSON.parse(call.function.arguments), "object");
  const told = [
    ...messages,
    choice.message,
    { role: "tool", tool_call_id: call.id, content: "sunny" },
    ...user("and now? [[n=3]]"),
  ];
  assert.equal((await chat(told, { tools: [tool] })).usage.completion_tokens, 3);
});

test("tools, streamed", async () => {
  const messages = user("weather? [[tools=2]]");
  const second = { ...tool, function: { ...tool.function, name: "get_time" } };
  const runner = client.chat.completions.stream({ model: talker, messages, tools: [tool, second] });
  const answer = await runner.finalChatCompletion();
  const calls = answer.choices[0].message.tool_calls;
  assert.deepEqual(
    calls.map((call) => call.function.name),
    ["get_weather", "get_time"],
  );
  assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  for (const call of calls) assert.equal(typeof JSON.parse(call.function.arguments), "object");
});

test("output by a JSON schema", async () => {
  const answer = await chat(user("who?"), {
    response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } },
  });
  const found = JSON.parse(answer.choices[0].message.content);
  assert.equal(typeof found.name, "string");
  assert.ok(Number.isInteger(found.age));
  const loose = await chat(user("who?"), { response_format: { type: "json_object" } });
  assert.equal(typeof JSON.parse(loose.choices[0].message.content), "object");
});

test("images", async () => {
  const parts = (address) => [
    {
      role: "user",
      content: [
        { type: "text", text: "what is it?" },
        { type: "image_url", image_url: { url: address, detail: "low" } },
      ],
    },
  ];
  const data = `data:image/png;base64,${pixel}`;
  assert.ok((await chat(parts(data), { model: seer })).choices[0].message.content);
  await assert.rejects(chat(parts(data)), OpenAI.BadRequestError);
  const far = chat(parts("https://example.test/x.png"), { model: seer });
  await assert.rejects(far, OpenAI.BadRequestError);
});

test("embeddings", async () => {
  const input = Array.from({ length: 1000 }, (_, number) => `text ${number}`);
  const many = await client.embeddings.create({ model: embedder, input });
  assert.equal(many.data.length, 1000);
  assert.equal(many.data[7].index, 7);
  assert.ok(many.usage.prompt_tokens > 0);
  const asked = { model: embedder, input: "text 7", encoding_format: "float" };
  const [one] = (await client.embeddings.create(asked)).data;
  assert.equal(one.embedding.length, many.data[7].embedding.length);
  one.embedding.forEach((value, place) => {
    assert.ok(Math.abs(value - many.data[7].embedding[place]) < 1e-6);
  });
  const [short] = (await client.embeddings.create({ ...asked, dimensions: 64 })).data;
  assert.equal(short.embedding.length, 64);
  const tokens = client.embeddings.create({ model: embedder, input: [1, 2, 3] });
  await assert.rejects(tokens, OpenAI.BadRequestError);
});

test("models", async () => {
  const ids = (await collected(await client.models.list())).map((model) => model.id);
  assert.ok(ids.includes("llama3.2:latest"));
  for (const id of [talker, "llama3.2:latest", "library/llama3.2"]) {
    assert.equal((await client.models.retrieve(id)).id, "llama3.2:latest");
  }
  await assert.rejects(client.models.retrieve("not-installed"), OpenAI.PermissionDeniedError);
});

test("an empty conversation", async () => {
  assert.equal((await chat([])).usage.completion_tokens, 0);
});

test("habits", async () => {
  const answer = await chat(
    [{ role: "developer", content: "be kind" }, ...user("hi [[n=50]]")],
    {
      user: "me",
      tool_choice: "auto",
      n: 1,
      stop: null,
      logit_bias: null,
      metadata: {},
      store: false,
      service_tier: "auto",
      max_completion_tokens: 3,
      keep_alive: "10m",
      options: { num_ctx: 8192 },
    },
  );
  assert.equal(answer.choices[0].finish_reason, "length");
  assert.equal(answer.usage.completion_tokens, 3);
});

test("responses", async () => {
  const asked = { model: talker, input: "hello there", store: false };
  assert.match((await client.responses.create(asked)).output_text, /You said: hello there/);
  const events = await collected(await client.responses.create({ ...asked, stream: true }));
  assert.equal(events[0].type, "response.created");
  assert.equal(events.at(-1).type, "response.completed");
});

test("refusals", async () => {
  const stranger = clientOf("nz_unknown");
  const asked = { model: talker, messages: user("hi") };
  await assert.rejects(stranger.chat.completions.create(asked), OpenAI.AuthenticationError);
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  await assert.rejects(chat(user("hi"), { model: "no" }), OpenAI.PermissionDeniedError);
  await assert.rejects(chat(user("hi"), { n: 2 }), { status: 400, param: "n" });
  await assert.rejects(client.files.list(), OpenAI.PermissionDeniedError);
});

test("streams that die", async () => {
  for (const fault of brokenStreams) {
    const prompt = `hi [[n=9 delay=10ms fault=${fault}]]`;
    for (const ask of [
      () => chat(user(prompt), { stream: true }),
      () => client.completions.create({ model: talker, prompt, stream: true }),
    ]) {
      const stream = await ask();
      const received = [];
      // An APIError where the error's event was read before the connection's end, else fetch's own.
      await assert.rejects(async () => {
        for await (const chunk of stream) received.push(chunk.choices[0].finish_reason);
      }, fault);
      assert.ok(received.length > 0 && received.every((reason) => !reason), fault);
    }
  }
});

test("answers that die", async () => {
  for (const fault of [...brokenStreams, ...brokenBefore]) {
    const asked = chat(user(`hi [[n=9 fault=${fault}]]`));
    await assert.rejects(asked, { status: 502, code: "upstream_failed" }, fault);
  }
  for (const fault of brokenBefore) {
    const asked = chat(user(`hi [[n=9 fault=${fault}]]`), { stream: true });
    await assert.rejects(asked, { status: 502 }, fault);
  }
  const busy = chat(user("[[fault=status:503]]"));
  await assert.rejects(busy, { status: 503, code: "upstream_busy" });
});
