// What the administrator changes holds for the next request, on every pooled connection.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, freshAddress } from '../lib/clients.mjs'
import { query, sql } from '../lib/database.mjs'
import { passed, refused, uncounted } from '../lib/expect.mjs'
import { configure, limitStatement, setLimit } from '../lib/rules.mjs'
import { is } from '../lib/tap.mjs'

const read = (db) => db.from('notes').select()
const pool = 8 // more requests at once than PostgREST has connections

const from = (gateway, peer) => connect(gateway, { peer }).send(read)
const atOnce = (gateway, peer) => Promise.all(Array.from({ length: pool }, () => from(gateway, peer)))
const policies = (answers) => [...new Set(answers.map(({ headers }) => headers['ratelimit-policy']))]
const statuses = (answers) => answers.map(({ status }) => status).sort()

async function changedLimit(gateway) {
  const limit = 'changing'
  await configure({ [limit]: { max_hits: 100 } }, [{ path: '/notes', limits: [limit] }])
  await atOnce(gateway)
  await setLimit(limit, { max_hits: 50 })
  is(
    policies(await atOnce(gateway)),
    ['"changing";q=50;w=3600'],
    'set_limit: every connection has the new limit at the next request',
  )

  const peer = freshAddress()
  await setLimit(limit, { max_hits: 2 })
  passed(await from(gateway, peer), { limit, q: 2, r: 1 }, 'limit of 2')
  passed(await from(gateway, peer), { limit, q: 2, r: 0 }, 'limit of 2, second call')
  refused(await from(gateway, peer), { limit, q: 2 }, 'limit of 2, third call')
  await setLimit(limit, { max_hits: 4 })
  passed(await from(gateway, peer), { limit, q: 4, r: 1 }, 'raised to 4: what was used stays used')
  await setLimit(limit, { max_hits: 3 })
  refused(await from(gateway, peer), { limit, q: 3 }, 'lowered to 3: used up')

  await sql(`BEGIN; ${limitStatement(limit, { max_hits: 1000 })}; ROLLBACK`)
  is(policies(await atOnce(gateway)), ['"changing";q=3;w=3600'], 'a change that is rolled back changes nothing')
}

// Requests never stop while the rule changes; each is answered under the old one or the new one.
async function changedUnderLoad(gateway) {
  const limit = 'busy'
  await configure({ [limit]: { max_hits: 1000000 } }, [{ path: '/notes', limits: [limit] }])
  const seen = []
  let running = true
  const keepAsking = async () => {
    while (running) {
      const { status, headers } = await from(gateway)
      seen.push(`${status} ${headers['ratelimit-policy']}`)
    }
  }
  const load = Array.from({ length: pool }, keepAsking)
  for (let i = 1; i <= 10; i += 1) await setLimit(limit, { max_hits: i % 2 === 0 ? 1000000 : 999999 })
  await setLimit(limit, { max_hits: 999998 })
  is(
    policies(await atOnce(gateway)),
    ['"busy";q=999998;w=3600'],
    'under load: what was committed before a request holds for it',
  )
  running = false
  await Promise.all(load)
  const possible = [999998, 999999, 1000000].map((q) => `200 "busy";q=${q};w=3600`)
  is(
    seen.filter((one) => !possible.includes(one)),
    [],
    `under load: each of ${seen.length} answers is of one rule or the other`,
  )
}

// Of many requests at once exactly as many pass as there are units.
async function exact(gateway) {
  const limit = 'crowd'
  await configure({ [limit]: { max_hits: 7 } }, [{ path: '/notes', limits: [limit] }])
  const peer = freshAddress()
  const answers = await Promise.all(Array.from({ length: 40 }, () => from(gateway, peer)))
  is(answers.filter(({ status }) => status === 200).length, 7, '40 requests at once under a limit of 7: 7 pass')
  is(answers.filter(({ status }) => status === 429).length, 33, 'and 33 are refused')
}

async function modes(gateway) {
  const limit = 'mode'
  await configure({ [limit]: { max_hits: 1, mode: 'shadow' } }, [{ path: '/notes', limits: [limit] }])
  const peer = freshAddress()
  is(
    statuses([await from(gateway, peer), await from(gateway, peer), await from(gateway, peer)]),
    [200, 200, 200],
    'shadow lets pass',
  )
  is(
    await sql("SELECT shadow_denied > 0, denied FROM pattyly.limit_stats WHERE limit_name = 'mode'"),
    't|0',
    'shadow is told in limit_stats',
  )
  await setLimit(limit, { max_hits: 1, mode: 'enforce' })
  is((await from(gateway, peer)).status, 429, 'enforced from the next request on')
  await setLimit(limit, { max_hits: 1, mode: 'off' })
  is((await from(gateway, peer)).status, 200, 'off lets pass')
  await setLimit(limit, { max_hits: 0 })
  is(statuses(await atOnce(gateway)), Array(pool).fill(429), 'limit 0 refuses all')
}

async function blockedKey(gateway) {
  const limit = 'blocking'
  await configure({ [limit]: { max_hits: 100 } }, [{ path: '/notes', limits: [limit] }])
  const peer = freshAddress()
  passed(await from(gateway, peer), { limit, q: 100, r: 99 }, 'before the block')
  await query`SELECT pattyly.block_key(${limit}, pattyly.client_key(${peer}), '1 hour', 'test')`
  const answer = await from(gateway, peer)
  is([answer.status, answer.headers['ratelimit-policy']], [429, '"blocking";q=100;w=3600'], 'a blocked key is refused')
  is(Number(answer.headers['retry-after']) > 3500, true, 'until the block ends')
  passed(await from(gateway), { limit, q: 100, r: 99 }, 'others are not')
  is(await query`SELECT pattyly.unblock_key(${limit}, ${peer})`, 't', 'unblock_key')
  passed(await from(gateway, peer), { limit, q: 100, r: 98 }, 'after the block')
  is(await query`SELECT pattyly.reset_limit(${limit}, ${peer})`, 't', 'reset_limit')
  passed(await from(gateway, peer), { limit, q: 100, r: 99 }, 'after the reset')
}

const list = (network, action, limit_name = null, expires_at = null) =>
  query`INSERT INTO pattyly.ip_list (network, action, limit_name, expires_at) VALUES (${network}, ${action}, ${limit_name}, ${expires_at})`

async function lists(gateway) {
  const limit = 'listed'
  await configure({ [limit]: { max_hits: 1 }, 'not-listed': { max_hits: 1 } }, [
    { path: '/notes', limits: [limit] },
    { path: '/messages', limits: ['not-listed'] },
  ])
  const readOther = (peer) => connect(gateway, { peer }).send((db) => db.from('messages').select('body').limit(1))

  await list('192.0.2.0/28', 'deny')
  const denied = await from(gateway, '192.0.2.1')
  is(
    [denied.status, denied.reason, denied.headers['retry-after']],
    [429, 'Too Many Requests', undefined],
    'deny: refused, no waiting helps',
  )
  const { details, ...body } = JSON.parse(denied.text)
  is([body.code, body.message], ['rate_limited', 'Accès refusé.'], 'deny: the body')
  is(/^(listed: )?denied$/.test(details), true, `deny: the body says why (${details})`)
  is((await readOther('192.0.2.1')).status, 429, 'deny without a limit: under every limit')
  const price = (db) => db.rpc('quote_price', { product: 'tea' })
  is(
    (await connect(gateway, { peer: '192.0.2.1' }).send(price)).status,
    429,
    'deny without a limit: where there is no route, too',
  )
  is((await connect(gateway, { peer: '192.0.2.16' }).send(price)).status, 200, 'where there is no route others pass')
  is((await from(gateway, '::ffff:192.0.2.1')).status, 429, 'deny: the mapped address, too')
  is((await from(gateway, '192.0.2.16')).status, 200, 'deny: not the next network')

  await list('192.0.2.2/32', 'allow')
  for (let i = 0; i < 3; i += 1)
    is((await from(gateway, '192.0.2.2')).status, 200, `allow in a denied network passes, uncounted (${i + 1})`)

  await list('192.0.2.3/32', 'allow', limit)
  is((await from(gateway, '192.0.2.3')).status, 200, 'allow under one limit')
  is((await readOther('192.0.2.3')).status, 429, 'is still denied under the other')

  const soon = await sql("SELECT clock_timestamp() + interval '1 second'")
  await list('192.0.2.32/32', 'deny', null, soon)
  is((await from(gateway, '192.0.2.32')).status, 429, 'deny that expires: before')
  await sleep(1100)
  is((await from(gateway, '192.0.2.32')).status, 200, 'deny that expires: after')

  await list('2001:db8:bad::/48', 'deny')
  is((await from(gateway, '2001:db8:bad:1::1')).status, 429, 'deny of an IPv6 network')
  await sql('DELETE FROM pattyly.ip_list')
  is((await from(gateway, '192.0.2.1')).status, 200, 'an empty list denies nobody')
}

export default async function live({ direct }) {
  await changedLimit(direct)
  await changedUnderLoad(direct)
  await exact(direct)
  await modes(direct)
  await blockedKey(direct)
  await lists(direct)
  await configure({}, [])
  uncounted(await from(direct), 'no route, no limit')
}
