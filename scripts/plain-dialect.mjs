// Runs every script of fixtures/workflows and fixtures/scripts in plain Node with only the hooks of the dialect, without
// the global `owf`: what is bundled must stay portable. Answers are generated from the schemas. No dependencies.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const unhappy = process.argv.includes('--unhappy')
const EMPTY = /missing|error|fail|blocker|conflict|unresolved|skipped|reject|deferred|remaining/i
const NEGATIVE = /blocked|failed|refuted|error|abort|skip|stale|duplicate|invalid|needs|missing|issue/i
// Older Node lacks what the dialect has.
const MISSING_HERE = `Object.groupBy ??= (list, keyOf) => {
  const groups = Object.create(null)
  for (const entry of list) (groups[keyOf(entry)] ??= []).push(entry)
  return groups
}`
const GOOD = /^(pass|ok|approved|complete|valid|yes)$/i

function sample(schema, key, n, defs, depth = 0) {
  if (schema.$ref) return sample(defs[schema.$ref.split('/').pop()], key, n, defs, depth + 1)
  if ('const' in schema) return schema.const
  if (schema.enum) return unhappy ? schema.enum.at(-1) : (schema.enum.find(v => GOOD.test(v)) ?? schema.enum[0])
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map(s => sample(s, key, n, defs, depth)))
  const branches = schema.oneOf ?? schema.anyOf
  if (branches) return sample(branches[0], key, n, defs, depth)
  const type = [schema.type].flat().find(t => t !== 'null')
  switch (type) {
    case 'object': {
      const names = Object.keys(schema.properties ?? {}).filter(k => depth < 4 || schema.required?.includes(k))
      return Object.fromEntries(names.map(k => [k, sample(schema.properties[k], k, n, defs, depth + 1)]))
    }
    case 'array': {
      const wanted = EMPTY.test(key) ? 0 : unhappy ? 1 : 2
      const count = Math.max(schema.minItems ?? 0, Math.min(wanted, schema.maxItems ?? wanted))
      return Array.from({ length: count }, (_, i) => sample(schema.items ?? { type: 'string' }, key, i + 1, defs, depth + 1))
    }
    case 'integer':
    case 'number':
      return Math.min(Math.max(1, schema.minimum ?? 1), schema.maximum ?? Infinity)
    case 'boolean':
      return NEGATIVE.test(key) === unhappy
    default: {
      if (/url/i.test(key)) return `https://example.com/${key}/${n}`
      if (schema.pattern) return `sample/${n}`
      const text = `sample ${key} ${n}`.padEnd(schema.minLength ?? 0, '0')
      return text.slice(0, schema.maxLength ?? text.length)
    }
  }
}

const named = new Map()
function load(path) {
  const source = readFileSync(path, 'utf8')
  const body = source.replace(/^#!.*/, '').replace(/^export (?=const meta\b)/m, '')
  // `meta` is not visible in the body: read it first, then give the body a block of its own.
  const start = body.indexOf('const meta')
  return { path, body: body.slice(0, start) + body.slice(start).replace('const meta', 'const __meta') }
}

async function run(script, args, nested = false) {
  let calls = 0
  const unhandled = []
  const agent = async (prompt, opts) => {
    calls += 1
    await null
    if (!opts?.schema) return `Answer to ${opts?.label ?? String(prompt).slice(0, 60)}`
    if (opts.schema.type !== 'object') throw new Error('the schema must say type: "object"')
    return fromJson(JSON.stringify(sample(opts.schema, 'answer', 1, opts.schema.$defs ?? {})))
  }
  const slot = promise => promise.catch(error => (unhandled.push(String(error?.message ?? error)), null))
  const parallel = async thunks => {
    if (!Array.isArray(thunks) || thunks.some(t => typeof t !== 'function')) throw new TypeError('parallel takes functions')
    await null
    return Promise.all(thunks.map(t => slot((async () => t())())))
  }
  const pipeline = async (items, ...stages) => {
    if (!Array.isArray(items) || stages.some(s => typeof s !== 'function')) throw new TypeError('pipeline takes stages')
    const one = async (item, index) => {
      const original = await item
      let value = original
      for (const stage of stages) {
        if (value === null) return null
        value = await stage(value, original, index)
      }
      return value
    }
    return Promise.all(items.map((item, index) => slot(one(item, index))))
  }
  const workflow = async (reference, childArgs) => {
    if (nested) throw new Error('a child cannot call a workflow')
    const child = typeof reference === 'string' ? named.get(reference) : load(join(root, reference.scriptPath))
    if (!child) throw new Error(`no workflow is named ${reference}`)
    const result = await run(child, childArgs, true)
    calls += result.calls
    return result.value
  }
  const quiet = () => undefined
  const context = vm.createContext({
    agent, parallel, pipeline, workflow, args, setTimeout, clearTimeout, URL, phase: quiet, log: quiet,
    console: { log: quiet, info: quiet, debug: quiet, warn: quiet, error: quiet },
    budget: Object.freeze(Object.assign(Object.create(null), { total: null, spent: () => 0, remaining: () => Infinity })),
  })
  // Answers are values of the script's own realm.
  const fromJson = vm.runInContext('JSON.parse', context)
  vm.runInContext(MISSING_HERE, context)
  vm.runInContext('Date.now = Math.random = () => { throw new Error("not available") }', context)
  const main = vm.runInContext(`(async () => { "use strict"; ${script.body}\n})`, context, { filename: script.path })
  const value = await main()
  return { calls, swallowed: unhandled.length, value: value === undefined ? undefined : JSON.parse(JSON.stringify(value)) }
}

process.on('unhandledRejection', () => undefined)
const paths = ['fixtures/workflows', 'fixtures/scripts'].flatMap(dir =>
  readdirSync(join(root, dir)).filter(f => f.endsWith('.js')).sort().map(f => join(root, dir, f)),
)
for (const path of paths) {
  const name = /name: *['"]([^'"]+)/.exec(readFileSync(path, 'utf8'))[1]
  named.set(name, load(path))
}
let failed = 0
for (const [name, script] of named) {
  try {
    const { calls, swallowed, value } = await run(script, undefined)
    if (calls === 0) throw new Error('no agent was called')
    if (value === undefined || value === null) throw new Error('nothing was returned')
    console.log(`ok    ${name}: ${calls} calls, ${swallowed} swallowed`)
    if (process.argv.includes('--show')) console.log(JSON.stringify(value).slice(0, 500))
  } catch (error) {
    failed += 1
    console.log(`FAIL  ${name}: ${error.stack}`)
  }
}
console.log(`${named.size} scripts, ${failed} failed`)
process.exit(failed === 0 && named.size === paths.length ? 0 : 1)
