// What a client sees: for a table and an RPC, read and written, as anon and as a signed-in user.
import { connect } from '../lib/clients.mjs'
import { english, passed, refusal, refused } from '../lib/expect.mjs'
import { anonToken, userToken } from '../lib/jwt.mjs'
import { configure, withSetting } from '../lib/rules.mjs'
import { between, is } from '../lib/tap.mjs'

const kinds = [
  { what: 'table GET', limit: 'read', q: 3, status: 200, ask: (db) => db.from('messages').select('body').limit(1) },
  { what: 'table POST', limit: 'write', q: 2, status: 201, ask: (db) => db.from('messages').insert({ body: 'Salut' }) },
  {
    what: 'RPC POST',
    limit: 'contact',
    q: 3,
    status: 200,
    ask: (db) => db.rpc('contact', { name: 'Ada', message: 'Hi' }),
  },
  {
    what: 'RPC GET',
    limit: 'quote',
    q: 2,
    status: 200,
    ask: (db) => db.rpc('quote_price', { product: 'tea' }, { get: true }),
  },
]

// contact has its 3 an hour from the preset web-forms.
const limits = { read: { max_hits: 3 }, write: { max_hits: 2 }, quote: { max_hits: 2 } }
const routes = [
  { method: 'GET', path: '/messages', limits: ['read'] },
  { method: 'POST', path: '/messages', limits: ['write'] },
  { method: 'POST', path: '/rpc/contact', limits: ['contact'] },
  { method: 'GET', path: '/rpc/quote_price', limits: ['quote'] },
]

async function useUp({ send }, { what, limit, q, status, ask }, role) {
  for (let r = q - 1; r >= 0; r -= 1) passed(await send(ask), { limit, q, r, status }, `${what} as ${role}`)
}

async function oneKind(gateway, kind, role, token) {
  const { what, limit, q, status, ask } = kind
  const client = connect(gateway, { token })
  await useUp(client, kind, role)

  const before = gateway.requests
  const answer = await client.send(ask)
  refused(answer, { limit, q }, `${what} as ${role}`)
  is(gateway.requests - before, 1, `${what} as ${role}: supabase-js does not try a 429 again`)
  const { code, message, details, hint } = answer.error
  is(
    { code, message, details, hint },
    JSON.parse(answer.text),
    `${what} as ${role}: the application gets the body as the error`,
  )
  is(answer.data, null, `${what} as ${role}: no data`)

  const other = connect(gateway, { token })
  passed(await other.send(ask), { limit, q, r: q - 1, status }, `${what} as ${role} from another address`)
}

// Body and headers of a refusal for which the rule has words of its own.
async function ownWords(gateway) {
  const ask = (db) => db.from('notes').select()
  const message = 'Doucement, "{limit_name}" !\r\nX-Injected: {retry_after} s = {minutes} min {seconds} s; {name} reste'
  await configure({ 'own-words': { max_hits: 1, message } }, [{ path: '/notes', limits: ['own-words'] }])
  const client = connect(gateway)
  await client.send(ask)
  const answer = await client.send(ask)
  const text = (s) =>
    `Doucement, "own-words" !\r\nX-Injected: ${s} s = ${Math.floor(s / 60)} min ${s % 60} s; {name} reste`
  refused(answer, { limit: 'own-words', q: 1, text }, "a rule's own message")
  is(answer.headers['x-injected'], undefined, "a rule's own message becomes no header")
  is(answer.error.message, text(Number(answer.headers['retry-after'])), "a rule's own message reaches the application")
}

async function inEnglish(gateway) {
  const ask = (db) => db.from('notes').select()
  await configure({ tongue: { max_hits: 1 } }, [{ path: '/notes', limits: ['tongue'] }])
  await withSetting([gateway], 'pattyly.language', 'en', async () => {
    const client = connect(gateway)
    await client.send(ask)
    refused(await client.send(ask), { limit: 'tongue', q: 1, text: english }, 'pattyly.language = en')
  })
  const client = connect(gateway)
  await client.send(ask)
  refused(await client.send(ask), { limit: 'tongue', q: 1 }, 'pattyly.language = fr again')
}

// No waiting ends it, so no time is promised.
async function refuseAll(gateway) {
  const ask = (db) => db.from('notes').select()
  await configure({ closed: { max_hits: 0 } }, [{ path: '/notes', limits: ['closed'] }])
  const answer = await connect(gateway).send(ask)
  is([answer.status, answer.reason], [429, 'Too Many Requests'], 'limit 0: the first call is refused')
  is(answer.headers['retry-after'], undefined, 'limit 0: no Retry-After')
  is(answer.headers['ratelimit-policy'], '"closed";q=0;w=3600', 'limit 0: RateLimit-Policy')
  is(answer.headers.ratelimit, '"closed";r=0', 'limit 0: RateLimit')
  is(JSON.parse(answer.text), refusal('Accès refusé.', 'closed: cost_exceeds_limit'), 'limit 0: the body')
}

// The names of limits are strings of RFC 9651 in the header, however odd they are.
async function oddNames(gateway) {
  const ask = (db) => db.from('notes').select()
  const odd = `a"b\\c'd, e;r=99`
  await configure({ [odd]: { max_hits: 2 } }, [{ path: '/notes', limits: [odd] }])
  passed(await connect(gateway).send(ask), { limit: `a\\"b\\\\c'd, e;r=99`, q: 2, r: 1 }, 'a limit with an odd name')

  const names = Array.from({ length: 16 }, (_, i) => `${i}`.padStart(2, '0').padEnd(63, '"'))
  await configure(Object.fromEntries(names.map((name) => [name, { max_hits: 4294967295, per: '3650 days' }])), [
    { path: '/notes', limits: names },
  ])
  const { status, headers } = await connect(gateway).send(ask)
  const list = (item) => names.map((name) => `"${name.replaceAll('"', '\\"')}";${item}`).join(', ')
  is(
    [status, headers['ratelimit-policy']],
    [200, list('q=4294967295;w=315360000')],
    '16 limits with the longest names: RateLimit-Policy',
  )
  is(headers.ratelimit?.replace(/;t=\d+/g, ''), list('r=4294967294'), '16 limits with the longest names: RateLimit')
}

// On the real clock: who waits as long as Retry-After says is let in.
async function waiting(gateway) {
  const ask = (db) => db.from('notes').select()
  await configure({ brief: { max_hits: 1, per: '2 seconds' } }, [{ path: '/notes', limits: ['brief'] }])
  const client = connect(gateway)
  const began = Date.now()
  is((await client.send(ask)).status, 200, 'a limit of 1 in 2 seconds: the first call')
  const answer = await client.send(ask)
  is(answer.status, 429, 'a limit of 1 in 2 seconds: the second call')
  const wait = Number(answer.headers['retry-after'])
  between(wait, 1, 2, 'Retry-After is within the window')
  await new Promise((resolve) => setTimeout(resolve, wait * 1000))
  is((await client.send(ask)).status, 200, 'the call after Retry-After passes')
  between(Date.now() - began, 2000, 30000, 'which was after the window')
}

export default async function answers({ direct }) {
  await configure(limits, routes)
  const user = userToken('5f0c1a7e-7e57-4000-8000-0000000000a1')
  for (const kind of kinds) {
    await oneKind(direct, kind, 'anon', anonToken)
    await oneKind(direct, kind, 'authenticated', user)
  }
  await ownWords(direct)
  await inEnglish(direct)
  await refuseAll(direct)
  await oddNames(direct)
  await waiting(direct)
}
