// The node clients, unchanged but for their base URL. Reads one job as JSON on standard input, writes what happened as JSON.
//
// job: {client: "openai" | "anthropic", baseURL, apiKey, model, stream, tool}
// out: {text, pieces, tool, usage} or {error: {name, status, code, type, message, headers}}
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const messages = (job) => [{ role: "user", content: job.tool ? "call the tool" : "Hello, 東京!" }];
const schema = { type: "object", properties: { city: { type: "string" } } };

async function openai(job) {
  const client = new OpenAI({ baseURL: job.baseURL, apiKey: job.apiKey });
  const body = { model: job.model, messages: messages(job), stream: job.stream };
  if (job.tool) body.tools = [{ type: "function", function: { name: job.tool, parameters: schema } }];
  const answer = await client.chat.completions.create(body);
  if (!job.stream) {
    const call = answer.choices[0].message.tool_calls?.[0].function;
    return { text: answer.choices[0].message.content, tool: call && { name: call.name, input: JSON.parse(call.arguments) } };
  }
  const pieces = [];
  for await (const chunk of answer) if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
  return { text: pieces.join(""), pieces };
}

async function anthropic(job) {
  const client = new Anthropic({ baseURL: job.baseURL, apiKey: job.apiKey });
  const body = { model: job.model, max_tokens: 64, messages: messages(job), stream: job.stream };
  if (job.tool) body.tools = [{ name: job.tool, input_schema: schema }];
  const answer = await client.messages.create(body);
  if (!job.stream) {
    const block = answer.content[0];
    return block.type === "tool_use" ? { tool: { name: block.name, input: block.input } } : { text: block.text };
  }
  const pieces = [];
  for await (const event of answer) if (event.type === "content_block_delta") pieces.push(event.delta.text);
  return { text: pieces.join(""), pieces };
}

let input = "";
for await (const part of process.stdin) input += part;
const job = JSON.parse(input);
try {
  process.stdout.write(JSON.stringify(await { openai, anthropic }[job.client](job)));
} catch (error) {
  const { status, code, type, message } = error;
  process.stdout.write(JSON.stringify({ error: { name: error.constructor.name, status, code, type, message } }));
}
