// Asks a running aimux through real clients. Jobs come as JSON lines on standard input, {client, base, model, stream, task, key}; an answer
// goes out for each, in order: {text, thinking, calls, stop, output, error: {status, message}}.
//
// task is "text", "tool" (a tool is offered), "result" (a tool's result is given), "image", or "cancel" (left after the first piece).

import { createInterface } from "node:readline";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

globalThis.AI_SDK_LOG_WARNINGS = false; // standard output is for answers

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const question = "What is the weather in Oslo?";

// anthropic is the official SDK for Anthropic Messages.
async function anthropic({ base, model, stream, task, key }) {
  const api = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
  const content = task === "image" ? [{ type: "image", source: { type: "base64", media_type: "image/png", data: pixel } }, { type: "text", text: "What is this?" }] : question;
  const messages = [{ role: "user", content }];
  if (task === "result") {
    messages.push({ role: "assistant", content: [{ type: "text", text: "I look." }, { type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Oslo" } }] });
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "4 degrees, rain" }] });
  }
  const request = { model, max_tokens: 1024, messages, system: "Be brief." };
  if (task === "tool" || task === "result") request.tools = [{ name: "get_weather", description: "The weather of a city", input_schema: schema }];
  let message;
  if (!stream) {
    message = await api.messages.create(request);
  } else {
    const events = api.messages.stream(request);
    if (task === "cancel") {
      for await (const event of events) if (event.type === "content_block_delta") break;
      return { stop: "canceled" };
    }
    message = await events.finalMessage();
  }
  const of = (type) => message.content.filter((block) => block.type === type);
  return {
    text: of("text").map((block) => block.text).join(""), thinking: of("thinking").map((block) => block.thinking).join(""),
    calls: of("tool_use").map(({ name, input }) => ({ name, input })), stop: message.stop_reason, output: message.usage.output_tokens,
  };
}

// openai is the official SDK for OpenAI Chat Completions.
async function openai({ base, model, stream, task, key }) {
  const api = new OpenAI({ baseURL: base + "/v1", apiKey: key, maxRetries: 0 });
  const content = task === "image" ? [{ type: "text", text: "What is this?" }, { type: "image_url", image_url: { url: "data:image/png;base64," + pixel } }] : question;
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content }];
  if (task === "result") {
    messages.push({ role: "assistant", content: null, tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Oslo"}' } }] });
    messages.push({ role: "tool", tool_call_id: "call_1", content: "4 degrees, rain" });
  }
  const request = { model, messages };
  if (task === "tool" || task === "result") request.tools = [{ type: "function", function: { name: "get_weather", description: "The weather of a city", parameters: schema } }];
  let completion;
  if (!stream) {
    completion = await api.chat.completions.create(request);
  } else {
    const events = api.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
    if (task === "cancel") {
      for await (const chunk of events) if (chunk.choices[0]?.delta?.content) break;
      return { stop: "canceled" };
    }
    completion = await events.finalChatCompletion();
  }
  const { message, finish_reason } = completion.choices[0];
  return {
    text: message.content ?? "", thinking: message.reasoning_content ?? "", stop: finish_reason, output: completion.usage.completion_tokens,
    calls: (message.tool_calls ?? []).map((call) => ({ name: call.function.name, input: JSON.parse(call.function.arguments) })),
  };
}

// vercel is the AI SDK over one of its providers.
const vercel = (provider) => async ({ base, model, stream, task, key }) => {
  const content = task === "image" ? [{ type: "text", text: "What is this?" }, { type: "image", image: Buffer.from(pixel, "base64"), mediaType: "image/png" }] : question;
  const messages = [{ role: "user", content }];
  if (task === "result") {
    messages.push({ role: "assistant", content: [{ type: "tool-call", toolCallId: "call_1", toolName: "get_weather", input: { city: "Oslo" } }] });
    messages.push({ role: "tool", content: [{ type: "tool-result", toolCallId: "call_1", toolName: "get_weather", output: { type: "text", value: "4 degrees, rain" } }] });
  }
  const request = { model: provider(base, key)(model), system: "Be brief.", messages, maxRetries: 0 };
  if (task === "tool" || task === "result") request.tools = { get_weather: tool({ description: "The weather of a city", inputSchema: jsonSchema(schema) }) };
  let result;
  if (!stream) {
    result = await generateText(request);
  } else {
    const left = new AbortController();
    let failure;
    result = streamText({ ...request, abortSignal: left.signal, onError: ({ error }) => { failure = error; } });
    for await (const part of result.fullStream) {
      if (task === "cancel" && part.type === "text-delta") { left.abort(); return { stop: "canceled" }; }
    }
    if (failure) throw failure;
  }
  const [text, reasoning, calls, stop, usage] = await Promise.all([result.text, result.reasoningText, result.toolCalls, result.finishReason, result.usage]);
  if (stop === "error" || stop === "other" || stop === "unknown") throw new Error("the client saw the answer end with " + stop);
  return { text, thinking: reasoning ?? "", calls: calls.map(({ toolName, input }) => ({ name: toolName, input })), stop, output: usage.outputTokens };
};

const clients = {
  "@anthropic-ai/sdk": anthropic,
  "openai": openai,
  "@ai-sdk/anthropic": vercel((base, key) => createAnthropic({ baseURL: base + "/anthropic/v1", apiKey: key })),
  "@ai-sdk/openai": vercel((base, key) => createOpenAI({ baseURL: base + "/v1", apiKey: key }).chat),
  "@ai-sdk/openai-compatible": vercel((base, key) => createOpenAICompatible({ name: "aimux", baseURL: base + "/v1", apiKey: key, includeUsage: true })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const job = { key: "any", ...JSON.parse(line) };
  let answer;
  try {
    answer = await clients[job.client](job);
  } catch (error) {
    answer = { error: { status: error.status ?? error.statusCode ?? 0, message: String(error.message ?? error) } };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
