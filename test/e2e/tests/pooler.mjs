// Through pgbouncer in transaction mode, with DISCARD ALL after each transaction, nothing is different: no identity and
// no count stays with a connection.
import { connect, freshAddress } from '../lib/clients.mjs'
import { session } from '../lib/database.mjs'
import { passed, refused } from '../lib/expect.mjs'
import { userToken } from '../lib/jwt.mjs'
import { configure, setLimit } from '../lib/rules.mjs'
import { fail, is, skip } from '../lib/tap.mjs'

const users = ['e1', 'e2'].map((end) => userToken(`5f0c1a7e-7e57-4000-8000-0000000000${end}`))
const read = (db) => db.from('messages').select('body').limit(1)
const login = (db) => db.rpc('login', { email: 'a@example.com', password: 'wrong' })

async function oneCount(pooled, direct) {
  const limit = 'shared'
  await configure({ [limit]: { max_hits: 4 } }, [{ path: '/messages', limits: [limit] }])
  const peer = freshAddress()
  const through = (gateway) => connect(gateway, { peer }).send(read)
  passed(await through(pooled), { limit, q: 4, r: 3 }, 'pgbouncer: the first call')
  passed(await through(direct), { limit, q: 4, r: 2 }, 'pgbouncer: a direct connection counts on')
  passed(await through(pooled), { limit, q: 4, r: 1 }, 'pgbouncer: and back')
  passed(await through(pooled), { limit, q: 4, r: 0 }, 'pgbouncer: the last unit')
  refused(await through(pooled), { limit, q: 4 }, 'pgbouncer: over the limit')
  refused(await through(direct), { limit, q: 4 }, 'pgbouncer: over the limit without it as well')
  await setLimit(limit, { max_hits: 5 })
  passed(await through(pooled), { limit, q: 5, r: 0 }, 'pgbouncer: a changed limit holds at the next request')
}

// Clients meet on two server connections; nobody is taken for somebody else.
async function manyClients(pooled) {
  const limit = 'mixed'
  await configure({ [limit]: { max_hits: 5 } }, [{ path: '/rpc/login', limits: [limit], keyed_by: 'user' }])
  const clients = [
    ...users.map((token) => connect(pooled, { token, peer: '203.0.113.50' })),
    connect(pooled, { peer: '203.0.113.51' }),
    connect(pooled, { peer: '203.0.113.52' }),
  ]
  const all = clients.map(({ send }) =>
    Promise.all(Array.from({ length: 12 }, () => send(login).then(({ status }) => status))),
  )
  for (const [i, statuses] of (await Promise.all(all)).entries())
    is(
      statuses.filter((status) => status === 200).length,
      5,
      `pgbouncer: of 12 calls at once client ${i + 1} gets its 5`,
    )
}

async function whoAmI(pooled) {
  const peers = Array.from({ length: 12 }, freshAddress)
  const told = await Promise.all(
    peers.map((peer) =>
      connect(pooled, { peer })
        .send((db) => db.schema('pattyly').rpc('client_ip'))
        .then(({ data }) => data),
    ),
  )
  is(told, peers, 'pgbouncer: client_ip() tells each client its own address')
}

async function cleanSession() {
  await configure({ discarded: { max_hits: 3 } }, [])
  const call = "SELECT pattyly.allow('discarded', 'k')"
  const told = await session([call, 'DISCARD ALL', call, call, 'DISCARD ALL', call])
  is(told.split('\n'), ['t', 't', 't', 'f'], 'DISCARD ALL gives no quota back')
}

export default async function pooler({ direct, pooled }) {
  await cleanSession()
  if (pooled === undefined) {
    const reason = 'pgbouncer is not installed'
    if (process.env.CI === 'true') fail('pgbouncer is there', reason)
    else skip('the same through pgbouncer', `not covered: ${reason}`)
    return
  }
  await oneCount(pooled, direct)
  await manyClients(pooled)
  await whoAmI(pooled)
}
