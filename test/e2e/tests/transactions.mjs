// A request counts whatever becomes of its transaction.
import { connect, freshAddress, rawRequest } from '../lib/clients.mjs'
import { sql } from '../lib/database.mjs'
import { passed, refused } from '../lib/expect.mjs'
import { userToken } from '../lib/jwt.mjs'
import { configure } from '../lib/rules.mjs'
import { is } from '../lib/tap.mjs'

const limit = 'any'
const q = 4
const write =
  (body, more = {}) =>
  (db) =>
    db.from('messages').insert({ body, ...more })
const read = (db) => db.from('messages').select('body').limit(1)
const readHead = (db) => db.from('messages').select('body', { head: true })

async function readOnly(gateway) {
  const { send } = connect(gateway)
  passed(await send(readHead), { limit, q, r: 3 }, 'HEAD of a table')
  passed(await send(read), { limit, q, r: 2 }, 'GET of a table')
  passed(
    await send((db) => db.rpc('quote_price', { product: 'tea' }, { head: true })),
    { limit, q, r: 1 },
    'HEAD of a STABLE function',
  )
  passed(
    await send((db) => db.rpc('quote_price', { product: 'tea' }, { get: true })),
    { limit, q, r: 0 },
    'GET of a STABLE function',
  )
  refused(await send(readHead), { limit, q, withBody: false }, 'HEAD over the limit')
  refused(await send(read), { limit, q }, 'GET over the limit')
}

async function failing(gateway) {
  const { send } = connect(gateway, { token: userToken('5f0c1a7e-7e57-4000-8000-0000000000c1') })
  const foreign = '5f0c1a7e-7e57-4000-8000-0000000000c2'
  const outcome = ({ status, error, headers }) => [status, error.code, headers.ratelimit]
  is(outcome(await send(write(''))), [400, '23514', undefined], 'a constraint is violated')
  is(
    outcome(await send((db) => db.rpc('contact', { name: 'Ada', message: '' }))),
    [400, '23514', undefined],
    'a function raises an error',
  )
  is(outcome(await send(write('x', { author: foreign }))), [403, '42501', undefined], 'a policy is violated')
  passed(await send(read), { limit, q, r: 0 }, 'each of the three has counted')
}

// 406 is PostgREST's own verdict on a result that was not the one row asked for; it rolls back.
async function notOneRow(gateway) {
  const { send } = connect(gateway)
  const answer = await send((db) => db.from('messages').select().eq('id', -1).single())
  is([answer.status, answer.error.code], [406, 'PGRST116'], 'not the one row that was asked for')
  passed(await send(read), { limit, q, r: 2 }, 'it has counted')
}

async function rolledBack(gateway) {
  const peer = freshAddress()
  const answer = await rawRequest(gateway, '/messages', {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'tx=rollback' },
    body: JSON.stringify({ body: 'never there' }),
    peer,
  })
  is(answer.headers['preference-applied'], 'tx=rollback', 'Prefer: tx=rollback is applied')
  passed(answer, { limit, q, r: 3, status: 201 }, 'Prefer: tx=rollback')
  is(await sql("SELECT count(*) FROM public.messages WHERE body = 'never there'"), '0', 'its row is not there')
  passed(await connect(gateway, { peer }).send(read), { limit, q, r: 2 }, 'but it has counted')
}

// An array of headers may name one several times, as Set-Cookie must.
async function headersOfOthers(gateway) {
  const { send } = connect(gateway)
  const answer = await send(read)
  passed(answer, { limit, q, r: 3 }, "an application's own pre-request function calls ours")
  is([answer.headers['x-application'], answer.cookies], ['kept', ['a=1', 'b=2']], 'and keeps the headers it had set')
  for (let i = 1; i < q; i += 1) await send(read)
  refused(await send(read), { limit, q }, "an application's own pre-request function is refused")
}

export default async function transactions({ direct, wrapped }) {
  await configure({ [limit]: { max_hits: q } }, [{ path: '*', limits: [limit] }])
  await readOnly(direct)
  await failing(direct)
  await notOneRow(direct)
  await rolledBack(direct)
  await headersOfOthers(wrapped)
}
