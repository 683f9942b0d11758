// Who writes what: insert, update, delete, upsert and what they return, as far as the policies of app-access.sql let
// each of the four go. After every refusal the superuser looks whether anything happened.
import { connect } from '../lib/clients.mjs'
import { sql, superuser } from '../lib/database.mjs'
import { clientsOf, everyClient, ids, people, tokenOf } from '../lib/people.mjs'
import { configure } from '../lib/rules.mjs'
import { is, ok } from '../lib/tap.mjs'

const unknown = '00000000-0000-4000-8000-000000000000'

const everything = () =>
  superuser(`SELECT md5(concat(
    (SELECT string_agg(c::text, ';' ORDER BY id) FROM "Client" AS c),
    (SELECT string_agg(m::text, ';' ORDER BY id) FROM client_messages AS m),
    (SELECT string_agg(a::text, ';' ORDER BY id) FROM expertassignment AS a)))`)

const messagesAt = (client) => superuser(`SELECT count(*) FROM client_messages WHERE client_id = '${client}'`)

const write = (db) => db.from('client_messages')
const refusal = (name) => [name === 'anon' ? 401 : 403, '42501']
const outcome = ({ status, error }) => [status, error?.code]

// What an expert does all day.
async function expert(gateway, label) {
  const { send } = connect(gateway, { token: people.ada.token })
  const [client] = await clientsOf(people.ada)
  const body = `${label}How are you?`
  const inserted = await send((db) =>
    write(db).insert({ client_id: client, body }).select('id, client_id, author, body'),
  )
  const [row] = inserted.data ?? []
  is(
    [inserted.status, { ...row, id: 0 }],
    [201, { id: 0, client_id: client, author: ids.ada, body }],
    `${label}ada writes to her client, is the author by default and gets the row back`,
  )
  const changed = await send((db) => write(db).update({ body: 'Well?' }).eq('id', row.id).select('id, body'))
  is(changed.data, [{ id: row.id, body: 'Well?' }], `${label}changes what she wrote`)
  const several = await send((db) =>
    write(db)
      .insert([1, 2].map((n) => ({ client_id: client, body: `${body} ${n}` })))
      .select('id'),
  )
  is([several.status, several.data?.length], [201, 2], `${label}inserts two at once`)
  const taken = [row, ...several.data].map(({ id }) => id)
  const deleted = await send((db) => write(db).delete({ count: 'exact' }).in('id', taken).select('id'))
  is(deleted.data?.map(({ id }) => id).sort(), taken.sort(), `${label}and deletes all three, which come back`)
  const silent = await send((db) => write(db).insert({ client_id: client, body }))
  is([silent.status, silent.text], [201, ''], `${label}inserts without asking for the row`)
  await send((db) => write(db).delete().eq('body', body))
  const renamed = await send((db) =>
    db.from('Client').update({ name: 'Renamed' }, { count: 'exact' }).eq('id', client).select('id, name'),
  )
  is(
    [renamed.data, renamed.headers['content-range']],
    [[{ id: client, name: 'Renamed' }], '0-0/1'],
    `${label}changes the client`,
  )
  await sql(`UPDATE "Client" SET name = 'Client ' || split_part(email, '@', 1) WHERE id = '${client}'`)
}

// A statement without a WHERE of its own reaches the caller's rows and no other; it is rolled back at the end.
async function wholeTable(gateway, label) {
  for (const [name, person] of Object.entries(people)) {
    const { send } = connect(gateway, { token: person.token })
    const clients = await clientsOf(person)
    const updated = await send((db) =>
      db.from('Client').update({ email: 'x@example.com' }).not('id', 'is', null).select('id').rollback(),
    )
    is(
      updated.data?.map(({ id }) => id).sort(),
      [...clients].sort(),
      `${label}${name}: an update of every row changes ${clients.length}`,
    )
    const deleted = await send((db) => write(db).delete().not('id', 'is', null).select('client_id').rollback())
    is(
      deleted.data?.map(({ client_id }) => client_id).sort(),
      [...clients].sort(),
      `${label}${name}: a delete of every message takes those of ${clients.length}`,
    )
    const gone = await send((db) => db.from('Client').delete().not('id', 'is', null).select('id').rollback())
    is(
      gone.data?.map(({ id }) => id),
      clients.filter((id) => id === person.id),
      `${label}${name}: a delete of every client takes at most himself`,
    )
  }
}

// Rows of others: nothing is found, nothing may be put there, and an id that exists looks like one that does not.
async function otherRows(gateway, label) {
  const every = await everyClient()
  for (const [name, person] of Object.entries(people)) {
    const { send } = connect(gateway, { token: person.token })
    const clients = await clientsOf(person)
    const other = every.find((id) => !clients.includes(id))
    const at = (table, use) => send((db) => use(db.from(table)))
    const updated = await at('Client', (t) => t.update({ name: 'mine' }).eq('id', other).select())
    is([updated.status, updated.data], [200, []], `${label}${name}: an update of somebody else's client finds none`)
    const deleted = await at('client_messages', (t) => t.delete().eq('client_id', other).select())
    is([deleted.status, deleted.data], [200, []], `${label}${name}: a delete of his messages finds none`)
    const texts = []
    for (const client_id of [other, unknown]) {
      const message = await at('client_messages', (t) => t.insert({ client_id, body: 'psst' }))
      const client = await at('Client', (t) => t.insert({ id: client_id, name: 'mine' }))
      const upserted = await at('Client', (t) => t.upsert({ id: client_id, name: 'mine' }))
      const ignored = await at('Client', (t) => t.upsert({ id: client_id, name: 'mine' }, { ignoreDuplicates: true }))
      for (const [what, answer] of Object.entries({ message, client, upserted, ignored }))
        is(
          outcome(answer),
          refusal(name),
          `${label}${name}: ${what} for ${client_id === other ? 'another' : 'nobody'}: refused`,
        )
      texts.push([message, client, upserted, ignored].map(({ text }) => text))
    }
    is(texts[0], texts[1], `${label}${name}: whether the id exists makes no difference to what is said`)
    ok(!texts.flat().some((text) => text.includes(other)), `${label}${name}: which does not contain it`, texts)
    const assigned = await at('expertassignment', (t) =>
      t.insert({ expert_id: person.id ?? unknown, client_id: other }),
    )
    is(outcome(assigned), refusal(name), `${label}${name}: may not assign himself`)
    for (const use of [(t) => t.update({ status: 'active' }), (t) => t.delete()]) {
      const { status, data } = await at('expertassignment', (t) => use(t).not('id', 'is', null).select())
      is([status, data], [200, []], `${label}${name}: nor change or take away an assignment`)
    }
  }
}

// A row may not be moved to where its writer has no access.
async function moved(gateway, label) {
  const { send } = connect(gateway, { token: people.ada.token })
  const clients = await clientsOf(people.ada)
  const other = (await everyClient()).find((id) => !clients.includes(id))
  const move = (client_id) =>
    send((db) => write(db).update({ client_id }).eq('client_id', clients[0]).select('client_id'))
  is(outcome(await move(other)), [403, '42501'], `${label}a message cannot be moved to somebody else's client`)
  is(outcome(await move(unknown)), [403, '42501'], `${label}nor to nobody`)
  // With neither a filter nor a row to return no policy for SELECT has a say.
  const blind = await send((db) => write(db).update({ client_id: other }).rollback())
  is(outcome(blind), [403, '42501'], `${label}nor all of hers at once, unseen`)
  const mixed = [clients[0], other].map((client_id) => ({ client_id, body: 'both or none' }))
  is(
    outcome(await send((db) => write(db).insert(mixed))),
    [403, '42501'],
    `${label}of two rows one is refused: both are`,
  )
  const renumbered = await send((db) => db.from('Client').update({ id: unknown }).eq('id', clients[0]))
  is(outcome(renumbered), [403, '42501'], `${label}a client cannot be given another id`)
}

// Somebody who has just signed up makes, changes and removes himself.
async function newcomer(gateway, label) {
  const id = ids.newcomer
  const { send } = connect(gateway, { token: tokenOf(id) })
  const at = (use) => send((db) => use(db.from('Client')).select('id, name'))
  try {
    is((await send((db) => db.from('Client').select('id'))).data, [], `${label}a newcomer sees nothing`)
    const inserted = await at((t) => t.insert({ id, name: 'New' }))
    is([inserted.status, inserted.data], [201, [{ id, name: 'New' }]], `${label}makes himself`)
    const again = await at((t) => t.insert({ id, name: 'New' }))
    is(outcome(again), [409, '23505'], `${label}once`)
    const upserted = await at((t) => t.upsert({ id, name: 'Newer' }))
    is(
      [upserted.status, upserted.data],
      [200, [{ id, name: 'Newer' }]],
      `${label}an upsert of what is there changes it`,
    )
    const ignored = await at((t) => t.upsert({ id, name: 'Ignored' }, { ignoreDuplicates: true }))
    is([ignored.status, ignored.data], [201, []], `${label}or leaves it`)
    is(outcome(await send((db) => write(db).insert({ client_id: id, body: 'Hi' }))), [201, undefined], `${label}writes`)
    const removed = await at((t) => t.delete().eq('id', id))
    is(removed.data, [{ id, name: 'Newer' }], `${label}and removes himself`)
    is(await messagesAt(id), '0', `${label}and what he wrote, by the foreign key`)
    const made = await at((t) => t.upsert({ id, name: 'Back' }))
    is([made.status, made.data], [201, [{ id, name: 'Back' }]], `${label}an upsert of what is not there makes it`)
  } finally {
    await sql(`DELETE FROM "Client" WHERE id = '${id}'`)
  }
}

// Twelve at once for each, over a pool of few sessions: what is written carries its own writer's name.
async function everybodyAtOnce(gateway, label) {
  const names = ['cleo', 'ada', 'ben']
  const client = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, (await clientsOf(people[name]))[0]])),
  )
  const body = `${label}at once`
  const answers = await Promise.all(
    Array.from({ length: 36 }, (_, i) => {
      const name = names[i % 3]
      const { send } = connect(gateway, { token: people[name].token })
      return send((db) => write(db).insert({ client_id: client[name], body }).select('author, client_id'))
    }),
  )
  const wrong = answers.filter(
    ({ status, data }, i) =>
      status !== 201 || data[0].author !== ids[names[i % 3]] || data[0].client_id !== client[names[i % 3]],
  )
  is(wrong, [], `${label}36 inserts of three people at once: each is its writer's`)
  const wanted = names.map((name) => `${ids[name]}|${client[name]}|12`).sort()
  const written = await superuser(
    `SELECT author, client_id, count(*) FROM client_messages WHERE body = '${body}' GROUP BY 1, 2 ORDER BY 1`,
  )
  is(written.split('\n'), wanted, `${label}and the table says so, too`)
  await sql(`DELETE FROM client_messages WHERE body = '${body}'`)
}

export default async function accessWrite({ direct, pooled }) {
  await configure({}, [])
  const before = await everything()
  for (const [gateway, label] of [
    [direct, ''],
    [pooled, 'pgbouncer: '],
  ].filter(([there]) => there !== undefined)) {
    await expert(gateway, label)
    await wholeTable(gateway, label)
    await otherRows(gateway, label)
    await moved(gateway, label)
    await newcomer(gateway, label)
    await everybodyAtOnce(gateway, label)
    is(await everything(), before, `${label}after all of this the tables are what they were`)
  }
}
