#!/usr/bin/env node
// Lets a client that speaks MCP over Streamable HTTP talk to a server that speaks it over stdio, for the conformance suite.
//
// Needs: Node 20 or newer, nothing else. Listens on 127.0.0.1 only.
// Does:  one child process for each session that `initialize` opens, and one for all requests of the stateless revision.
//        Ids are renamed on the way, since clients choose them freely. What the server sends before its answer goes out as
//        events of the same response. The HTTP status follows from the error code, as the specification demands.
// Use:   import { startBridge } from './stdio-bridge.mjs'; const bridge = await startBridge([program, ...args], { env, cwd })
//        bridge.url, await bridge.close()      A bridge for tests: no authorisation, no resumption, no origin policy beyond
//        refusing what is not local.

import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'

const STATELESS = '2026-07-28'
const META = 'io.modelcontextprotocol/protocolVersion'

/** The HTTP status of a JSON-RPC error in the stateless revision. */
const statusOf = code => (code === -32601 ? 404 : code === -32603 ? 500 : 400)

/** One server process. Answers find their way back by renamed ids; everything else goes to the oldest open response. */
class Child {
  constructor([program, ...args], options) {
    this.waiting = new Map()
    this.next = 0
    this.process = spawn(program, args, { ...options, stdio: ['pipe', 'pipe', 'inherit'] })
    this.ended = new Promise(resolve => this.process.once('close', resolve))
    this.process.stdin.on('error', () => {})
    createInterface({ input: this.process.stdout }).on('line', line => this.receive(JSON.parse(line)))
    this.process.once('close', () => {
      for (const { id, answer } of this.waiting.values())
        answer({ jsonrpc: '2.0', id, error: { code: -32603, message: 'the server ended' } })
    })
  }
  receive(message) {
    const open = message.method === undefined ? this.waiting.get(message.id) : undefined
    if (open) {
      this.waiting.delete(message.id)
      return open.answer({ ...message, id: open.id })
    }
    const token = message.params?.progressToken
    const target = [...this.waiting.values()].find(one => token !== undefined && one.token === token)
    ;(target ?? this.waiting.values().next().value)?.notify(message)
  }
  send(message) {
    this.process.stdin.write(`${JSON.stringify(message)}\n`)
  }
  request(message, notify) {
    return new Promise(answer => {
      const id = `b${(this.next += 1)}`
      this.waiting.set(id, { id: message.id, token: message.params?._meta?.progressToken, answer, notify })
      this.send({ ...message, id })
    })
  }
  async end() {
    this.process.stdin.end()
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 3000)
    await this.ended
    clearTimeout(timer)
  }
}

/** Starts the bridge on a free port of the loopback interface. */
export const startBridge = async (command, options = {}) => {
  const sessions = new Map()
  let stateless
  const refuse = (response, status, code, message, id = null) =>
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } }))

  const post = async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    let message
    try {
      message = JSON.parse(text)
    } catch {
      return refuse(response, 400, -32700, 'not JSON')
    }
    const header = request.headers['mcp-protocol-version']
    const modern = message.params?._meta?.[META] !== undefined || header === STATELESS
    const opens = message.method === 'initialize' && !modern
    const session = request.headers['mcp-session-id']
    let child
    const headers = {}
    if (opens) {
      headers['mcp-session-id'] = randomUUID()
      child = new Child(command, options)
      sessions.set(headers['mcp-session-id'], child)
    } else if (modern) {
      child = stateless ??= new Child(command, options)
    } else {
      child = sessions.get(session)
      if (!child) return refuse(response, session ? 404 : 400, -32600, 'no such session', message.id ?? null)
    }
    if (message.id === undefined || message.method === undefined) {
      child.send(message)
      return response.writeHead(202, headers).end()
    }
    const event = data => {
      if (!response.headersSent) response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
      response.write(`event: message\ndata: ${JSON.stringify(data)}\n\n`)
    }
    const answer = await child.request(message, event)
    if (response.headersSent) {
      event(answer)
      return response.end()
    }
    const status = modern && answer.error ? statusOf(answer.error.code) : 200
    response.writeHead(status, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }

  const server = createServer(async (request, response) => {
    const local = value => value === undefined || /^(https?:\/\/)?(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(value)
    if (!local(request.headers.host) || !local(request.headers.origin)) return refuse(response, 403, -32600, 'not local')
    if (request.method === 'POST') return post(request, response).catch(fault => refuse(response, 500, -32603, `${fault}`))
    if (request.method === 'DELETE') {
      const child = sessions.get(request.headers['mcp-session-id'])
      sessions.delete(request.headers['mcp-session-id'])
      await child?.end()
      return response.writeHead(child ? 200 : 404).end()
    }
    response.writeHead(405, { allow: 'POST, DELETE' }).end()
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const close = async () => {
    await Promise.all([...sessions.values(), stateless].map(child => child?.end()))
    await new Promise(resolve => (server.close(resolve), server.closeAllConnections()))
  }
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, close }
}
