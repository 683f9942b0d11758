// Whom a request is counted for: routes.keyed_by.
import { connect, freshAddress } from '../lib/clients.mjs'
import { passed, refused, told } from '../lib/expect.mjs'
import { serviceToken, sign, userToken } from '../lib/jwt.mjs'
import { configure } from '../lib/rules.mjs'
import { between, is } from '../lib/tap.mjs'

const ada = userToken('5f0c1a7e-7e57-4000-8000-0000000000b1')
const bob = userToken('5f0c1a7e-7e57-4000-8000-0000000000b2')
const eve = userToken('5f0c1a7e-7e57-4000-8000-0000000000b3')
const ask = (db) => db.rpc('login', { email: 'a@example.com', password: 'wrong' })
const keyedBy = (limit, keyed_by) =>
  configure({ [limit]: { max_hits: 2 } }, [{ method: 'POST', path: '/rpc/login', limits: [limit], keyed_by }])

async function byUser(gateway) {
  const limit = 'by-user'
  await keyedBy(limit, 'user')
  const [home, office] = [freshAddress(), freshAddress()]
  const at = (token, peer) => connect(gateway, { token, peer }).send(ask)
  passed(await at(ada, home), { limit, q: 2, r: 1 }, 'user: Ada at home')
  passed(await at(ada, office), { limit, q: 2, r: 0 }, 'user: Ada at the office is the same Ada')
  refused(await at(ada, home), { limit, q: 2 }, 'user: Ada at home again')
  passed(await at(bob, home), { limit, q: 2, r: 1 }, "user: Bob at Ada's address is somebody else")
  passed(await at(undefined, home), { limit, q: 2, r: 1 }, 'user: nobody in particular counts by the address')
  passed(await at(undefined, home), { limit, q: 2, r: 0 }, 'user: nobody at the same address')
  refused(await at(undefined, home), { limit, q: 2 }, 'user: nobody at the same address once more')
  passed(await at(undefined, office), { limit, q: 2, r: 1 }, 'user: nobody at another address')
  passed(
    await at(serviceToken, office),
    { limit, q: 2, r: 0 },
    'user: a service token has no user and counts by the address',
  )
}

// Not every issuer of tokens is as tidy as Supabase Auth.
async function oddSubjects(gateway) {
  const limit = 'odd-subjects'
  await keyedBy(limit, 'user')
  const peer = freshAddress()
  const as = (sub) => connect(gateway, { token: sign({ role: 'authenticated', sub }), peer }).send(ask)
  passed(await as('auth0|1 é "\\'), { limit, q: 2, r: 1 }, 'user: a subject with odd letters')
  passed(await as('auth0|1 é "\\'), { limit, q: 2, r: 0 }, 'user: the same subject')
  passed(await as('x'.repeat(2000)), { limit, q: 2, r: 1 }, 'user: a long subject')
  passed(await as(''), { limit, q: 2, r: 1 }, 'user: an empty subject is none, the address counts')
  passed(await as(null), { limit, q: 2, r: 0 }, 'user: null is none, the address counts')
}

async function byAddressAndUser(gateway) {
  const limit = 'by-both'
  await keyedBy(limit, 'ip+user')
  const [home, office] = [freshAddress(), freshAddress()]
  const at = (token, peer) => connect(gateway, { token, peer }).send(ask)
  passed(await at(ada, home), { limit, q: 2, r: 1 }, 'ip+user: Ada at home')
  passed(await at(ada, home), { limit, q: 2, r: 0 }, 'ip+user: Ada at home, second call')
  refused(await at(ada, home), { limit, q: 2 }, 'ip+user: Ada at home, third call')
  passed(await at(ada, office), { limit, q: 2, r: 1 }, 'ip+user: Ada at the office counts apart')
  passed(await at(bob, home), { limit, q: 2, r: 1 }, 'ip+user: Bob at home counts apart')
  passed(await at(undefined, home), { limit, q: 2, r: 1 }, 'ip+user: nobody in particular counts by the address')
}

async function byHeader(gateway) {
  const limit = 'by-header'
  await keyedBy(limit, 'header:x-api-key')
  const at = (key, peer) => connect(gateway, { peer, headers: key === undefined ? {} : { 'X-API-Key': key } }).send(ask)
  passed(await at('k-1'), { limit, q: 2, r: 1 }, 'header: the first call with a key')
  passed(await at('k-1'), { limit, q: 2, r: 0 }, 'header: the same key from another address')
  refused(await at('k-1'), { limit, q: 2 }, 'header: the same key from a third address')
  passed(await at('k-2'), { limit, q: 2, r: 1 }, 'header: another key')
  const home = freshAddress()
  passed(await at(undefined, home), { limit, q: 2, r: 1 }, 'header: without it the address counts')
  passed(await at('', home), { limit, q: 2, r: 0 }, 'header: an empty one is none')
  refused(await at(undefined, home), { limit, q: 2 }, 'header: without it, third call')

  const long = 'x'.repeat(3000)
  passed(await at(`${long}1`), { limit, q: 2, r: 1 }, 'header: a value of 3001 bytes')
  passed(await at(`${long}2`), { limit, q: 2, r: 1 }, 'header: another that differs in the last byte')

  const victim = freshAddress()
  for (let i = 0; i < 3; i += 1) await at(victim)
  passed(
    await at(undefined, victim),
    { limit, q: 2, r: 1 },
    'header: writing the address of another there does not use up theirs',
  )
}

// The route's limits are all consumed or none, and the answer names the one that binds.
async function severalLimits(gateway) {
  const routes = [{ method: 'POST', path: '/rpc/login', limits: ['per-hour', 'per-minute'], keyed_by: 'user' }]
  await configure({ 'per-hour': { max_hits: 3 }, 'per-minute': { max_hits: 2, per: '1 minute' } }, routes)
  const { send } = connect(gateway, { token: eve })
  const left = (hour, minute, q = 2) => [
    ['per-hour', hour, 3, 3600],
    ['per-minute', minute, q, 60],
  ]
  told(await send(ask), 200, left(2, 1), 'two limits')
  told(await send(ask), 200, left(1, 0), 'two limits')
  const answer = await send(ask)
  told(answer, 429, left(1, 0), 'two limits: refused by the one, nothing used of the other')
  between(Number(answer.headers['retry-after']), 1, 60, 'two limits: Retry-After is of the one that refuses')
  is(answer.error.details, 'per-minute: limited', 'two limits: the body names the one that refuses')
  await configure({ 'per-minute': { max_hits: 100, per: '1 minute' } }, routes)
  told(await send(ask), 200, left(0, 97, 100), 'two limits: with room in the one')
  told(await send(ask), 429, left(0, 97, 100), 'two limits: refused by the other, nothing used of the one')
  await configure({}, [{ method: 'POST', path: '/rpc/login', limits: ['per-minute'], keyed_by: 'user', cost: 90 }])
  passed(await send(ask), { limit: 'per-minute', q: 100, w: 60, r: 7 }, "a route's cost of 90")
}

export default async function keys({ direct }) {
  await byUser(direct)
  await oddSubjects(direct)
  await byAddressAndUser(direct)
  await byHeader(direct)
  await severalLimits(direct)
  is(
    (await connect(direct).send((db) => db.rpc('login', { email: 'a', password: 'right' }))).data,
    true,
    'and what the function says arrives',
  )
}
