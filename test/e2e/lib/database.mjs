// SQL as somebody who is connected straight to the cluster.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

// One session; each text is a transaction. Rows as lines of columns with "|" between them.
export async function session(texts, user = 'postgres') {
  const { stdout } = await run('psql', [
    '-qXAt',
    '-v',
    'ON_ERROR_STOP=1',
    '-U',
    user,
    ...texts.flatMap((text) => ['-c', text]),
  ])
  return stdout.trimEnd()
}

export const sql = (text, user) => session([text], user)

export const superuser = (text) => sql(text, 'supabase_admin')

const quote = (value) => (value === null ? 'NULL' : `'${String(value).replaceAll("'", "''")}'`)

// A literal for each value: query`SELECT pattyly.drop_limit(${name})`
export const query = (parts, ...values) => sql(String.raw({ raw: parts }, ...values.map(quote)))

// A setting of the whole server; the caller waits until those who serve requests have seen it.
export async function setForServer(name, value) {
  await superuser(`ALTER SYSTEM SET ${name} = ${quote(value)}`)
  await superuser('SELECT pg_reload_conf()')
}

export async function resetForServer(name) {
  await superuser(`ALTER SYSTEM RESET ${name}`)
  await superuser('SELECT pg_reload_conf()')
}
