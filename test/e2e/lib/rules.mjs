// What the administrator configures for a test, and how the servers are seen to have taken it in.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from './clients.mjs'
import { resetForServer, setForServer, sql } from './database.mjs'

const literal = (value) => {
  if (value === null || value === undefined) return 'NULL'
  if (Array.isArray(value)) return `ARRAY[${value.map(literal).join(', ')}]::text[]`
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value)
}

export const limitStatement = (name, { per = '1 hour', algorithm = 'fixed_window', ...rest }) => {
  const named = Object.entries({ name, per, algorithm, ...rest }).map(([key, value]) => `${key} => ${literal(value)}`)
  return `SELECT pattyly.set_limit(${named.join(', ')})`
}

const routeStatement = ({ method, path, limits, keyed_by = 'ip', cost = 1, enabled = true }) =>
  `INSERT INTO pattyly.routes (method, path, limits, keyed_by, cost, enabled) VALUES (${[
    method,
    path,
    limits,
    keyed_by,
    cost,
    enabled,
  ]
    .map(literal)
    .join(', ')})`

// In one transaction: these limits are made or replaced, these routes are all there are.
export const configure = (limits, routes) =>
  sql(
    [
      ...Object.entries(limits).map(([name, rule]) => limitStatement(name, rule)),
      'DELETE FROM pattyly.routes',
      ...routes.map(routeStatement),
    ].join('; '),
  )

export const setLimit = (name, rule) => sql(limitStatement(name, rule))

// A server's setting reaches a session when it reads its next command, some time after the reload was asked for.
async function untilServedWith(gateways, name, wanted) {
  const ask = (gateway) => connect(gateway).send((db) => db.rpc('setting_here', { name }))
  for (let tries = 0; tries < 100; tries += 1) {
    const answers = await Promise.all(gateways.flatMap((gateway) => Array.from({ length: 6 }, () => ask(gateway))))
    if (answers.every(({ data }) => wanted(data))) return
    await sleep(20)
  }
  throw new Error(`${name} does not reach the sessions that serve requests`)
}

// Runs body while the server has this setting.
export async function withSetting(gateways, name, value, body) {
  const before = await sql(`SELECT current_setting('${name}')`, 'supabase_admin')
  try {
    await setForServer(name, value)
    await untilServedWith(gateways, name, (seen) => seen === value)
    await body()
  } finally {
    await resetForServer(name)
    await untilServedWith(gateways, name, (seen) => seen === before)
  }
}
