#!/usr/bin/env node
// The real Claude Code and Codex command lines drive owf; only the model behind them is a mock (mock-model-api.mjs).
//
// Needs: Node 20 or newer, npm and its registry (npm-cache.mjs says what is installed, and where), a built owf.
// Does:  for each client: registers owf as the README says, in a home of its own and with a dummy key; one session lists the
//        tools, looks at the runs and starts a slow workflow, and ends; the run goes on without it; a second session finds the
//        run, waits for its end and reads its output. What the tools said is taken from what the mock was sent. Also
//        validates the Claude Code plugin of this repository.
// Use:   node scripts/real-clients.mjs [PATH_OF_OWF]        default: target/debug/owf. Ends with 0 or with what is wrong.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CLIENTS, check, installed, run, sealed } from './npm-cache.mjs'
import { startMock } from './mock-model-api.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const owf = resolve(process.argv[2] ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug', 'owf'))
check(existsSync(owf), `there is no ${owf}: cargo build, or give its path`)

// Twelve agents, one after the other, two seconds each: far longer than the first session.
const WORKFLOW = `export const meta = { name: 'patience', description: 'Ask twelve agents, one after the other' }
const answers = []
for (let i = 1; i <= 12; i++) answers.push(await agent('Say the number ' + i, { label: 'number:' + i }))
return { answers }
`
const FIXTURES = `owf_fixtures: 1
rules:
  - text: "{{ label }} was said"
    delay_ms: 2000
`
const ANSWERS = Array.from({ length: 12 }, (_, i) => `number:${i + 1} was said`)

/** What the first session asks for. It does not wait: the client ends while the run has only begun. */
const FIRST = [
  { tool: 'owf_list_runs', arguments: {} },
  {
    tool: 'owf_run_workflow',
    arguments: { path: 'patience.js', provider: 'fake', fixtures: 'slow.yaml', wait_seconds: 0, request_key: 'patience' },
  },
  { tool: 'owf_wait', arguments: { run_id: '$run_id', cursor: '$next_cursor', timeout_seconds: 1 } },
  { text: 'It runs.' },
]
/** What the second one asks for, knowing nothing of the first. */
const SECOND = [
  { tool: 'owf_list_runs', arguments: { status: ['running'] } },
  { tool: 'owf_wait', arguments: { run_id: '$run_id', until: 'end', timeout_seconds: 45 } },
  { tool: 'owf_output', arguments: { run_id: '$run_id' } },
  { text: 'It is done.' },
]

/** How each client is told about owf and the mock, and how a session is held. */
const DRIVEN = {
  claude: {
    environment: (home, url) => ({
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: 'dummy',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
    }),
    register: async cli => {
      await cli(['mcp', 'add', 'owf', '--', owf, 'mcp'])
      const listed = await cli(['mcp', 'list'])
      check(/owf: .*Connected/.test(listed), 'claude mcp list does not show owf as connected', listed)
    },
    session: prompt => ['-p', prompt, '--allowedTools', 'mcp__owf'],
  },
  codex: {
    environment: home => ({ CODEX_HOME: join(home, '.codex'), MOCK_KEY: 'dummy' }),
    register: async (cli, home) => {
      await cli(['mcp', 'add', 'owf', '--', owf, 'mcp'])
      const listed = await cli(['mcp', 'get', 'owf'])
      check(listed.includes(owf), 'codex mcp get does not show owf', listed)
      // The keys that the README recommends; without an approval mode, `codex exec` refuses the tools that start work.
      const file = join(home, '.codex', 'config.toml')
      const keys = ['startup_timeout_sec = 20', 'tool_timeout_sec = 600', 'default_tools_approval_mode = "approve"']
      const text = readFileSync(file, 'utf8')
      check(text.includes('[mcp_servers.owf]'), 'codex mcp add wrote no [mcp_servers.owf]', text)
      writeFileSync(file, text.replace('[mcp_servers.owf]', ['[mcp_servers.owf]', ...keys].join('\n')))
    },
    // The provider is given with each session, since each has a mock of its own.
    session: (prompt, url) => [
      'exec',
      '--skip-git-repo-check',
      ...['model="mock"', 'model_provider="mock"'].flatMap(pair => ['-c', pair]),
      '-c',
      `model_providers.mock={name="mock",base_url="${url}/v1",wire_api="responses",env_key="MOCK_KEY"}`,
      prompt,
    ],
  },
}

/** One session with its own mock; gives what the tools answered. */
const session = async (name, steps, place, bin) => {
  const client = DRIVEN[name]
  const mock = await startMock(steps)
  try {
    const env = environment(name, place, bin, mock.url)
    const got = await run(join(bin, name), client.session('Do what has to be done.', mock.url), { env, cwd: place.project })
    const report = () => `exit code ${got.code}\n${got.output}\n${JSON.stringify(mock.seen.results, null, 1)}`
    check(got.code === 0 && mock.seen.faults.length === 0, `${name}: ${mock.seen.faults.join(', ') || 'failed'}`, report())
    const asked = steps.filter(step => step.tool)
    check(mock.seen.results.length === asked.length, `${name}: not every tool was called`, report())
    for (const [i, result] of mock.seen.results.entries())
      check(result.json && !result.json.error && !result.failed, `${name}: ${asked[i].tool} failed`, report())
    return { replies: mock.seen.results.map(result => result.json), seen: mock.seen }
  } finally {
    await mock.close()
  }
}

const environment = (name, place, bin, url) =>
  sealed(place.home, `${bin}:${process.env.PATH}`, DRIVEN[name].environment(place.home, url))

const drive = async (name, scratch, bin) => {
  const place = { home: join(scratch, `${name}-home`), project: join(scratch, `${name}-project`) }
  mkdirSync(join(place.home, '.codex'), { recursive: true })
  mkdirSync(place.project)
  writeFileSync(join(place.project, 'patience.js'), WORKFLOW)
  writeFileSync(join(place.project, 'slow.yaml'), FIXTURES)
  const env = environment(name, place, bin, 'http://127.0.0.1:9')
  const must = async (program, args) => {
    const got = await run(program, args, { env, cwd: place.project })
    check(got.code === 0, `${program} ${args.join(' ')} ended with ${got.code}`, got.output)
    return got.output
  }
  await DRIVEN[name].register(args => must(join(bin, name), args), place.home)
  const status = async id => JSON.parse(await must(owf, ['status', id, '--json']))

  const first = await session(name, FIRST, place, bin)
  const listed = [...first.seen.mentioned, ...first.seen.tools.map(tool => tool.name)]
  for (const tool of ['owf_validate_workflow', 'owf_dry_run', 'owf_run_workflow', 'owf_wait', 'owf_output'])
    check(listed.some(full => full.endsWith(tool)) || first.seen.said.includes(tool), `${name} does not list ${tool}`)
  check(first.seen.said.includes('owf runs workflows of AI agent calls'), `${name} does not show the instructions`)
  const started = first.replies[1]
  const left = await status(started.run_id)
  check(left.status === 'running', `${name}: the run did not go on after the session: ${left.status}`)
  console.log(`${name}: session ended, ${started.run_id} goes on with ${left.counts.done} of 12 calls done`)

  const second = await session(name, SECOND, place, bin)
  const [runs, waited, output] = second.replies
  check(runs.runs[0]?.run_id === started.run_id, `${name}: the second session does not find the run`, JSON.stringify(runs))
  const ended = waited.status === 'done' ? waited : await finished(status, started.run_id)
  check(ended.status === 'done' && ended.counts.done === 12, `${name}: the run ended otherwise`, JSON.stringify(ended))
  check(ended.simulated === true, `${name}: answers of the fake provider are not marked as simulated`, JSON.stringify(ended))
  check(waited.woke === 'ended', `${name}: owf_wait ended for another reason`, JSON.stringify(waited))
  const answers = JSON.stringify(output.output?.answers)
  check(answers === JSON.stringify(ANSWERS), `${name}: owf_output gives something else`, JSON.stringify(output))
  console.log(`${name}: a second session found the run, waited for its end and read its output`)
}

/** The state of a run once it has ended. */
const finished = async (status, id) => {
  const until = Date.now() + 60_000
  for (;;) {
    const view = await status(id)
    if (!['queued', 'running'].includes(view.status) || Date.now() > until) return view
    await new Promise(resume => setTimeout(resume, 250))
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'owf-clients-'))
try {
  const bin = installed(CLIENTS)
  const env = sealed(scratch, `${bin}:${process.env.PATH}`, DRIVEN.claude.environment(scratch, 'http://127.0.0.1:9'))
  const valid = await run(join(bin, 'claude'), ['plugin', 'validate', '--strict', root], { env, cwd: scratch })
  check(valid.code === 0, 'claude plugin validate --strict fails', valid.output)
  console.log('claude: the plugin is valid')
  for (const name of Object.keys(DRIVEN)) await drive(name, scratch, bin)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
