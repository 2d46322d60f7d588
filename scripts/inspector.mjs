#!/usr/bin/env node
// The MCP Inspector's command line against `owf mcp`: strict schema checks, both protocol eras, and load.
//
// Needs: Node 20 or newer, npm and its registry (npm-cache.mjs says what is installed, and where), a built owf.
// Does:  lists tools strictly in both eras, lists resources, templates and prompts, calls a tool, and calls one 2,000 times in each,
//        20 at a time. Every step must end with 0; strict mode does not with an error.
// Use:   node scripts/inspector.mjs [PATH_OF_OWF]           default: target/debug/owf. Ends with 0 or with what is wrong.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { INSPECTOR, check, installed, run, sealed } from './npm-cache.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const owf = resolve(process.argv[2] ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug', 'owf'))
check(existsSync(owf), `there is no ${owf}: cargo build, or give its path`)

const scratch = mkdtempSync(join(tmpdir(), 'owf-inspector-'))
try {
  const bin = installed(INSPECTOR)
  const env = sealed(scratch, `${bin}:${process.env.PATH}`)
  const inspect = async (era, args) => {
    const all = ['--cli', '-e', `OWF_HOME=${join(scratch, 'store')}`, '-e', 'OWF_CONFIG=none', owf, 'mcp']
    const got = await run(join(bin, 'mcp-inspector'), [...all, '--protocol-era', era, ...args], { env, cwd: scratch })
    const step = `inspector ${era}: ${args.join(' ')}`
    check(got.code === 0, `${step} ended with ${got.code}`, got.output)
    console.log(`${step}: ok`)
    return got
  }
  for (const era of ['legacy', 'modern']) {
    const strict = await inspect(era, ['--method', 'tools/list', '--strict'])
    // It warns of values that may be anything, which is what a workflow's output is. Errors end it with 6.
    console.log(strict.errors.match(/\d+ errors?, \d+ warnings?.*/)?.[0] ?? 'no warnings')
    const { tools } = JSON.parse(strict.printed)
    check(tools.length >= 18, `only ${tools.length} tools are listed`)
    for (const method of ['resources/list', 'resources/templates/list', 'prompts/list'])
      await inspect(era, ['--method', method])
    const called = await inspect(era, ['--method', 'tools/call', '--tool-name', 'owf_list_runs'])
    check(JSON.parse(called.printed).structuredContent.runs.length === 0, 'owf_list_runs lists runs of a new store')
  }
  const bounds = ['--load', '--load-requests', '2000', '--load-concurrency', '20', '--load-duration', '120']
  for (const era of ['legacy', 'modern']) {
    const load = await inspect(era, ['--method', 'tools/call', '--tool-name', 'owf_list_runs', ...bounds])
    const { ok, throughput, latencyMs } = JSON.parse(load.printed)
    check(ok === 2000, 'calls failed under load', load.printed)
    console.log(`load, ${era}: ${Math.round(throughput)} calls a second, p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`)
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
