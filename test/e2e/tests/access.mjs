// Who reads what: each of four people sees the rows that SQL without policies says are his, and learns of no other.
import { connect } from '../lib/clients.mjs'
import { sql, superuser } from '../lib/database.mjs'
import { clientsOf, everyClient, ids, keysOf, messagesOf, people, tokenOf } from '../lib/people.mjs'
import { configure } from '../lib/rules.mjs'
import { startGateway, startPostgrest } from '../lib/stack.mjs'
import { fail, is, ok, skip } from '../lib/tap.mjs'

const unknown = '00000000-0000-4000-8000-000000000000'
const list = (db) => db.from('Client').select('id').order('created_at').order('id')
const columnsOf = (rows) => rows?.map(({ id }) => id)

// Everything below is worked out from what a superuser reads.
async function picture() {
  const every = await everyClient()
  const seen = {}
  for (const [name, person] of Object.entries(people)) {
    const clients = await clientsOf(person)
    const others = every.filter((id) => !clients.includes(id))
    seen[name] = { clients, others, messages: await messagesOf(clients) }
  }
  return seen
}

// A question, and its answer for who may see these clients and messages. No answer has to do with anything else.
const questions = {
  'the list': [list, ({ clients }) => clients.map((id) => ({ id }))],
  'the newest 5': [
    (db) => db.from('Client').select('id').order('created_at', { ascending: false }).limit(5),
    ({ clients }) =>
      clients
        .slice(-5)
        .reverse()
        .map((id) => ({ id })),
  ],
  'the second page': [(db) => list(db).range(10, 19), ({ clients }) => clients.slice(10, 20).map((id) => ({ id }))],
  'one by its id': [
    (db, { clients: [id = unknown] }) => list(db).eq('id', id),
    ({ clients: [id] }) => (id ? [{ id }] : []),
  ],
  "somebody else's by its id": [(db, { others }) => list(db).eq('id', others.at(-1)), () => []],
  'all but one by its id': [
    (db, { clients: [id = unknown] }) => list(db).neq('id', id),
    ({ clients }) => clients.slice(1).map((id) => ({ id })),
  ],
  'a list of ids, of his and of others': [
    (db, { clients, others }) => list(db).in('id', [...others.slice(0, 5), ...clients.slice(0, 3)]),
    ({ clients }) => clients.slice(0, 3).map((id) => ({ id })),
  ],
  'a filter on another column that all pass': [
    (db) => list(db).like('email', '%@example.com'),
    ({ clients }) => clients.map((id) => ({ id })),
  ],
  'a filter that only others pass': [(db) => list(db).in('name', ['Client 1900', 'Client 1901']), () => []],
  'or with what is always true': [
    (db, { others }) => list(db).or(`id.eq.${others[0]},name.not.is.null`),
    ({ clients }) => clients.map((id) => ({ id })),
  ],
  messages: [(db) => db.from('client_messages').select('id, client_id, body').order('id'), ({ messages }) => messages],
  'messages embedded in clients': [
    (db) => db.from('Client').select('id, client_messages (body)').order('created_at').order('id').limit(3),
    ({ clients, messages }) =>
      clients.slice(0, 3).map((id) => ({
        id,
        client_messages: messages.filter(({ client_id }) => client_id === id).map(({ body }) => ({ body })),
      })),
  ],
  'clients embedded in messages': [
    (db) => db.from('client_messages').select('id, Client!inner (id)').order('id').limit(3),
    ({ messages }) => messages.slice(0, 3).map(({ id, client_id }) => ({ id, Client: { id: client_id } })),
  ],
}

async function reads(gateway, label, seen) {
  for (const [name, { token }] of Object.entries(people)) {
    const { send } = connect(gateway, { token })
    const mine = seen[name]
    for (const [question, [ask, expected]] of Object.entries(questions)) {
      const answer = await send((db) => ask(db, mine))
      is([answer.status, answer.data], [200, expected(mine)], `${label}${name}: ${question}`)
    }
    const counted = await send((db) => db.from('Client').select('*', { count: 'exact', head: true }))
    is(
      [counted.status, counted.headers['content-range'].split('/')[1]],
      [200, String(mine.clients.length)],
      `${label}${name}: count exact is ${mine.clients.length}`,
    )
    const page = await send((db) => db.from('Client').select('id', { count: 'exact' }).limit(1))
    is(
      page.headers['content-range'].split('/')[1],
      String(mine.clients.length),
      `${label}${name}: and so is the total beside a page`,
    )
  }
}

// Estimated and planned counts come from statistics, which are about everybody's rows.
async function estimates(gateway, seen) {
  const { send } = connect(gateway, { token: people.cleo.token })
  const { headers } = await send((db) => db.from('Client').select('id', { count: 'planned' }))
  ok(
    Number(headers['content-range'].split('/')[1]) < 10,
    'cleo: a planned count does not tell how many clients there are',
  )
  is(seen.cleo.clients.length, 1, 'cleo sees one client, herself')
}

// What is not there and what is somebody else's must look the same.
async function learnsNothing(gateway, seen) {
  for (const name of ['anon', 'cleo']) {
    const { send } = connect(gateway, { token: people[name].token })
    const single = (id) => (db) => db.from('Client').select('id').eq('id', id).single()
    const hidden = await send(single(seen[name].others[0]))
    const missing = await send(single(unknown))
    is(
      [hidden.status, hidden.text],
      [missing.status, missing.text],
      `${name}: a hidden row and one that is not there: same answer`,
    )
    is(hidden.status, 406, `${name}: which is 406, no row`)
    const wrong = [
      await send((db) => db.from('Client').select('id').eq('id', 'nonsense')),
      await send((db) => db.from('Client').select('id').gt('created_at', 'never')),
      await send((db) => db.from('Client').select('id, secret')),
      await send((db) => db.from('Client').select('id').eq('secret', 1)),
    ]
    is(
      wrong.map(({ status }) => status),
      [400, 400, 400, 400],
      `${name}: questions that make no sense are refused`,
    )
    const others = new Set(seen[name].others)
    const told = wrong.flatMap(({ text }) => text.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [])
    is(
      told.filter((id) => others.has(id)),
      [],
      `${name}: and what they say contains nobody's id`,
    )
  }
}

async function assignmentsAreHidden(direct, exposed) {
  for (const [name, { token }] of Object.entries(people)) {
    const { send } = connect(direct, { token })
    const seen = await send((db) => db.from('expertassignment').select('*', { count: 'exact' }))
    is([seen.status, seen.data, seen.headers['content-range']], [200, [], '*/0'], `${name} reads no assignment`)
    const embedded = await send((db) => db.from('Client').select('id, expertassignment!inner (expert_id)'))
    is([embedded.status, embedded.data], [200, []], `${name} reads none embedded in a client either`)
    const inside = connect(exposed, { token })
    const relations = await inside.send((db) => db.schema('pattyly').from('relations').select())
    is(
      [relations.status, relations.error?.code],
      [name === 'anon' ? 401 : 403, '42501'],
      `${name} may not read pattyly.relations where the schema is exposed`,
    )
    const own = await inside.send((db) => db.schema('pattyly').rpc('accessible_uuids', { relation: 'client' }))
    is(
      [...own.data].sort(),
      await keysOf(people[name]),
      `${name} may ask accessible_uuids() there, and is told his own`,
    )
  }
}

// One session serves two people by turns, and then everybody at once.
async function oneSession(seen) {
  const gateway = await startGateway(await startPostgrest('single', { 'db-pool': 1, 'db-plan-enabled': true }))
  const sessions = new Set()
  const wrong = []
  // Claims of one length, made in the same second: the id is all that tells them apart.
  const twins = { ...people, ada: { token: tokenOf(ids.ada) }, ben: { token: tokenOf(ids.ben) } }
  for (let turn = 0; turn < 20; turn += 1) {
    const name = ['ada', 'ben', 'anon', 'cleo', 'ben'][turn % 5]
    const { send } = connect(gateway, { token: twins[name].token })
    sessions.add((await send((db) => db.rpc('session_here'))).data)
    const { data } = await send(list)
    if (JSON.stringify(columnsOf(data)) !== JSON.stringify(seen[name].clients)) wrong.push([turn, name, data])
  }
  is(wrong, [], 'one session, people by turns: each list is right')
  // PostgREST may have opened its one connection anew, when the schema had changed a moment before.
  is(sessions.size <= 2, true, `and it was one session, or two (${sessions.size})`)
  await planned(gateway, seen)
}

// What .explain() shows of a query through the API.
async function planned(gateway, seen) {
  const { send } = connect(gateway, { token: people.ada.token })
  const { text } = await send((db) => db.from('Client').select('id').explain())
  ok(/Index Cond: .*\bid = ANY/.test(text), 'the plan has the policy as an index condition', text)
  const { text: one } = await send((db) => db.from('Client').select('id').eq('id', seen.ada.others[0]).explain())
  const told = one.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? []
  is(new Set(told), new Set([seen.ada.others[0]]), 'no plan tells an id that the question did not contain', one)
}

// 200 requests of all people and kinds at once, over the few sessions of a pool.
async function crowd(gateway, label, seen) {
  const names = Object.keys(people)
  const kinds = Object.entries(questions)
  const asked = Array.from({ length: 200 }, async (_, i) => {
    const name = names[i % names.length]
    const [question, [ask, expected]] = kinds[(i * 7 + Math.floor(i / 4)) % kinds.length]
    const { send } = connect(gateway, { token: people[name].token })
    const { status, data } = await send((db) => ask(db, seen[name]))
    const right = status === 200 && JSON.stringify(data) === JSON.stringify(expected(seen[name]))
    return right ? [] : [`${name}: ${question}: ${status} ${JSON.stringify(data)?.slice(0, 200)}`]
  })
  is((await Promise.all(asked)).flat(), [], `${label}200 mixed requests at once: every answer is right`)
}

// Each change is committed between two requests; the next one sees it.
async function changes(gateway, label, seen) {
  const { id, token } = people.ada
  const { send } = connect(gateway, { token })
  const sees = async (client) => (await send((db) => list(db).eq('id', client))).data.length === 1
  const client = seen.ada.others.at(-1)
  const states = [await sees(client)]
  const change = async (text) => {
    await sql(text)
    states.push(await sees(client))
  }
  const where = `WHERE expert_id = '${id}' AND client_id = '${client}'`
  try {
    await change(`INSERT INTO expertassignment (expert_id, client_id) VALUES ('${id}', '${client}')`)
    await change(`UPDATE expertassignment SET status = 'inactive' ${where}`)
    await change(`UPDATE expertassignment SET status = 'active' ${where}`)
    await change(`BEGIN; DELETE FROM expertassignment ${where}; ROLLBACK`)
  } finally {
    await change(`DELETE FROM expertassignment ${where}`)
  }
  is(
    states,
    [false, true, false, true, true, false],
    `${label}assigned, paused, resumed, a rollback, taken away: each holds at the next request`,
  )
  is(columnsOf((await send(list)).data), seen.ada.clients, `${label}and the list is what it was`)
}

// No policy lets anybody through while its relation is not what it was.
async function relationGone(gateway, seen) {
  const definition = (filter) =>
    `SELECT pattyly.define_relation('client', 'public.expertassignment', 'expert_id', 'client_id', ${filter}, true)`
  const { send } = connect(gateway, { token: people.ben.token })
  const filter = "'status = ''active'''"
  try {
    await sql("SELECT pattyly.drop_relation('client')")
    const gone = await send(list)
    is([gone.status, gone.data, gone.error?.code], [400, null, '42704'], 'a relation that is gone: an error, no rows')
    ok(gone.error?.hint, 'with a hint', gone.text)
    await sql(definition("'status = ''inactive'''"))
    is(columnsOf((await send(list)).data), [], 'defined with another filter: other rows, at the next request')
  } finally {
    await sql(definition(filter))
  }
  is(columnsOf((await send(list)).data), seen.ben.clients, 'defined as it was: the same rows')
}

export default async function access({ direct, exposed, pooled }) {
  await configure({}, [])
  const seen = await picture()
  is(
    Object.values(seen).map(({ clients }) => clients.length),
    [1, 51, 31, 0],
    'cleo, ada, ben and anon have 1, 51, 31 and 0 clients',
  )
  const before = await superuser('SELECT md5(string_agg(c::text, $$ $$ ORDER BY id)) FROM "Client" AS c')
  await reads(direct, '', seen)
  await estimates(direct, seen)
  await learnsNothing(direct, seen)
  await assignmentsAreHidden(direct, exposed)
  await oneSession(seen)
  await crowd(direct, '', seen)
  await changes(direct, '', seen)
  await relationGone(direct, seen)
  if (pooled !== undefined) {
    await reads(pooled, 'pgbouncer: ', seen)
    await crowd(pooled, 'pgbouncer: ', seen)
    await changes(pooled, 'pgbouncer: ', seen)
  } else if (process.env.CI === 'true') fail('pgbouncer is there', 'pgbouncer is not installed')
  else skip('the same through pgbouncer', 'not covered: pgbouncer is not installed')
  is(
    await superuser('SELECT md5(string_agg(c::text, $$ $$ ORDER BY id)) FROM "Client" AS c'),
    before,
    'reading changed nothing',
  )
}
