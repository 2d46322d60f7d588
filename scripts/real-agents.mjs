#!/usr/bin/env node
// owf drives the real Claude Code and Codex command lines, and others if asked to; only the model behind them is a mock (mock-model-api.mjs).
//
// Needs: Node 20 or newer, npm and its registry (npm-cache.mjs says what is installed, and where), git, a built owf.
// Does:  for each client, in a home of its own and with a dummy key, runs workflows through `owf run`: plain text, an answer
//        by schema, a tool, a 429 with retry-after, a 500, a service that never answers, a cancel while a tool runs, and a
//        write in a worktree. The user and the project have owf configured as an MCP server: it is never started unless the
//        provider's own settings want it. With OWF_MORE_AGENTS=1 also opencode, gemini-cli and qwen-code: a text, a refusal,
//        and a project whose settings start programs. Looks at what owf recorded, at what the mock was sent, and at the processes that are left.
// Use:   node scripts/real-agents.mjs [PATH_OF_OWF]        default: target/debug/owf. Ends with 0 or with what is wrong.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CLIENTS, MORE_AGENTS, check, installed, run, sealed } from './npm-cache.mjs'
import { startMock } from './mock-model-api.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const owf = resolve(process.argv[2] ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug', 'owf'))
check(existsSync(owf), `there is no ${owf}: cargo build, or give its path`)

/** The directory in whose environment agents find their own settings, and what a server that was started leaves there. */
const user = dir => join(dir, 'user')
const marker = dir => join(dir, 'server-was-started')

const CANARY = 'canary-key-0123456789'

/** What differs between the two: where their service is, and which tool does what. */
const AGENTS = {
  claude: {
    configuration: (url, wanted) => `[providers.claude]
base_url = "${url}"
api_key_env = "TEAM_KEY"
[providers.claude.cli]
allow = ["Bash"]
shell_sees_key = true
${wanted ? `mcp_config = ${JSON.stringify(wanted)}` : ''}
`,
    structured: value => [{ tool: 'StructuredOutput', arguments: value }, { text: 'There it is.' }],
    read: file => ({ tool: 'Read', arguments: { file_path: file } }),
    shell: command => ({ tool: 'Bash', arguments: { command, description: 'does it' } }),
    write: name => ({ tool: 'Write', arguments: { file_path: name, content: 'written\n' } }),
    retriesItself: true,
  },
  codex: {
    configuration: (url, wanted) => `[providers.codex]
base_url = "${url}/v1"
api_key_env = "TEAM_KEY"
default_model = "mock"
${wanted ? '[providers.codex.cli]\nargs = ["-c", "mcp_servers.owf.enabled=true"]' : ''}
`,
    structured: value => [{ text: JSON.stringify(value) }],
    read: file => ({ tool: 'exec_command', arguments: { cmd: `cat ${file}` } }),
    shell: command => ({ tool: 'exec_command', arguments: { cmd: command, yield_time_ms: 300000 } }),
    write: name => ({ tool: 'exec_command', arguments: { cmd: `echo written > ${name}` } }),
    retriesItself: false,
  },
}

/** Agents by a table. What each takes for its model, and how it is told where the mock is. */
const BY_TABLE = {
  opencode: {
    configuration: () => '[providers.opencode]\napi_key_env = "TEAM_KEY"\ndefault_model = "mock/mock"\n',
    settle: (dir, url) => {
      const options = { baseURL: `${url}/v1`, apiKey: '{env:TEAM_KEY}' }
      const mock = { npm: '@ai-sdk/openai-compatible', name: 'mock', options, models: { mock: { name: 'mock' } } }
      writeFileSync(join(dir, 'opencode.json'), JSON.stringify({ provider: { mock } }))
      return { OPENCODE_CONFIG: join(dir, 'opencode.json') }
    },
    hostile: (project, command) => {
      const mcp = { odd: { type: 'local', command, enabled: true } }
      writeFileSync(join(project, 'opencode.json'), JSON.stringify({ mcp }))
    },
    untrusted: ({ view }) => view.output === 'swordfish',
    follows: true,
  },
  'gemini-cli': {
    configuration: url => `[providers.gemini-cli]\nbase_url = "${url}"\napi_key_env = "TEAM_KEY"\ndefault_model = "gemini-3.5-flash"\n`,
    settle: dir => {
      mkdirSync(join(user(dir), '.gemini'))
      const settings = { security: { auth: { selectedType: 'gemini-api-key' } } }
      writeFileSync(join(user(dir), '.gemini', 'settings.json'), JSON.stringify(settings))
      return {}
    },
    hostile: (project, command) => {
      mkdirSync(join(project, '.gemini'))
      writeFileSync(join(project, '.gemini', 'settings.json'), JSON.stringify(HOOKED(command)))
    },
    untrusted: ({ call }) => call.error?.class === 'policy',
  },
  'qwen-code': {
    configuration: url => `[providers.qwen-code]\nbase_url = "${url}/v1"\napi_key_env = "TEAM_KEY"\ndefault_model = "mock"\n`,
    settle: () => ({}),
    hostile: (project, command) => {
      mkdirSync(join(project, '.qwen'))
      writeFileSync(join(project, '.qwen', 'settings.json'), JSON.stringify(HOOKED(command)))
    },
    untrusted: ({ view }) => view.output === 'swordfish',
    follows: true,
  },
}

/** Settings that start a program with each session. */
const HOOKED = command => ({
  hooksConfig: { enabled: true },
  hooks: { SessionStart: [{ hooks: [{ type: 'command', command: command.join(' ') }] }] },
})

/** A place for one workflow: a repository with a file, a home, and a configuration for the mock. */
const prepare = (scratch, name, title, url, bin, { wanted = false, hostile = false, trusted = false } = {}) => {
  const dir = join(scratch, `${name}-${title.replaceAll(' ', '-')}`)
  const project = join(dir, 'project')
  mkdirSync(project, { recursive: true })
  writeFileSync(join(project, 'notes.txt'), 'the password of the day is swordfish\n')
  // owf as a server of the user's and of the project's: it says that it was started.
  mkdirSync(user(dir))
  writeFileSync(join(dir, 'server'), `#!/bin/sh\ntouch '${marker(dir)}'\nexec '${owf}' mcp\n`, { mode: 0o755 })
  const servers = JSON.stringify({ mcpServers: { owf: { type: 'stdio', command: join(dir, 'server'), args: [] } } })
  const ofCodex = `[mcp_servers.owf]\ncommand = "${join(dir, 'server')}"\n`
  writeFileSync(join(project, '.mcp.json'), servers)
  writeFileSync(join(user(dir), '.claude.json'), servers)
  for (const place of [user(dir), project]) {
    mkdirSync(join(place, '.codex'))
    writeFileSync(join(place, '.codex', 'config.toml'), ofCodex)
  }
  const agent = AGENTS[name] ?? BY_TABLE[name]
  if (hostile) agent.hostile(project, ['touch', marker(dir)])
  if (trusted) {
    mkdirSync(join(project, '.owf'))
    writeFileSync(join(project, '.owf', 'config.toml'), '')
  }
  const git = (...args) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.invalid', ...args], { cwd: project })
  git('init', '-q')
  git('add', '.')
  git('commit', '-q', '-m', 'notes')
  writeFileSync(join(dir, 'providers.toml'), agent.configuration(url, wanted && join(project, '.mcp.json')))
  const env = sealed(user(dir), `${bin}:${process.env.PATH}`, {
    OWF_HOME: join(dir, 'home'),
    OWF_PROVIDERS_FILE: join(dir, 'providers.toml'),
    TEAM_KEY: CANARY,
    ...agent.settle?.(dir, url),
  })
  if (trusted) {
    delete env.OWF_CONFIG
    execFileSync(owf, ['trust', project], { env, cwd: project, stdio: 'ignore' })
  }
  return { dir, project, env }
}

const script = body => `export const meta = { name: 'probe', description: 'One call' }\n${body}\n`

/** Runs a workflow of this body against a mock with these steps; gives the run, its first call and what the mock saw. */
const probe = async ({ scratch, bin, name }, title, body, steps, faults = [], about = {}) => {
  const mock = await startMock(steps, { faults })
  try {
    const place = prepare(scratch, name, title, mock.url, bin, about)
    writeFileSync(join(place.dir, 'probe.js'), script(body(place)))
    const args = ['run', join(place.dir, 'probe.js'), '--provider', name, '--json']
    const began = Date.now()
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, startedFor(place).length)), 50)
    const got = await run(owf, args, { env: place.env, cwd: place.project, seconds: 150 })
    clearInterval(watch)
    const view = json(got, `${name}, ${title}`)
    const call = json(await run(owf, ['calls', 'latest', '1', '--json'], { env: place.env, cwd: place.project }), title).call
    const report = JSON.stringify({ view, call, results: mock.seen.results, faults: mock.seen.faults }, null, 1)
    const holds = (what, is) => check(is, `${name}, ${title}: ${what}`, report)
    holds('the version is recorded', /^\d+\.\d+/.test(call.provider_version))
    holds('the agent was seen', most > 0)
    holds('nothing of it is left', startedFor(place).length === 0)
    if (!about.wanted && !about.trusted) holds('nobody started owf or a program of the project', !existsSync(marker(place.dir)))
    keyIsNowhere(place, name, title)
    return { place, view, call, seen: mock.seen, holds, ms: Date.now() - began }
  } finally {
    await mock.close()
  }
}

const json = (got, what) => {
  try {
    return JSON.parse(got.printed)
  } catch {
    throw new Error(`${what}: no JSON came (exit code ${got.code})\n${got.output}`)
  }
}

/** The key is in no file below the home. */
const keyIsNowhere = (place, name, title) => {
  for (const entry of readdirSync(place.env.OWF_HOME, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) {
      const file = join(entry.parentPath ?? entry.path, entry.name)
      check(!readFileSync(file).includes(CANARY), `${name}, ${title}: the key stands in ${file}`)
    }
}

/** Processes that owf started for a call here: its marker and the home of this place are in their environment. */
const startedFor = place =>
  readdirSync('/proc').filter(pid => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
      return environment.includes(`HOME=${place.env.HOME}`) && environment.some(entry => entry.startsWith('OWF_CALL_ID='))
    } catch {
      return false
    }
  })

/** Processes whose command line holds this text. */
const running = text =>
  readdirSync('/proc').filter(pid => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text)
    } catch {
      return false
    }
  })

const until = async (what, reached, seconds, told = () => '') => {
  const end = Date.now() + seconds * 1000
  while (!reached()) {
    check(Date.now() < end, `not within ${seconds} s: ${what}`, told())
    await new Promise(resume => setTimeout(resume, 50))
  }
}

/** A number in the command line of a tool that takes for ever, and the step that starts it. Agents refuse a plain sleep. */
const nap = at => `31557${process.pid % 1000}.${at.name.length}`
const napping = at => AGENTS[at.name].shell(`tail -f -s ${nap(at)} notes.txt`)

/** Starts a run whose agent uses that tool; gives it when the tool runs. */
const started = async (at, title, mock) => {
  const place = prepare(at.scratch, at.name, title, mock.url, at.bin)
  const options = at.name === 'claude' ? "{ tools: ['Bash'] }" : '{}'
  writeFileSync(join(place.dir, 'probe.js'), script(`return await agent('Sleep.', ${options})`))
  const args = ['run', join(place.dir, 'probe.js'), '--provider', at.name, '--json']
  const child = spawn(owf, args, { env: place.env, cwd: place.project, stdio: 'ignore' })
  const ended = new Promise(resume => child.once('close', resume))
  const told = () => JSON.stringify({ results: mock.seen.results, faults: mock.seen.faults })
  await until(`${at.name}: the tool runs`, () => running(`tail\0-f\0-s\0${nap(at)}`).length > 0, 60, told)
  const view = json(await run(owf, ['status', 'latest', '--json'], { env: place.env, cwd: place.project }), 'status')
  return { place, child, ended, run_id: view.run_id }
}

/** Whether the model was offered a tool of owf. */
const OF_OWF = seen => /mcp__owf|owf_list_runs/.test(JSON.stringify(seen.bodies))

const CASES = {
  'plain text': async at => {
    const { view, call, holds } = await probe(at, 'plain text', () => "return await agent('Say the word.')", [{ text: 'swordfish' }])
    holds('the answer is there', view.status === 'done' && view.output === 'swordfish')
    holds('tokens are counted', call.input_tokens >= 10 && call.output_tokens >= 1)
    holds('a mock is no vendor', call.cost_source !== 'reported')
  },
  'structured output': async at => {
    // A root that is no object, keywords and formats that the clients do not take: owf makes what each of them takes.
    const schema = `{ $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', required: ['n'], properties: {
      n: { type: 'integer', format: 'int64' }, note: { type: 'string' } } }`
    const steps = AGENTS[at.name].structured({ n: 4 })
    const { view, holds } = await probe(at, 'structured output', () => `return await agent('How many?', { schema: ${schema} })`, steps)
    holds('the answer is a value', view.status === 'done' && view.output?.n === 4)
  },
  'tool use': async at => {
    const steps = place => [AGENTS[at.name].read(join(place, 'notes.txt')), { text: 'I have read it.' }]
    const file = join(at.scratch, `${at.name}-tool-use`, 'project')
    const { view, seen, holds } = await probe(at, 'tool use', () => "return await agent('Read the notes.')", steps(file))
    holds('the run is done', view.status === 'done' && view.output === 'I have read it.')
    holds('the tool was used', seen.results.length === 1 && seen.results[0].text.includes('swordfish'))
    holds('no MCP server is there', !OF_OWF(seen))
  },
  'an MCP server that is wanted': async at => {
    // The same configuration, and the provider's settings want the server: so the checks above would have seen it.
    const steps = [{ tool: 'owf_list_runs', arguments: {} }, { text: 'I have looked.' }]
    const body = () => "return await agent('Which runs are there?')"
    const { place, seen, holds } = await probe(at, 'wanted', body, steps, [], { wanted: true })
    holds('the server was started', existsSync(marker(place.dir)))
    holds('its tools are known to the model', OF_OWF(seen))
  },
  '429 with retry-after': async at => {
    const faults = [{ status: 429, type: 'rate_limit_error', headers: { 'retry-after': '2' } }]
    const { view, call, ms, holds } = await probe(at, '429', () => "return await agent('x')", [{ text: 'late' }], faults)
    holds('the answer comes after a retry', view.status === 'done' && view.output === 'late')
    // Claude Code waits as long as it is told; Codex gives up at once, and owf asks again.
    holds('who retries', call.attempts === (AGENTS[at.name].retriesItself ? 1 : 2))
    if (AGENTS[at.name].retriesItself) holds('the wait is kept', ms >= 2000)
  },
  'a server error': async at => {
    const once = await probe(at, 'error once', () => "return await agent('x')", [{ text: 'late' }], [{ status: 500 }])
    once.holds('one is got over', once.view.status === 'done' && once.view.output === 'late')
    const body = () => "return [await agent('x', { retry: { maxAttempts: 2 } })]"
    const { view, call, holds } = await probe(at, 'error always', body, [{ text: '' }], [{ status: 500, always: true }])
    holds('the call fails and the run does not', view.status === 'done' && view.output[0] === null)
    // Codex says no status, but that demand is high.
    const wanted = at.name === 'codex' ? 'overloaded' : 'transport'
    holds(`it is ${wanted}, twice`, call.attempts === 2 && call.error?.class === wanted)
  },
  timeout: async at => {
    const body = () => "return [await agent('x', { timeoutMs: 6000, retry: { maxAttempts: 1 } })]"
    const { view, call, holds } = await probe(at, 'timeout', body, [{ text: '' }], [{ silent: true, always: true }])
    holds('the call times out', view.status === 'done' && call.status === 'timeout')
  },
  'cancel with a child to sweep': async at => {
    const mock = await startMock([napping(at), { text: 'It slept.' }])
    try {
      const { place, ended, run_id } = await started(at, 'cancel', mock)
      const began = Date.now()
      const cancelled = await run(owf, ['cancel', run_id], { env: place.env, cwd: place.project })
      check(cancelled.code === 0, `${at.name}: owf cancel failed`, cancelled.output)
      await ended
      await until(`${at.name}: the tool is gone`, () => running(nap(at)).length === 0, 15)
      const view = json(await run(owf, ['status', run_id, '--json'], { env: place.env, cwd: place.project }), 'status')
      check(view.status === 'cancelled', `${at.name}: the run is not cancelled`, JSON.stringify(view))
      console.log(`${at.name}: cancelled, and everything gone, after ${Date.now() - began} ms`)
    } finally {
      await mock.close()
    }
  },
  'a killed owner': async at => {
    const mock = await startMock([napping(at), { text: 'It slept.' }])
    const second = await startMock([{ text: 'Afterwards.' }])
    try {
      const { place, child, ended, run_id } = await started(at, 'killed', mock)
      child.kill('SIGKILL')
      await ended
      check(running(nap(at)).length > 0, `${at.name}: the tool died with owf, so there is nothing to sweep`)
      writeFileSync(join(place.dir, 'providers.toml'), AGENTS[at.name].configuration(second.url))
      const resumed = await run(owf, ['resume', run_id, '--json'], { env: place.env, cwd: place.project })
      const view = json(resumed, 'resume')
      check(view.output === 'Afterwards.', `${at.name}: the run did not go on`, resumed.output)
      check(running(nap(at)).length === 0, `${at.name}: the tool of the dead owner is still running`)
    } finally {
      await mock.close()
      await second.close()
    }
  },
  'write in a worktree': async at => {
    const steps = [AGENTS[at.name].write('made.txt'), { text: 'Written.' }]
    const body = () => "return await agent('Write it.', { isolation: 'worktree', writeScope: ['.'] })"
    const { view, call, holds, place } = await probe(at, 'worktree', body, steps)
    holds('the run is done', view.status === 'done' && view.output === 'Written.')
    holds('the workspace is as it was', !existsSync(join(place.project, 'made.txt')))
    holds('the file is in the worktree', JSON.stringify(call.changed_files) === '["made.txt"]')
  },
}

const MORE_CASES = {
  'plain text': async at => {
    const about = { trusted: true }
    const { view, call, holds } = await probe(at, 'text', () => "return await agent('Say the word.')", [{ text: 'swordfish' }], [], about)
    holds('the answer is there', view.status === 'done' && view.output === 'swordfish')
    holds('tokens are counted', call.input_tokens >= 10 && call.output_tokens >= 1)
  },
  'a refusal': async at => {
    const body = () => "return [await agent('x', { retry: { maxAttempts: 1 } })]"
    const faults = [{ status: 400, type: 'invalid_request_error', always: true }]
    const { view, call, holds } = await probe(at, 'refusal', body, [{ text: '' }], faults, { trusted: true })
    holds('the call fails and the run does not', view.status === 'done' && view.output[0] === null)
    holds('it says why', call.error?.class === 'bad_request' && /mock: 400/.test(call.error.message))
  },
  'a project with settings of its own': async at => {
    const body = () => "return await agent('Say the word.', { retry: { maxAttempts: 1 } })"
    const steps = [{ text: 'swordfish' }]
    const kept = await probe(at, 'hostile', body, steps, [], { hostile: true })
    kept.holds('the project had no say', BY_TABLE[at.name].untrusted(kept))
    if (!BY_TABLE[at.name].follows) return
    const led = await probe(at, 'led', body, steps, [], { hostile: true, trusted: true })
    led.holds('where it is trusted, it has', existsSync(marker(led.place.dir)))
  },
}

const scratch = mkdtempSync(join(tmpdir(), 'owf-agents-'))
const only = process.env.ONLY
try {
  const bin = installed(CLIENTS)
  const more = process.env.OWF_MORE_AGENTS ? installed(MORE_AGENTS) : null
  const all = Object.keys(AGENTS).map(name => [name, CASES, bin])
  if (more) all.push(...Object.keys(BY_TABLE).map(name => [name, MORE_CASES, more]))
  for (const [name, cases, bin] of all)
    for (const [title, test] of Object.entries(cases)) {
      if (only && !`${name} ${title}`.includes(only)) continue
      const began = Date.now()
      await test({ scratch, bin, name })
      console.log(`${name}: ${title}: ok, ${Date.now() - began} ms`)
    }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
