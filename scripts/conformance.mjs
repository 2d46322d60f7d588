#!/usr/bin/env node
// The conformance suite of the Model Context Protocol against `owf mcp`, through stdio-bridge.mjs, since the suite speaks
// HTTP only.
//
// Needs: Node 20 or newer, npm and its registry (npm-cache.mjs says what is installed, and where), a built owf.
// Does:  runs every server scenario that a revision of the protocol requires, for 2025-11-25 and 2026-07-28, and compares
//        with the list of expected failures (conformance-expected-REVISION.yaml): a failure that is not listed, and a listed one
//        that passes, both fail. docs/conformance.md says why each one is listed.
// Use:   node scripts/conformance.mjs [PATH_OF_OWF]         default: target/debug/owf. Ends with 0 or with what is wrong.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CONFORMANCE, check, installed, run, sealed } from './npm-cache.mjs'
import { startBridge } from './stdio-bridge.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const target = process.env.CARGO_TARGET_DIR ?? join(here, '..', 'target')
const owf = resolve(process.argv[2] ?? join(target, 'debug', 'owf'))
check(existsSync(owf), `there is no ${owf}: cargo build, or give its path`)

const scratch = mkdtempSync(join(tmpdir(), 'owf-conformance-'))
try {
  const bin = installed(CONFORMANCE)
  const env = sealed(scratch, `${bin}:${process.env.PATH}`, { OWF_HOME: join(scratch, 'store') })
  for (const revision of ['2025-11-25', '2026-07-28']) {
    const bridge = await startBridge([owf, 'mcp'], { env, cwd: scratch })
    try {
      const expected = join(here, `conformance-expected-${revision}.yaml`)
      const args = ['server', '--url', bridge.url, '--requirements', revision, '--expected-failures', expected]
      const got = await run(join(bin, 'conformance'), args, { env, cwd: scratch, seconds: 600 })
      console.log(got.printed.slice(got.printed.indexOf('SUMMARY')))
      check(got.code === 0, `conformance ${revision} ended with ${got.code}`, got.output)
      console.log(`conformance ${revision}: as expected`)
    } finally {
      await bridge.close()
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
