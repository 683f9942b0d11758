// Tokens that are not what they ought to be: who they say they are decides, never what they would like to be.
import { createHmac } from 'node:crypto'
import { connect, rawRequest } from '../lib/clients.mjs'
import { secret, serviceToken, sign } from '../lib/jwt.mjs'
import { clientsOf, everyClient, ids, people, tokenOf } from '../lib/people.mjs'
import { configure } from '../lib/rules.mjs'
import { is, ok } from '../lib/tap.mjs'

const list = (db) => db.from('Client').select('id').order('created_at').order('id')
const seenWith = async (gateway, token) => {
  const { status, data, error, text } = await connect(gateway, { token }).send(list)
  return { status, rows: data?.map(({ id }) => id) ?? null, error, text }
}

const now = () => Math.floor(Date.now() / 1000)

function signedWith(alg, claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg, typ: 'JWT' })}.${part({ exp: now() + 3600, ...claims })}`
  return alg === 'none' ? `${text}.` : `${text}.${createHmac('sha512', secret).update(text).digest('base64url')}`
}

// PostgREST refuses these before there is a question to the database.
async function forged(gateway) {
  const service = { role: 'service_role', sub: ids.ada }
  const [head, , signature] = people.cleo.token.split('.')
  const body = Buffer.from(JSON.stringify({ ...service, exp: now() + 3600 })).toString('base64url')
  const tokens = {
    'service_role, signed with another key': sign(service, 'a key that somebody made up, 32 bytes at least'),
    'a claim changed after it was signed': `${head}.${body}.${signature}`,
    'not signed at all': signedWith('none', service),
    'signed with another algorithm': signedWith('HS512', service),
    'expired an hour ago': tokenOf(ids.ada, { exp: now() - 3600 }),
    'not valid yet': tokenOf(ids.ada, { nbf: now() + 3600 }),
  }
  for (const [what, token] of Object.entries(tokens)) {
    const { status, rows, text } = await seenWith(gateway, token)
    is([status, rows], [401, null], `${what}: 401 and no rows`)
    ok(!text.includes('@example.com') && !text.includes('ac00'), `${what}: the answer tells nothing of anybody`, text)
  }
}

// Well signed, but the role is none that the API may become.
async function otherRoles(gateway) {
  for (const role of ['postgres', 'supabase_admin', 'pg_read_all_data', 'nobody-of-this-name']) {
    const { status, rows } = await seenWith(gateway, tokenOf(ids.ada, { role }))
    ok(status >= 400 && status < 500 && rows === null, `role ${role}: refused (${status})`)
  }
}

const tokenFor = (sub) => sign({ role: 'authenticated', sub })

async function oddSubjects(gateway) {
  for (const sub of ['ada', '', ' ', `${ids.ada}'`, `${ids.ada} or true`, 'x'.repeat(10000)]) {
    const what = `sub ${JSON.stringify(sub).slice(0, 40)}`
    const { status, rows, error } = await seenWith(gateway, tokenFor(sub))
    is([status, rows, error?.code], [400, null, '22P02'], `${what}: 400, no rows`)
    ok(/uuid/.test(error?.message), `${what}: and it says why`, error?.message)
  }
  // No text at all: PostgREST itself refuses that.
  for (const sub of [42, true, { id: ids.ada }, [ids.ada]]) {
    const { status, rows, error } = await seenWith(gateway, tokenFor(sub))
    is([status, rows, error?.code], [401, null, 'PGRST301'], `sub ${JSON.stringify(sub)}: 401, no rows`)
  }
  for (const claims of [{}, { sub: null }]) {
    const { status, rows } = await seenWith(gateway, sign({ role: 'authenticated', ...claims }))
    is([status, rows], [200, []], `authenticated with ${JSON.stringify(claims)}: nobody, who sees nothing`)
  }
  const upper = await seenWith(gateway, tokenOf(ids.ada.toUpperCase()))
  is(upper.rows, await clientsOf(people.ada), 'a sub in capitals is the same uuid')
}

// What a user writes into his own profile, and names that look like what decides.
async function pretenders(gateway) {
  const mine = await clientsOf(people.cleo)
  const pretend = {
    user_metadata: {
      sub: ids.ada,
      role: 'service_role',
      app_metadata: { tenant: 'north', roles: ['manager'] },
      'app_metadata.roles': ['manager'],
      claims_admin: true,
    },
    'app_metadata.tenant': 'north',
    'app_metadata.roles': ['manager'],
    uid: ids.ada,
    user_id: ids.ada,
    'request.jwt.claim.sub': ids.ada,
    SUB: ids.ada,
    'sub ': ids.ada,
  }
  const token = tokenOf(ids.cleo, pretend)
  is((await seenWith(gateway, token)).rows, mine, 'user_metadata that pretends: her own row')
  const { send } = connect(gateway, { token })
  const { data } = await send((db) => db.rpc('whoami'))
  is(
    [data.uid, data.role, data.tenant, data.manager],
    [ids.cleo, 'authenticated', null, false],
    'and nobody else to the claims',
  )
  is((await send((db) => db.rpc('manage', { what: 'it' }))).error?.code, '42501', 'nor to a function for managers')
}

// PostgREST hands one of the two on. Both were signed; what matters is that all agree on which.
async function twoSubjects(gateway) {
  const part = (text) => Buffer.from(text).toString('base64url')
  const body = part(`{"role":"authenticated","sub":"${ids.ada}","sub":"${ids.cleo}","exp":${now() + 3600}}`)
  const text = `${part('{"alg":"HS256","typ":"JWT"}')}.${body}`
  const token = `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
  const { data } = await connect(gateway, { token }).send((db) => db.rpc('whoami'))
  is(data.uid, data.auth_uid, 'a sub given twice: uid() is what auth.uid() is')
  const rows = await clientsOf({ id: data.uid })
  is((await seenWith(gateway, token)).rows, rows, 'and the rows are his')
}

// Headers are not claims.
async function headers(gateway) {
  const claims = JSON.stringify({ sub: ids.ada, role: 'service_role' })
  const answer = await rawRequest(gateway, '/Client?select=id', {
    headers: {
      authorization: `Bearer ${people.cleo.token}`,
      'request.jwt.claims': claims,
      'request.jwt.claim.sub': ids.ada,
      'x-supabase-auth-user': ids.ada,
      'x-hasura-user-id': ids.ada,
    },
  })
  is(JSON.parse(answer.text), [{ id: ids.cleo }], 'headers with the names of settings change nothing')
}

async function bigClaims(gateway) {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`key${i}`, 'x'.repeat(20)]))
  let deep = { roles: ['manager'] }
  for (let i = 0; i < 200; i += 1) deep = { app_metadata: deep }
  const token = tokenOf(ids.ben, {
    app_metadata: { many, deep },
    user_metadata: { note: '\u00e9\u{1f600}"\\\' -- ; DROP' },
  })
  is(
    (await seenWith(gateway, token)).rows,
    await clientsOf(people.ben),
    'claims that are big, deep and odd: the same rows',
  )
}

async function services(gateway) {
  is(
    (await seenWith(gateway, serviceToken)).rows,
    await everyClient(),
    'a service token, which has BYPASSRLS, sees all',
  )
  const { data } = await connect(gateway, { token: serviceToken }).send((db) => db.rpc('whoami'))
  is([data.uid, data.keys], [null, 0], 'though nobody is assigned to it')
}

export default async function accessTokens({ direct, pooled }) {
  await configure({}, [])
  await forged(direct)
  await otherRoles(direct)
  await services(direct)
  for (const gateway of pooled === undefined ? [direct] : [direct, pooled]) {
    await oddSubjects(gateway)
    await pretenders(gateway)
    await twoSubjects(gateway)
    await headers(gateway)
    await bigClaims(gateway)
  }
  is(
    (await seenWith(direct, people.ada.token)).rows,
    await clientsOf(people.ada),
    'after all of this ada sees what is hers',
  )
}
