#!/usr/bin/env node
// A model that only does what it was told beforehand, for driving real coding agents without a model.
//
// Needs: Node 20 or newer, nothing else. Listens on 127.0.0.1 only and asks nobody.
// Does:  answers the streaming Anthropic Messages API (POST /v1/messages), the streaming OpenAI Responses API (POST
//        /v1/responses), and with texts alone OpenAI's chat completions and Gemini's content. The script is a list of steps: `{ "tool": NAME, "arguments": {...} }` calls a tool, and
//        `{ "text": "..." }` ends the turn. Which step is next follows from the conversation itself: it is the number of
//        tool results in it, so a repeated request gets the same answer. An argument "$key" stands for the last value of
//        `key` in the JSON of any tool result so far. Where a client keeps tools back until they are searched for (Claude
//        Code's ToolSearch), the mock searches first, as a model would. A request without any tool of a step (a title, a
//        summary) gets a word; where no step is a tool, every request gets the text of the first one. `faults` come before
//        all of that, one a request: `{ "status": 429, "headers": {...}, "message": "..." }` refuses it, and
//        `{ "silent": true }` never answers; `"always": true` stays.
//
// As a module:  import { startMock } from './mock-model-api.mjs'
//               const mock = await startMock([{ tool: 'owf_list_runs' }, { text: 'done' }])
//               mock.url, mock.seen = { tools, mentioned, results, said, requests, faults, bodies }, await mock.close()
// As a program: node scripts/mock-model-api.mjs STEPS.json      prints the address, and what it saw when it is interrupted

import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** The text of a tool result, whatever shape the API gives it. */
const textOf = content =>
  typeof content === 'string'
    ? content
    : Array.isArray(content)
      ? content.map(part => part.text ?? '').join('\n')
      : JSON.stringify(content ?? '')

/** The first JSON value in a text; clients put words around what a server returned. */
export const jsonIn = text => {
  for (let at = text.search(/[{[]/); at >= 0 && at < text.length; at++) {
    if (text[at] !== '{' && text[at] !== '[') continue
    for (let end = text.length; end > at; end--) {
      end = text.lastIndexOf(text[at] === '{' ? '}' : ']', end - 1) + 1
      if (end <= at) break
      try {
        return JSON.parse(text.slice(at, end))
      } catch {}
    }
  }
  return undefined
}

/** The value of a key, however deep it stands. */
const found = (value, key) => {
  if (value === null || typeof value !== 'object') return undefined
  if (value[key] !== undefined) return value[key]
  for (const inner of Object.values(value)) {
    const deeper = found(inner, key)
    if (deeper !== undefined) return deeper
  }
  return undefined
}

/** Fills "$key" with the newest value of that key in the results. */
const filled = (value, results) => {
  if (typeof value === 'string' && value.startsWith('$')) {
    const key = value.slice(1)
    const newest = results.findLast(({ json }) => found(json, key) !== undefined)
    if (!newest) throw new Error(`no tool result has the key ${key}`)
    return found(newest.json, key)
  }
  if (Array.isArray(value)) return value.map(item => filled(item, results))
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, results)]))
  return value
}

/** Ids of calls that only look for tools; they are no step. */
const SEARCH = 'toolu_search'

/** The two APIs, reduced to: which tools are offered, which results are there, and how an answer is streamed. */
const anthropic = {
  path: '/v1/messages',
  tools: body => (body.tools ?? []).map(tool => ({ name: tool.name, description: tool.description })),
  results: body =>
    body.messages
      .flatMap(message => (Array.isArray(message.content) ? message.content : []))
      .filter(part => part.type === 'tool_result' && !part.tool_use_id.startsWith(SEARCH))
      .map(part => ({ text: textOf(part.content), failed: part.is_error === true })),
  said: body => JSON.stringify([body.system, body.messages]),
  *events(answer, number) {
    const block = answer.tool
      ? { type: 'tool_use', id: `${answer.search ? SEARCH : 'toolu'}_${number}`, name: answer.tool.name, input: {} }
      : { type: 'text', text: '' }
    const delta = answer.tool
      ? { type: 'input_json_delta', partial_json: JSON.stringify(answer.arguments) }
      : { type: 'text_delta', text: answer.text }
    const usage = { input_tokens: 10, output_tokens: 1, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
    const message = { id: `msg_${number}`, type: 'message', role: 'assistant', model: answer.model, content: [] }
    yield { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null, usage } }
    yield { type: 'content_block_start', index: 0, content_block: block }
    yield { type: 'content_block_delta', index: 0, delta }
    yield { type: 'content_block_stop', index: 0 }
    const end = { stop_reason: answer.tool ? 'tool_use' : 'end_turn', stop_sequence: null }
    yield { type: 'message_delta', delta: end, usage: { output_tokens: 5 } }
    yield { type: 'message_stop' }
  },
}
const openai = {
  path: '/v1/responses',
  tools: body =>
    (body.tools ?? []).flatMap(tool =>
      tool.type === 'namespace'
        ? tool.tools.map(inner => ({ name: inner.name, namespace: tool.name, description: inner.description }))
        : [{ name: tool.name ?? tool.type, description: tool.description }],
    ),
  results: body =>
    body.input
      .filter(item => item.type === 'function_call_output')
      .map(item => ({ text: textOf(item.output), failed: item.output?.success === false })),
  said: body => JSON.stringify([body.instructions, body.tools, body.input]),
  *events(answer, number) {
    const item = answer.tool
      ? {
          type: 'function_call',
          id: `fc_${number}`,
          call_id: `call_${number}`,
          name: answer.tool.name,
          ...(answer.tool.namespace ? { namespace: answer.tool.namespace } : {}),
          arguments: JSON.stringify(answer.arguments),
        }
      : {
          type: 'message',
          id: `msg_${number}`,
          role: 'assistant',
          content: [{ type: 'output_text', text: answer.text, annotations: [] }],
        }
    const usage = {
      input_tokens: 10,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 5,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 15,
    }
    yield { type: 'response.created', response: { id: `resp_${number}` } }
    yield { type: 'response.output_item.done', output_index: 0, item }
    yield { type: 'response.completed', response: { id: `resp_${number}`, output: [item], usage } }
  },
}

const chat = {
  path: '/v1/chat/completions',
  tools: body => (body.tools ?? []).map(tool => ({ name: tool.function?.name })),
  results: () => [],
  said: body => JSON.stringify(body.messages),
  *events(answer, number) {
    const chunk = { id: `chat_${number}`, object: 'chat.completion.chunk', created: 1, model: answer.model }
    yield { ...chunk, choices: [{ index: 0, delta: { role: 'assistant', content: answer.text }, finish_reason: null }] }
    yield { ...chunk, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
    yield { ...chunk, choices: [], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } }
  },
}
const gemini = {
  path: ':streamGenerateContent',
  tools: () => [],
  results: () => [],
  said: body => JSON.stringify(body.contents),
  *events(answer) {
    const content = { parts: [{ text: answer.text }], role: 'model' }
    const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 }
    yield { candidates: [{ content, finishReason: 'STOP', index: 0 }], usageMetadata, modelVersion: 'mock' }
  },
}

/** Starts the mock on a free port of the loopback interface. */
export const startMock = async (steps, { faults = [] } = {}) => {
  const seen = { tools: [], mentioned: [], results: [], said: '', requests: 0, faults: [], bodies: [] }
  const refusals = [...faults]
  let number = 0

  const answerTo = (api, body) => {
    if (!steps.some(step => step.tool)) return { text: steps[0]?.text ?? 'ok' }
    const tools = api.tools(body)
    const results = api.results(body).map(result => ({ ...result, json: jsonIn(result.text) }))
    const said = api.said(body)
    const isOurs = name => steps.some(step => step.tool && (name === step.tool || name.endsWith(`__${step.tool}`)))
    const mentioned = [...new Set(said.match(/mcp__\w+/g) ?? [])].filter(isOurs)
    const search = tools.find(tool => tool.name === 'ToolSearch')
    if (!tools.some(tool => isOurs(tool.name)) && !(search && mentioned.length > 0)) return { text: 'ok' }
    seen.requests += 1
    seen.tools = tools
    seen.mentioned = mentioned
    seen.said = said
    if (results.length > seen.results.length) seen.results = results
    const step = steps[Math.min(results.length, steps.length - 1)]
    if (!step.tool) return { text: step.text ?? 'done' }
    const isIt = name => name === step.tool || name.endsWith(`__${step.tool}`)
    const tool = tools.find(candidate => isIt(candidate.name))
    if (!tool && search && !said.includes(SEARCH) && mentioned.some(isIt))
      return { tool: search, search: true, arguments: { query: `select:${mentioned.join(',')}`, max_results: 20 } }
    if (!tool) throw new Error(`the client offers no tool ${step.tool}`)
    return { tool, arguments: filled(step.arguments ?? {}, results) }
  }

  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://mock').pathname
    const api = [anthropic, openai, chat, gemini].find(known => request.method === 'POST' && path.endsWith(known.path))
    let text = ''
    for await (const chunk of request) text += chunk
    if (!api) {
      const known = path.endsWith('/count_tokens') ? { input_tokens: 10 } : { data: [], models: [] }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(known))
      return
    }
    const body = JSON.parse(text)
    seen.bodies.push(body)
    const refusal = refusals[0]?.always ? refusals[0] : refusals.shift()
    if (refusal?.silent) return
    if (refusal) {
      const message = refusal.message ?? `mock: ${refusal.status}`
      response.writeHead(refusal.status, { 'content-type': 'application/json', ...refusal.headers })
      response.end(JSON.stringify({ type: 'error', error: { type: refusal.type ?? 'api_error', message } }))
      return
    }
    let answer
    try {
      answer = answerTo(api, body)
    } catch (fault) {
      // The turn ends at once; the caller reads the fault.
      seen.faults.push(fault.message)
      answer = { text: `mock: ${fault.message}` }
    }
    number += 1
    const events = [...api.events({ ...answer, model: body.model }, number)]
    if (body.stream === false || (api === anthropic && !body.stream)) {
      const content = [{ type: 'text', text: answer.text ?? 'ok' }]
      const usage = { input_tokens: 10, output_tokens: 1 }
      const plain = { id: `msg_${number}`, type: 'message', role: 'assistant', model: body.model, content, usage }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ ...plain, stop_reason: 'end_turn', stop_sequence: null }))
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of events) {
      const name = event.type ? `event: ${event.type}\n` : ''
      response.write(`${name}data: ${JSON.stringify(event)}\n\n`)
    }
    if (api === chat) response.write('data: [DONE]\n\n')
    response.end()
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const close = () => new Promise(resolve => (server.close(resolve), server.closeAllConnections()))
  return { url: `http://127.0.0.1:${server.address().port}`, seen, close }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = process.argv[2]
  if (!file) {
    console.error('usage: node scripts/mock-model-api.mjs STEPS.json')
    process.exit(2)
  }
  const mock = await startMock(JSON.parse(readFileSync(file, 'utf8')))
  console.log(mock.url)
  process.once('SIGINT', async () => {
    console.log(JSON.stringify(mock.seen, null, 2))
    await mock.close()
  })
}
