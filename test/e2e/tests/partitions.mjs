// Partitioned tables with a policy on the parent: everything works through the parent, and a partition that is asked
// directly, attached, default or gone, gives nothing more.
import { isDeepStrictEqual } from 'node:util'
import { connect } from '../lib/clients.mjs'
import { session, superuser } from '../lib/database.mjs'
import { serviceToken } from '../lib/jwt.mjs'
import { ids, people } from '../lib/people.mjs'
import { configure } from '../lib/rules.mjs'
import { is, ok } from '../lib/tap.mjs'

const year = new Date().getUTCFullYear()
const tables = ['letters', 'chats']
const callers = { anon: people.anon, ada: people.ada, ben: people.ben }
const lines = (text) => (text === '' ? [] : text.split('\n'))
const outcome = ({ status, error }) => [status, error?.code]
const refusal = (name) => [name === 'anon' ? 401 : 403, '42501']

const everything = () =>
  superuser(`SELECT l FROM (
    SELECT 'letters', id, client_id, body, created_at FROM letters
    UNION ALL SELECT 'chats', id, client_id, body, created_at FROM chats
    ${gone.map(({ schema, name }) => `UNION ALL SELECT '${name}', id, client_id, body, created_at FROM ${schema}.${name}`).join(' ')}) AS l ORDER BY l`)

const idsOf = async (table, { id }) =>
  lines(await superuser(`SELECT id FROM ${table} WHERE client_id = '${id ?? ids.newcomer}' ORDER BY id`)).map(Number)

const partitionOf = (table, id) => superuser(`SELECT tableoid::regclass FROM ${table} WHERE id = ${id}`)

// Of letters it was made by hand.
const lastYear = (table) => (table === 'letters' ? 'letters_last_year' : `chats_${year - 1}`)

// What has left, by the year in its name.
const gone = [
  ...[3, 2].map((n) => ({ schema: 'public', name: `letters_${year - n}` })),
  { schema: 'public', name: 'letters_by_hand' },
  ...[4, 3, 2].map((n) => ({ schema: 'archive', name: `chats_${year - n}` })),
]

async function attached() {
  const text = await superuser(`SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('letters'::regclass, 'chats'::regclass) ORDER BY 1`)
  return lines(text).map((name) => ({ schema: 'public', name }))
}

async function reads(gateway, table) {
  for (const [name, person] of Object.entries(callers)) {
    const { send } = connect(gateway, { token: person.token })
    const { data, status } = await send((db) => db.from(table).select('id').order('id'))
    const own = await idsOf(table, person)
    is([status, data?.map(({ id }) => id)], [200, own], `${table}: ${name} sees the own ${own.length}`)
  }
}

async function writes(gateway, table) {
  const { send } = connect(gateway, { token: people.ada.token })
  const at = (use) => send((db) => use(db.from(table)).select('id, client_id, body'))
  const created = (y) => `${y}-06-01T12:00:00Z`
  const inserted = await at((t) => t.insert({ body: 'Hello', created_at: created(year) }))
  const [row] = inserted.data ?? []
  is([inserted.status, row?.client_id], [201, ids.ada], `${table}: ada inserts and gets the row back`)
  is(await partitionOf(table, row.id), `${table}_${year}`, `${table}: which is in the partition of its year`)
  const moved = await at((t) => t.update({ created_at: created(year - 1) }).eq('id', row.id))
  is([moved.status, moved.data?.length], [200, 1], `${table}: an update that moves it to another partition`)
  is(await partitionOf(table, row.id), lastYear(table), `${table}: has moved it`)
  const key = { id: row.id, created_at: created(year - 1) }
  const onConflict = 'id,created_at'
  const upserted = await at((t) => t.upsert({ ...key, body: 'Upserted' }, { onConflict }))
  is([upserted.status, upserted.data?.[0].body], [200, 'Upserted'], `${table}: an upsert of what is there changes it`)
  const ignored = await at((t) => t.upsert({ ...key, body: 'No' }, { onConflict, ignoreDuplicates: true }))
  is([ignored.status, ignored.data], [201, []], `${table}: or leaves it`)
  const other = { body: 'psst', client_id: ids.ben, created_at: created(year) }
  is(outcome(await at((t) => t.insert(other))), [403, '42501'], `${table}: nobody inserts for somebody else`)
  const given = await at((t) => t.update({ client_id: ids.ben, created_at: created(year) }).eq('id', row.id))
  is(outcome(given), [403, '42501'], `${table}: nor gives a row away, not even into another partition`)
  const deleted = await at((t) => t.delete().eq('id', row.id))
  is(deleted.data?.length, 1, `${table}: and deletes it`)
  const bens = await send((db) => db.from(table).delete().eq('client_id', ids.ben).select())
  is([bens.status, bens.data], [200, []], `${table}: but finds nothing of Ben's to delete`)
}

// A time that the partition holds, so that nothing but a missing right is in the way.
const inside = async ({ schema, name }) =>
  (await superuser(`SELECT max(created_at) FROM ${schema}.${name}`)) || `${/\d{4}$/.test(name) ? name.slice(-4) : year - 1}-06-01`

// Refused, as if it were empty, or not even known: PostgREST takes no partition for a table that can be written to.
const closed = (answer, name) =>
  isDeepStrictEqual(outcome(answer), refusal(name)) || answer.status === 404 || (answer.status === 200 && answer.data?.length === 0)

async function directly(gateway, partition) {
  const { schema, name: table } = partition
  const created_at = await inside(partition)
  const any = Number(await superuser(`SELECT coalesce(max(id), 0) FROM ${schema}.${table}`))
  for (const [name, person] of Object.entries(callers)) {
    const { send } = connect(gateway, { token: person.token })
    const at = (use) => send((db) => use(db.schema(schema).from(table)))
    const row = { id: 900_000, client_id: person.id ?? ids.ada, body: 'in by the window', created_at }
    const tries = {
      reads: await at((t) => t.select()),
      counts: await at((t) => t.select('id').limit(1)),
      changes: await at((t) => t.update({ body: 'changed' }).eq('id', any).select()),
      removes: await at((t) => t.delete().eq('id', any).select()),
    }
    const open = Object.entries(tries).filter(([, answer]) => !closed(answer, name))
    ok(open.length === 0, `${name}: ${table} shows and gives nothing`, JSON.stringify(open.map(([w, a]) => [w, a.status, a.text])))
    // Without a row to return no policy for SELECT has a say.
    const blind = {
      takes: await at((t) => t.insert(row)),
      replaces: await at((t) => t.upsert(row, { onConflict: 'id,created_at' })),
      'changes unseen': await at((t) => t.update({ body: 'changed' }).gt('id', 0)),
      'removes unseen': await at((t) => t.delete().gt('id', 0)),
    }
    const through = Object.entries(blind).filter(([, { status, error }]) => status !== 404 && error?.code !== '42501')
    is(through.map(([what, { status }]) => [what, status]), [], `${name}: ${table} takes and changes nothing unseen`)
  }
}

// The same without PostgREST, which hides some of it: each statement in a subtransaction that is undone.
const attempt = `CREATE FUNCTION pg_temp.attempt(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE n bigint;
  BEGIN
    PERFORM set_config('role', role, true);
    EXECUTE statement;
    GET DIAGNOSTICS n = ROW_COUNT;
    RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = n || ' rows';
  EXCEPTION WHEN OTHERS THEN RETURN CASE SQLSTATE WHEN 'P0001' THEN SQLERRM ELSE SQLSTATE END;
  END $$`

async function inSql(partitions) {
  const tries = []
  for (const { schema, name } of partitions) {
    const values = `(900001, '${ids.ada}', 'x', '${await inside({ schema, name })}')`
    for (const role of ['anon', 'authenticated'])
      for (const statement of [
        `SELECT FROM ${schema}.${name}`,
        `INSERT INTO ${schema}.${name} (id, client_id, body, created_at) VALUES ${values}`,
        `UPDATE ${schema}.${name} SET body = 'x'`,
        `DELETE FROM ${schema}.${name}`,
        `TRUNCATE ${schema}.${name}`,
      ])
        tries.push({ role, statement })
  }
  const quote = (text) => `'${text.replaceAll("'", "''")}'`
  const calls = tries.map(({ role, statement }) => `SELECT pg_temp.attempt('${role}', ${quote(statement)})`)
  const claims = `SET request.jwt.claims = '{"sub": "${ids.ada}", "role": "authenticated"}'`
  const answers = lines(await session([attempt, claims, ...calls], 'supabase_admin'))
  const open = tries.map((one, i) => ({ ...one, answer: answers[i] })).filter(({ answer }) => answer !== '42501')
  is([answers.length, open], [tries.length, []], `in SQL ${tries.length} statements on partitions are refused`)
}

// Past policies anyway: the same through a partition as through the parent.
async function service(gateway, table) {
  const { send } = connect(gateway, { token: serviceToken })
  const all = await send((db) => db.from(table).select('id').order('id'))
  const parts = (await attached()).filter(({ name }) => name.startsWith(table))
  const found = []
  for (const { name } of parts) found.push(...(await send((db) => db.from(name).select('id'))).data.map(({ id }) => id))
  is(found.sort((a, b) => a - b), all.data.map(({ id }) => id), `service_role: the partitions of ${table} are what ${table} is`)
}

export default async function partitions({ exposed }) {
  await configure({}, [])
  const before = await everything()
  const there = await attached()
  is(
    there.map(({ name }) => name),
    [
      ...[1, 0, -1].map((n) => `chats_${year - n}`),
      ...[0, -1].map((n) => `letters_${year - n}`),
      'letters_default',
      'letters_last_year',
      'letters_later',
    ],
    'the partitions that are kept',
  )
  for (const table of tables) {
    await reads(exposed, table)
    await writes(exposed, table)
    await service(exposed, table)
  }
  for (const partition of [...there, ...gone]) await directly(exposed, partition)
  await inSql([...there, ...gone])
  is(lines(await everything()), lines(before), 'after all of this both tables are what they were')
}
