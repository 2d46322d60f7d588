// The outside programs that the scripts beside this file run against owf: installed from npm, at pinned versions, into a
// cache outside the repository, once. Nothing of them is part of owf.
//
// Needs: Node 20 or newer, npm, and the npm registry for what is not in the cache yet. Some of the programs want a newer
//        Node than this one: `node@22` comes from npm, too.
// Does:  `installed([...])` gives the directory of the executables. OWF_CLIENTS_CACHE moves the cache. As a program it
//        installs everything that the scripts use: node scripts/npm-cache.mjs

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** What is tested against; `npm view NAME version` tells whether there is something newer. Users have older ones, too. */
export const VERSIONS = {
  claude: `@anthropic-ai/claude-code@${process.env.OWF_CLAUDE_VERSION || '2.1.332'}`,
  codex: `@openai/codex@${process.env.OWF_CODEX_VERSION || '0.171.0'}`,
  inspector: '@modelcontextprotocol/inspector@2.12.0',
  conformance: '@modelcontextprotocol/conformance@0.2.0-alpha.12',
  opencode: 'opencode-ai@1.18.33',
  gemini: '@google/gemini-cli@0.61.0',
  qwen: '@qwen-code/qwen-code@0.24.4',
  node: 'node@22.23.3',
  sdk: '@modelcontextprotocol/sdk@1.32.2',
}

const cache = () =>
  process.env.OWF_CLIENTS_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'owf-clients')

/** What each script installs. */
export const CLIENTS = ['claude', 'codex', 'node']
/** Agents that owf knows by a table: installed only where they are asked for. */
export const MORE_AGENTS = ['opencode', 'gemini', 'qwen', 'node']
export const INSPECTOR = ['inspector', 'node']
export const CONFORMANCE = ['conformance', 'node']

/** The directory with the executables of some of VERSIONS; installs what is missing. */
export const installed = names => {
  const packages = names.map(name => VERSIONS[name])
  const place = join(cache(), packages.join('+').replaceAll('/', '-'))
  const bin = join(place, 'node_modules', '.bin')
  if (existsSync(bin)) return bin
  mkdirSync(cache(), { recursive: true })
  // Installed beside its place and moved there when it is complete, so that a broken download is never taken for one.
  const partial = `${place}.${process.pid}`
  console.log(`installing ${packages.join(' ')}`)
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  const npm = spawnSync('npm', ['install', '--prefix', partial, ...quiet, ...packages], { stdio: 'inherit' })
  if (npm.status !== 0) {
    rmSync(partial, { recursive: true, force: true })
    throw new Error(`npm install ${packages.join(' ')} failed`)
  }
  renameSync(partial, place)
  return bin
}

/** Runs a program to its end and gives exit code and output, together and apart. It is killed with its process group when it takes too long. */
export const run = (program, args, { env, cwd, seconds = 120 } = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let [output, printed, errors] = ['', '', '']
    let late = false
    child.stdout.on('data', chunk => ((output += chunk), (printed += chunk)))
    child.stderr.on('data', chunk => ((output += chunk), (errors += chunk)))
    const timer = setTimeout(() => {
      late = true
      process.kill(-child.pid, 'SIGKILL')
    }, seconds * 1000)
    child.once('error', reject)
    child.once('close', code => {
      clearTimeout(timer)
      resolve({ code: late ? `no end within ${seconds} s` : code, output, printed, errors })
    })
  })

/** Fails loudly: the scripts are checks. */
export const check = (holds, message, detail = '') => {
  if (!holds) throw new Error(detail === '' ? message : `${message}\n${detail}`)
}

/** An environment that reaches nothing but the loopback interface, as far as programs keep to the proxy variables. */
export const sealed = (home, path, more = {}) => ({
  PATH: path,
  HOME: home,
  LANG: 'C.UTF-8',
  HTTP_PROXY: 'http://127.0.0.1:9',
  HTTPS_PROXY: 'http://127.0.0.1:9',
  NO_PROXY: '127.0.0.1,localhost',
  OWF_CONFIG: 'none',
  ...more,
})

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  for (const names of [CLIENTS, INSPECTOR, CONFORMANCE]) console.log(installed(names))
