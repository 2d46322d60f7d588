// Installs what the servers in benches/peers need, into the cache of npm-cache.mjs, and prints how to start them as JSON:
// {"node": {"program", "args", "env"}, "python": {...}}. `cargo bench` calls it.
//
// Needs: Node 20 or newer with npm, Python 3 with pip, and their registries for what is not in the cache yet.

import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installed } from './npm-cache.mjs'

const PYTHON_PACKAGE = 'mcp==2.3.0'
// The installer tells of its work on stdout, which is for the answer here.
console.log = console.error

const peers = join(dirname(fileURLToPath(import.meta.url)), '..', 'benches', 'peers')
const modules = dirname(dirname(installed(['sdk'])))
const python = join(dirname(modules), PYTHON_PACKAGE.replace('==', '-'))
if (!existsSync(python)) {
  const partial = `${python}.${process.pid}`
  const pip = spawnSync('python3', ['-m', 'pip', 'install', '--quiet', '--target', partial, PYTHON_PACKAGE], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (pip.status !== 0) {
    rmSync(partial, { recursive: true, force: true })
    throw new Error(`pip install ${PYTHON_PACKAGE} failed`)
  }
  renameSync(partial, python)
}
const commands = {
  node: { program: 'node', args: [join(peers, 'server.mjs'), modules], env: {} },
  python: { program: 'python3', args: [join(peers, 'server.py')], env: { PYTHONPATH: python } },
}
process.stdout.write(`${JSON.stringify(commands)}\n`)
