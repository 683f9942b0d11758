// Starts the servers, runs the tests in order, stops the servers. test/env/cluster has made the database.
import { readdirSync } from 'node:fs'
import { pgbouncerIsThere, startGateway, startPgbouncer, startPostgrest, stopAll } from './lib/stack.mjs'
import { fail, finish, note } from './lib/tap.mjs'

async function startPooled() {
  if (!pgbouncerIsThere) return undefined
  const pooler = await startPgbouncer()
  // Without statements and a LISTEN that a transaction pooler would lose.
  const settings = { 'db-schemas': 'public, pattyly', 'db-prepared-statements': false, 'db-channel-enabled': false }
  return startGateway(await startPostgrest('pooled', settings, pooler))
}

// direct: as Supabase sets it up. exposed: the administrator has put pattyly and an archive among the API
// schemas, too.
// wrapped: the application has a pre-request function of its own. pooled: pgbouncer in between.
async function startServers() {
  const [direct, exposed, wrapped, pooled] = await Promise.all([
    startPostgrest('direct').then(startGateway),
    startPostgrest('exposed', { 'db-schemas': 'public, pattyly, archive' }).then(startGateway),
    startPostgrest('wrapped', { 'db-config': false, 'db-pre-request': 'public.before_request' }).then(startGateway),
    startPooled(),
  ])
  return { direct, exposed, wrapped, pooled }
}

const wanted = process.argv.slice(2)
const order = [
  'answers',
  'keys',
  'transactions',
  'routes',
  'addresses',
  'live',
  'clock',
  'enforce',
  'privileges',
  'access',
  'access-write',
  'access-rpc',
  'access-tokens',
  'partitions',
  'jobs',
  'backups-s3',
  'pooler',
]
const unknown = wanted.filter((name) => !order.includes(name))
const forgotten = readdirSync(new URL('tests', import.meta.url)).filter(
  (file) => !order.includes(file.replace('.mjs', '')),
)
if (unknown.length + forgotten.length > 0) throw new Error(`no such test: ${[...unknown, ...forgotten]}`)

async function runTests(servers) {
  for (const name of order) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    const began = Date.now()
    try {
      const { default: test } = await import(`./tests/${name}.mjs`)
      await test(servers)
    } catch (error) {
      fail(`${name} comes to its end`, error)
    }
    note(`${name}: ${Date.now() - began} ms`)
  }
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.once(signal, () => stopAll().then(() => process.exit(1)))

try {
  const began = Date.now()
  const servers = await startServers()
  note(`servers: ${Date.now() - began} ms`)
  await runTests(servers)
} catch (error) {
  fail('the servers start', error)
} finally {
  await stopAll()
}
process.exit(finish())
