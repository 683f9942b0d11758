// Functions of the application that ask pattyly who calls them and what he may see.
import { connect } from '../lib/clients.mjs'
import { sql, superuser } from '../lib/database.mjs'
import { clientsOf, everyClient, ids, keysOf, messagesOf, people, tokenOf } from '../lib/people.mjs'
import { configure } from '../lib/rules.mjs'
import { is } from '../lib/tap.mjs'

const tenants = {
  cleo: { tenant: null, manager: false },
  ada: { tenant: 'north', manager: true },
  ben: { tenant: 'south', manager: false },
}

async function asked(gateway, label) {
  for (const [name, person] of Object.entries(people)) {
    const { send } = connect(gateway, { token: person.token })
    const clients = await clientsOf(person)
    const known = person.id === null ? {} : { email: `${person.id.slice(-2)}@example.com`, anonymous: false }
    const wanted = {
      uid: person.id,
      auth_uid: person.id,
      role: person.id === null ? 'anon' : 'authenticated',
      email: null,
      tenant: null,
      manager: false,
      anonymous: null,
      keys: (await keysOf(person)).length,
      ...known,
      ...tenants[name],
    }
    is((await send((db) => db.rpc('whoami'))).data, wanted, `${label}${name}: uid, claims and the number of keys`)
    is(
      (await send((db) => db.rpc('whoami', {}, { get: true }))).data,
      wanted,
      `${label}${name}: the same with GET, in a transaction that may not write`,
    )
    const mine = await send((db) => db.rpc('my_clients').select('id, created_at').order('created_at').order('id'))
    is(
      [mine.status, mine.data?.map(({ id }) => id)],
      [200, clients],
      `${label}${name}: accessible_uuids() in a query of the application`,
    )
    const count = await send((db) => db.rpc('my_messages'))
    is(
      [count.status, count.data],
      [200, (await messagesOf(clients)).length],
      `${label}${name}: has_access() in a function that is past the policies`,
    )
    const managed = await send((db) => db.rpc('manage', { what: 'it' }))
    is(
      [managed.status, managed.data ?? managed.error.code],
      name === 'ada' ? [200, 'done: it'] : [person.id === null ? 401 : 403, '42501'],
      `${label}${name}: has_claim() guards a function`,
    )
  }
}

// What a function has just written counts in the same transaction; of a request that fails nothing stays.
async function sameTransaction(gateway, label) {
  const { id, token } = people.ben
  const client = (await everyClient()).at(-5)
  const { send } = connect(gateway, { token })
  const assigned = () =>
    superuser(`SELECT count(*) FROM expertassignment WHERE expert_id = '${id}' AND client_id = '${client}'`)
  const sees = async () => (await send((db) => db.from('Client').select('id').eq('id', client))).data.length
  is(await sees(), 0, `${label}not yet his`)
  const dry = await send((db) => db.rpc('take_client', { client }).rollback())
  is(
    [dry.data, await assigned(), await sees()],
    [[false, true], '0', 0],
    `${label}given and rolled back: his until then`,
  )
  try {
    const taken = await send((db) => db.rpc('take_client', { client }))
    is([taken.data, await sees()], [[false, true], 1], `${label}given: his at once, and at the next request`)
    const twice = await send((db) => db.rpc('take_client', { client }))
    is(twice.data, [true, true], `${label}given again: his before and after`)
  } finally {
    await sql(`DELETE FROM expertassignment WHERE expert_id = '${id}' AND client_id = '${client}'`)
  }
  is(await sees(), 0, `${label}taken away: his no more`)
  const { error } = await send((db) => db.rpc('take_client', { client: '00000000-0000-4000-8000-000000000000' }))
  is(error?.code, '23503', `${label}who is not there cannot be given`)
}

// A changed token is another caller at the next request: roles taken away are gone.
async function otherClaims(gateway, label) {
  const manage = (claims) =>
    connect(gateway, { token: tokenOf(ids.ada, claims) }).send((db) => db.rpc('manage', { what: 'it' }))
  const statuses = []
  for (const roles of [
    ['manager'],
    ['expert'],
    'manager',
    ['manager ', 'Manager'],
    { manager: true },
    null,
    ['a', 'manager'],
  ])
    statuses.push((await manage({ app_metadata: { roles } })).status)
  is(
    statuses,
    [200, 403, 200, 403, 403, 403, 200],
    `${label}app_metadata.roles as an array, a text, an object, nothing: equal or a member, no more`,
  )
}

export default async function accessRpc({ direct, pooled }) {
  await configure({}, [])
  for (const [gateway, label] of [
    [direct, ''],
    [pooled, 'pgbouncer: '],
  ].filter(([there]) => there !== undefined)) {
    await asked(gateway, label)
    await sameTransaction(gateway, label)
    await otherClaims(gateway, label)
  }
}
