// Which requests a route is for, and that no spelling of a path gets around it.
import { connect, freshAddress, rawRequest, straightRequest } from '../lib/clients.mjs'
import { passed, refused, uncounted } from '../lib/expect.mjs'
import { configure } from '../lib/rules.mjs'
import { is, ok } from '../lib/tap.mjs'

const json = { 'content-type': 'application/json' }
const credentials = JSON.stringify({ email: 'a@example.com', password: 'guess' })
const post = (gateway, path, peer) =>
  rawRequest(gateway, path, { method: 'POST', headers: json, body: credentials, peer })

const spellings = [
  '/rpc/log%69n',
  '/rpc/%6c%6f%67%69%6e',
  '/rpc/%6C%6F%67%69%6E',
  '/%72pc/login',
  '/rpc%2Flogin',
  '/rpc/login/',
  '/rpc/login//',
  '//rpc/login',
  '/rpc//login',
  '/./rpc/login',
  '/x/../rpc/login',
  '/rpc/login%00',
  '/rpc/login%20',
  '/rpc/login?select=x',
  '/rpc/login?',
  '/rpc/login#x',
  '/rpc/login;x',
  '/rpc/LOGIN',
  '/RPC/login',
  '/rpc/%22login%22',
]

// Whatever PostgREST understands as a call of the function must have counted: it answers 429 like the plain path.
async function noWayAround(gateway) {
  const limit = 'guarded'
  await configure({ [limit]: { max_hits: 1 } }, [{ path: '/rpc/login', limits: [limit] }])
  const peer = freshAddress()
  passed(await post(gateway, '/rpc/login', peer), { limit, q: 1, r: 0 }, 'the plain path')
  refused(await post(gateway, '/rpc/login', peer), { limit, q: 1 }, 'the plain path again')
  for (const path of spellings) {
    const { status, text } = await post(gateway, path, peer)
    ok(status === 429 || status === 404, `${path} does not get around the route (${status})`, `${status} ${text}`)
  }
  for (const path of ['/rpc/log%69n', '/%72pc/%6Cogin'])
    refused(await post(gateway, path, peer), { limit, q: 1 }, `${path} is /rpc/login`)
  // Targets that PostgREST itself understands, were there no gateway to refuse them.
  for (const target of ['rpc/login', 'rpc/log%69n', '%72pc/login', 'http://x/rpc/login']) {
    const answer = await straightRequest(gateway, `${target}?email=a&password=b`, { 'x-forwarded-for': peer })
    is(answer.status, 429, `GET ${target} is /rpc/login`)
  }
  // In the query string everything is data.
  const answer = await rawRequest(gateway, '/rpc/log%69n?email=%2Frpc%2Fx&password=a', { peer })
  refused(answer, { limit, q: 1 }, 'GET /rpc/log%69n?... is /rpc/login')
}

async function methods(gateway) {
  await configure({ reads: { max_hits: 5 }, writes: { max_hits: 3 } }, [
    { method: 'GET', path: '/messages', limits: ['reads'] },
    { method: 'POST', path: '/messages', limits: ['writes'] },
  ])
  const { send } = connect(gateway)
  passed(
    await send((db) => db.from('messages').select('body').limit(1)),
    { limit: 'reads', q: 5, r: 4 },
    'GET has its limit',
  )
  passed(
    await send((db) => db.from('messages').insert({ body: 'x' })),
    { limit: 'writes', q: 3, r: 2, status: 201 },
    'POST has its own',
  )
  passed(
    await send((db) => db.from('messages').select('body', { head: true })),
    { limit: 'reads', q: 5, r: 3 },
    'HEAD is under the row for GET',
  )
  uncounted(await send((db) => db.from('messages').update({ body: 'y' }).eq('id', -1)), 'PATCH has no row', 204)
}

async function precedence(gateway) {
  const limits = Object.fromEntries(
    ['all', 'rpcs', 'any-method', 'post'].map((name, i) => [name, { max_hits: 10 + i }]),
  )
  await configure(limits, [
    { path: '*', limits: ['all'] },
    { path: '/rpc/*', limits: ['rpcs'] },
    { path: '/rpc/contact', limits: ['any-method'] },
    { method: 'POST', path: '/rpc/contact', limits: ['post'] },
    { path: '/rpc/login', limits: ['post'], enabled: false },
  ])
  const { send } = connect(gateway)
  const contact = { name: 'Ada', message: 'Hi' }
  passed(
    await send((db) => db.rpc('contact', contact)),
    { limit: 'post', q: 13, r: 12 },
    'the row that names the method',
  )
  passed(
    await send((db) => db.rpc('contact', contact, { get: true })),
    { limit: 'any-method', q: 12, r: 11 },
    'the row for any method',
  )
  passed(
    await send((db) => db.rpc('login', { email: 'a', password: 'b' })),
    { limit: 'rpcs', q: 11, r: 10 },
    'a disabled row leaves it to the prefix',
  )
  passed(
    await send((db) => db.from('notes').select()),
    { limit: 'all', q: 10, r: 9 },
    'the shortest prefix gets the rest',
  )
}

async function unlisted(gateway) {
  await configure({}, [
    { path: '/rpc/login', limits: ['login'] },
    { path: '/message', limits: ['login'] },
  ])
  const { send } = connect(gateway)
  for (let i = 0; i < 12; i += 1) await send((db) => db.from('notes').select())
  uncounted(await send((db) => db.from('notes').select()), 'a path without a route')
  uncounted(
    await send((db) => db.from('messages').select('body').limit(1)),
    'a path that only begins like an exact one',
  )
  await configure({}, [])
  uncounted(await send((db) => db.rpc('login', { email: 'a', password: 'b' })), 'a route that was deleted')
  is((await rawRequest(gateway, '/')).status, 200, 'the API description is served')
}

// What PostgREST answers before it calls any pre-request function.
async function notReached(gateway) {
  const limit = 'unreached'
  await configure({ [limit]: { max_hits: 1 } }, [{ path: '*', limits: [limit] }])
  const peer = freshAddress()
  uncounted(await rawRequest(gateway, '/notes', { method: 'OPTIONS', peer }), 'OPTIONS')
  const badToken = { authorization: 'Bearer x.y.z' }
  uncounted(await rawRequest(gateway, '/notes', { headers: badToken, peer }), 'a bad token', 401)
  uncounted(await rawRequest(gateway, '/rpc/no_such_function', { peer }), 'a function that is not there', 404)
  passed(await rawRequest(gateway, '/notes', { peer }), { limit, q: 1, r: 0 }, 'the first request that PostgREST runs')
}

// A mistake of the administrator's is an error, not an open door.
async function unknownLimit(gateway) {
  await configure({}, [{ path: '/notes', limits: ['no-such-limit'] }])
  const { status, text } = await rawRequest(gateway, '/notes')
  is([status, JSON.parse(text).code], [400, '42704'], 'a route to an unknown limit')
}

export default async function routes({ direct }) {
  await noWayAround(direct)
  await methods(direct)
  await precedence(direct)
  await notReached(direct)
  await unknownLimit(direct)
  await unlisted(direct)
}
