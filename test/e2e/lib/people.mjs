// The people of app-access.sql: their tokens, and what SQL says they may see when no policy is asked.
import { superuser } from './database.mjs'
import { anonToken, sign } from './jwt.mjs'

export const ids = {
  cleo: '5f0c1a7e-ac00-4000-8000-0000000000c1',
  ada: '5f0c1a7e-ac00-4000-8000-0000000000a1',
  ben: '5f0c1a7e-ac00-4000-8000-0000000000b1',
  newcomer: '5f0c1a7e-ac00-4000-8000-0000000000d1',
}

// A token as Supabase Auth fills it in.
export const tokenOf = (sub, claims = {}) =>
  sign({
    role: 'authenticated',
    sub,
    email: `${sub.slice(-2)}@example.com`,
    aal: 'aal1',
    session_id: '5f0c1a7e-5e55-4000-8000-000000000001',
    is_anonymous: false,
    app_metadata: { provider: 'email' },
    user_metadata: {},
    ...claims,
  })

export const people = {
  cleo: { id: ids.cleo, token: tokenOf(ids.cleo) },
  ada: { id: ids.ada, token: tokenOf(ids.ada, { app_metadata: { tenant: 'north', roles: ['expert', 'manager'] } }) },
  ben: { id: ids.ben, token: tokenOf(ids.ben, { app_metadata: { tenant: 'south', roles: 'expert' } }) },
  anon: { id: null, token: anonToken },
}

const lines = (text) => (text === '' ? [] : text.split('\n'))

// As a superuser, whom no policy concerns, and without a function of ours.
export const clientsOf = async ({ id }) =>
  id === null
    ? []
    : lines(
        await superuser(`SELECT c.id FROM "Client" AS c WHERE c.id = '${id}' OR c.id IN (
          SELECT a.client_id FROM expertassignment AS a WHERE a.expert_id = '${id}' AND a.status = 'active')
          ORDER BY c.created_at, c.id`),
      )

// What accessible_uuids() tells: with include_self the caller's own id is among them, client or not.
export const keysOf = async (person) => {
  const clients = await clientsOf(person)
  return [...new Set(person.id === null ? [] : [person.id, ...clients])].sort()
}

export const everyClient = async () => lines(await superuser('SELECT id FROM "Client" ORDER BY created_at, id'))

export const messagesOf = async (clients) =>
  clients.length === 0
    ? []
    : JSON.parse(
        await superuser(`SELECT coalesce(json_agg(json_build_object('id', id, 'client_id', client_id, 'body', body) ORDER BY id), '[]')
          FROM client_messages WHERE client_id = ANY ('{${clients}}')`),
      )
