// The nightly upload: backups that are stored in S3 and read from there again by the programs that the docs name, with
// credentials in the home directory of the server's account and nothing else.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { is, note, ok, skip } from '../lib/tap.mjs'
import { startS3 } from '../lib/stack.mjs'

const run = promisify(execFile)
const bucket = 'nightly'
const database = 'archive_app'
const home = process.env.HOME
const dump = ['pg_dump', '--format=custom', '--no-password', '--snapshot=%s']

const write = (file, text) => {
  mkdirSync(path.dirname(path.join(home, file)), { recursive: true })
  writeFileSync(path.join(home, file), text, { mode: 0o600 })
}

// How each is told where the server is and who we are, and its three commands. Retries only take time here.
const tools = {
  aws: {
    location: `s3://${bucket}/%f`,
    credentials(key, secret) {
      write('.aws/credentials', `[default]\naws_access_key_id = ${key}\naws_secret_access_key = ${secret}\n`)
      write('.aws/config', '[default]\nregion = us-east-1\nmax_attempts = 1\nrequest_checksum_calculation = when_required\n')
    },
    commands: (host) => ({
      store: ['aws', '--endpoint-url', `http://${host}`, 's3', 'cp', '--only-show-errors', '-', `s3://${bucket}/%f`],
      fetch: ['aws', '--endpoint-url', `http://${host}`, 's3', 'cp', '--only-show-errors', '%o', '-'],
      remove: ['aws', '--endpoint-url', `http://${host}`, 's3', 'rm', '--only-show-errors', '%o'],
    }),
  },
  rclone: {
    location: `store:${bucket}/%f`,
    credentials(key, secret, host) {
      write(
        '.config/rclone/rclone.conf',
        `[store]\ntype = s3\nprovider = Other\naccess_key_id = ${key}\nsecret_access_key = ${secret}\n` +
          `endpoint = http://${host}\nregion = us-east-1\n`,
      )
    },
    commands: () => ({
      store: ['rclone', 'rcat', '--retries=1', '--low-level-retries=1', `store:${bucket}/%f`],
      fetch: ['rclone', 'cat', '%o'],
      remove: ['rclone', 'deletefile', '%o'],
    }),
  },
  s3cmd: {
    location: `s3://${bucket}/%f`,
    credentials(key, secret, host) {
      write(
        '.s3cfg',
        `[default]\naccess_key = ${key}\nsecret_key = ${secret}\nhost_base = ${host}\nhost_bucket = ${host}\nuse_https = False\n` +
          'max_retries = 1\n',
      )
    },
    commands: () => ({
      store: ['s3cmd', 'put', '--no-progress', '--quiet', '-', `s3://${bucket}/%f`],
      fetch: ['s3cmd', 'get', '--no-progress', '--quiet', '%o', '-'],
      remove: ['s3cmd', 'del', '--quiet', '%o'],
    }),
  },
}

// Each text at top level, as a superuser: what it printed, and what it complained of.
async function psql(texts, name = database) {
  const args = ['-qXAt', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-U', 'supabase_admin', '-d', name]
  try {
    const { stdout, stderr } = await run('psql', [...args, ...texts.flatMap((text) => ['-c', text])], { timeout: 60000 })
    return { failed: false, out: stdout.trimEnd(), said: stderr }
  } catch (error) {
    return { failed: true, out: error.stdout?.trimEnd(), said: error.stderr ?? String(error) }
  }
}

const literal = (text) => `'${text.replaceAll("'", "''")}'`
const setting = (name, value) => `SET pattyly.${name} = ${literal(typeof value === 'string' ? value : JSON.stringify(value))}`
const settings = (tool, { store, fetch }, sources) => [
  'SET client_min_messages = warning',
  setting('backup_directory', path.join(home, 'fetched')),
  setting('backup_location', tool.location),
  setting('backup_stages', [...sources, store]),
  setting('backup_fetch_stages', [fetch]),
]

const row = async (label) => JSON.parse((await psql([`SELECT to_jsonb(b) FROM pattyly.backups AS b WHERE label = '${label}'`])).out)
const objectOf = (s3, label) => path.join(s3.objects, `${label}.dump._S3rver_object`)
const sha256 = (file) => `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`

async function until(condition) {
  for (let tries = 0; tries < 200 && !(await condition()); tries += 1) await sleep(50)
}

// 12 MB that do not compress: more than one part of an upload.
async function makeDatabase() {
  mkdirSync(path.join(home, 'fetched'), { recursive: true })
  await psql([`CREATE DATABASE ${database}`], 'postgres')
  await psql([
    'CREATE EXTENSION pattyly',
    'CREATE TABLE letters (id integer PRIMARY KEY, body bytea NOT NULL)',
    `INSERT INTO letters SELECT i, (SELECT string_agg(sha256((i || ' ' || j)::bytea), '') FROM generate_series(1, 40) AS j)
     FROM generate_series(1, 10000) AS i`,
  ])
}

async function works(s3, name, tool, commands) {
  const label = `${name}-good`
  const { failed, said } = await psql([...settings(tool, commands, [dump]), `CALL pattyly.run_backup('${label}')`])
  is([failed, said], [false, ''], `${name}: run_backup() stores a dump`)
  const { state, bytes, checksum, location, annotations, manifest } = await row(label)
  is([state, location], ['done', tool.location.replace('%f', `${label}.dump`)], `${name}: the row says that it is done, and where it is`)
  is(sha256(objectOf(s3, label)), checksum, `${name}: the object is what passed by`)
  ok(bytes > 12e6, `${name}: all of it`, bytes)
  is(manifest, { 'public.letters': 10000 }, `${name}: its rows were counted`)
  is(annotations.unread, undefined, `${name}: pg_restore has read it on its way`)
  const verified = await psql([...settings(tool, commands, [dump]), 'CALL pattyly.verify_backup()'])
  is([verified.failed, verified.said], [false, ''], `${name}: verify_backup() fetches and restores it`)
  is((await row(label)).verify_result.rows, 10000, `${name}: with all its rows`)
  is(readdirSync(path.join(home, 'fetched')), [], `${name}: nothing of it stays on the server`)
}

async function noticesChange(s3, name, tool, commands) {
  const label = `${name}-good`
  const object = objectOf(s3, label)
  const whole = readFileSync(object)
  const changed = Buffer.from(whole)
  changed[changed.length >> 1] ^= 1
  writeFileSync(object, changed)
  const { id } = await row(label)
  const { failed, said } = await psql([...settings(tool, commands, [dump]), `CALL pattyly.verify_backup(${id})`])
  ok(failed && /did not pass: what is stored has another checksum/.test(said), `${name}: a bit that changed in the bucket is noticed`, said)
  is((await row(label)).state, 'suspect', `${name}: the backup is suspect`)
  writeFileSync(object, whole)
}

async function removes(s3, name, tool, { remove }) {
  const label = `${name}-good`
  const { location } = await row(label)
  // As the server runs it: no more of an environment than that.
  const [program, ...args] = remove.map((argument) => argument.replace('%o', location))
  await run(program, args, { env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: home }, timeout: 30000 })
  ok(!existsSync(objectOf(s3, label)), `${name}: the stage that removes it does`)
}

// The server looks at the key of a request only; whether a signature fits it does not say.
async function refusesStranger(s3, name, tool, commands) {
  const label = `${name}-stranger`
  tool.credentials('STRANGER', 'wrong-x1Y2-secret', s3.host)
  const { failed, said } = await psql([...settings(tool, commands, [dump]), `CALL pattyly.run_backup('${label}')`])
  tool.credentials('S3RVER', 'S3RVER', s3.host)
  const text = JSON.stringify(await row(label))
  const { state, error } = await row(label)
  is([failed, state], [true, 'failed'], `${name}: wrong credentials are a failure`)
  ok(/InvalidAccessKeyId|403|Forbidden/.test(error), `${name}: the reason is the tool's`, error)
  ok(!/x1Y2/.test(text) && !/x1Y2/.test(said), `${name}: without the secret`, said)
  ok(!existsSync(objectOf(s3, label)), `${name}: there is no object`)
}

// Half a dump must not come to lie there under the name of a whole one.
async function storesNoHalf(s3, name, tool, commands) {
  const label = `${name}-half`
  const half = ['sh', '-c', 'head -c 9000000 /dev/zero; exit 3']
  const { said } = await psql([...settings(tool, commands, [half]), `CALL pattyly.run_backup('${label}')`])
  ok(/stage 1 of the backup failed: sh exited with status 3/.test(said), `${name}: a stage before it fails`, said)
  const { state, exit_status: status } = await row(label)
  is([state, status], ['failed', 3], `${name}: so does the backup`)
  ok(!existsSync(objectOf(s3, label)), `${name}: what was uploaded is no object`)
}

async function outlivesServer(s3, name, tool, commands) {
  const label = `${name}-killed`
  const slow = ['sh', '-c', 'head -c 20000000 /dev/zero; sleep 3; head -c 20000000 /dev/zero']
  const call = psql([...settings(tool, commands, [slow]), `CALL pattyly.run_backup('${label}')`])
  await until(async () => (await psql([`SELECT state FROM pattyly.backups WHERE label = '${label}'`])).out === 'running')
  await sleep(1500)
  s3.kill()
  const { failed } = await call
  const { state, error } = await row(label)
  is([failed, state], [true, 'failed'], `${name}: an S3 server that dies half-way is a failure`)
  ok(new RegExp(`stage 2 of the backup failed: ${name} exited`).test(error), `${name}: of the stage that uploads`, error)
  await s3.restart()
  ok(!existsSync(objectOf(s3, label)), `${name}: there is no object`)
}

export default async function test() {
  await makeDatabase()
  const s3 = await startS3(bucket)
  for (const [name, tool] of Object.entries(tools)) {
    if (!existsSync(`/usr/bin/${name}`)) {
      skip(`${name} uploads and fetches`, 'it is not installed')
      continue
    }
    const began = Date.now()
    const commands = tool.commands(s3.host)
    tool.credentials('S3RVER', 'S3RVER', s3.host)
    // s3cmd takes long to give up: what goes wrong is left to the others.
    const steps = name === 's3cmd' ? [works, removes] : [works, noticesChange, removes, refusesStranger, storesNoHalf, outlivesServer]
    for (const step of steps) await step(s3, name, tool, commands)
    note(`${name}: ${Date.now() - began} ms`)
  }
}
