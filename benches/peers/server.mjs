// The same trivial server with the Node SDK, for benches/mcp.rs. Argument: the directory whose node_modules has the SDK.
import { createRequire } from 'node:module'
import { join } from 'node:path'
const require = createRequire(join(process.argv[2], 'peer.js'))
const { Server } = require('@modelcontextprotocol/sdk/server/index.js')
const { StdioServerTransport } = require('@modelcontextprotocol/sdk/server/stdio.js')
const { CallToolRequestSchema, ListToolsRequestSchema } = require('@modelcontextprotocol/sdk/types.js')
const inputSchema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] }
const server = new Server({ name: 'peer', version: '1.0.0' }, { capabilities: { tools: {} } })
server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [{ name: 'echo', description: 'Say it again.', inputSchema }] }))
server.setRequestHandler(CallToolRequestSchema, ({ params }) => ({ content: [{ type: 'text', text: params.arguments.text }] }))
await server.connect(new StdioServerTransport())
