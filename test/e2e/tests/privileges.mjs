// What the API roles may not do, even where an administrator has put pattyly among the API schemas.
import { connect } from '../lib/clients.mjs'
import { sql } from '../lib/database.mjs'
import { anonToken, serviceToken, userToken } from '../lib/jwt.mjs'
import { ids } from '../lib/people.mjs'
import { configure } from '../lib/rules.mjs'
import { is } from '../lib/tap.mjs'

const victim = '203.0.113.77'
const calls = {
  allow: { name: 'login', key: victim },
  check_limit: { name: 'login', key: victim },
  'check_limit without a rule': { key: victim, max_hits: 1, per: '1 hour' },
  check_limits: { names: ['login'], key: victim },
  peek_limit: { name: 'login', key: victim },
  enforce_limit: { name: 'login', key: victim },
  refund_limit: { name: 'login', key: victim },
  reset_limit: { name: 'login', key: victim },
  'reset_limit of all keys': { name: 'login' },
  set_limit: { name: 'login', max_hits: 1000, per: '1 second' },
  drop_limit: { name: 'login' },
  load_preset: { preset: 'api' },
  block_key: { name: 'login', key: victim, duration: '1 hour' },
  unblock_key: { name: 'login', key: victim },
  top_keys: {},
  read_limit_stats: {},
  read_limit_memory: {},
  grant_api: {},
  revoke_api: {},
  run_api_grants: { service_role: 'anon', api_roles: ['anon'], granting: true },
  is_preloaded: {},
  define_relation: {
    name: 'r',
    assignments: 'expertassignment',
    subject_column: 'expert_id',
    object_column: 'client_id',
  },
  drop_relation: { name: 'client' },
  protect: { target: 'notes', owner_column: 'id' },
  unprotect: { target: '"Client"' },
  login_as: { uid: ids.ada },
  'login_as a role that may more': { uid: ids.ada, role: 'service_role' },
  visible_rows: { target: '"Client"', uid: ids.ada },
  explain_access: { target: '"Client"', key: ids.cleo, uid: ids.ada },
  schedule_job: { name: 'j', schedule: '@daily', command: 'SELECT 1' },
  unschedule_job: { name: 'j' },
  run_job: { name: 'j' },
  cancel_job: { name: 'j' },
  pause_job: { name: 'j' },
  resume_job: { name: 'j' },
  resume_jobs: {},
  next_runs: { schedule: '@daily' },
  is_job_at_home: { system_identifier: 1, database_id: 1 },
  load_maintenance: {},
  maintenance_jobs: {},
  check_errors: {},
  check_health: {},
  record_sizes: {},
  partition_table: { parent: 'letters', control: 'created_at', every: '1 year' },
  forget_partitions: { parent: 'letters' },
  partition_plan: { parent: 'letters', upto: '2030-01-01' },
  partition_extreme: { target: 'letters', control: 'created_at', from_pos: 0, to_pos: null, highest: true },
  partition_children: { parent: 'letters' },
  run_as_owner: { target: 'letters', statements: ['SELECT 1'] },
  make_partition: { parent: 'letters', name: 'x', from_value: '2000-01-01', to_value: '2000-02-01' },
  lock_partition_set: { parent: 'letters' },
  expire_partition: { parent: 'letters', partition: 'letters_default' },
  cancel_conversion: { target: 'chats' },
  convert_run: { target: 'letters', statement: 'SELECT 1' },
}
const procedures = {
  maintain_partitions: {},
  convert_table: { target: 'notes', control: 'id', every: '1000' },
  drain_default: { parent: 'letters' },
}
// What a service token may: to count, no more.
const forServices = [
  'allow',
  'check_limit',
  'check_limit without a rule',
  'check_limits',
  'peek_limit',
  'enforce_limit',
  'refund_limit',
]
const views = ['limit_stats', 'limit_memory', 'job_status', 'partitions']
const relations = [
  ...['limits', 'routes', 'ip_list', 'api_bundles', 'relations', 'jobs', 'job_runs', 'partition_sets'],
  ...['leaving_partitions', 'conversions', 'size_history', 'error_counters', ...views],
]

const ask = (call) => (db) => db.schema('pattyly').rpc(call.split(' ')[0], calls[call])
const outcome = ({ status, error }) => [status, error?.code]

async function refusedAll(gateway, role, token, status) {
  const { send } = connect(gateway, { token })
  const denied = [status, '42501']
  for (const [name, args] of Object.entries(procedures))
    is(outcome(await send((db) => db.schema('pattyly').rpc(name, args))), [404, 'PGRST202'], `${role} finds no ${name}`)
  for (const call of Object.keys(calls)) is(outcome(await send(ask(call))), denied, `${role} may not call ${call}`)
  for (const name of relations) {
    const at = (use) => send((db) => use(db.schema('pattyly').from(name)))
    is(outcome(await at((table) => table.select())), denied, `${role} may not read ${name}`)
    if (views.includes(name)) continue
    is(outcome(await at((table) => table.insert({}))), denied, `${role} may not write to ${name}`)
    is(
      outcome(await at((table) => table.delete().not(Object.keys(columns[name])[0], 'is', null))),
      denied,
      `${role} may not delete from ${name}`,
    )
    is(
      outcome(await at((table) => table.update(columns[name]).not(Object.keys(columns[name])[0], 'is', null))),
      denied,
      `${role} may not change ${name}`,
    )
  }
}
const columns = {
  limits: { name: 'x' },
  routes: { path: '/x' },
  ip_list: { network: '0.0.0.0/0' },
  api_bundles: { object: 'x' },
  relations: { name: 'x' },
  jobs: { command: 'SELECT 1' },
  job_runs: { job_name: 'x' },
  partition_sets: { every: '1 day' },
  leaving_partitions: { on_expire: 'drop' },
  conversions: { every: '1 day' },
  size_history: { bytes: 0 },
  error_counters: { name: 'x' },
}

async function allowedToAnybody(gateway, role, token) {
  const { send, peer } = connect(gateway, { token })
  is((await send((db) => db.schema('pattyly').rpc('client_ip'))).data, peer, `${role} may ask client_ip()`)
  is(
    (await send((db) => db.schema('pattyly').rpc('client_key', { address: '2001:db8::1' }))).data,
    '2001:db8::/56',
    `${role} may ask client_key()`,
  )
  is((await send((db) => db.schema('pattyly').rpc('pre_request'))).status, 204, `${role} may call pre_request()`)
  const { error } = await send((db) => db.schema('pattyly').rpc('logout'))
  is(error?.code, '55000', `${role} may call logout(), which undoes no login but that of login_as()`)
}

async function services(gateway) {
  const { send } = connect(gateway, { token: serviceToken })
  const expected = {
    allowed: true,
    limit_name: 'login',
    max_hits: 10,
    remaining: 9,
    retry_at: null,
    retry_after: null,
    reason: null,
  }
  const answer = await send(ask('check_limit'))
  const { reset_at, ...rest } = answer.data
  is([answer.status, rest], [200, expected], 'service_role may call check_limit')
  is(Date.parse(reset_at) > Date.now(), true, 'which says when the window ends')
  is((await send(ask('allow'))).data, true, 'service_role may call allow')
  is((await send(ask('peek_limit'))).data.remaining, 8, 'service_role may call peek_limit')
  is((await send(ask('refund_limit'))).data.remaining, 9, 'service_role may call refund_limit')
  is((await send(ask('check_limits'))).data.remaining, 8, 'service_role may call check_limits')
  is(outcome(await send(ask('enforce_limit'))), [204, undefined], 'service_role may call enforce_limit')
  is(
    (await send(ask('check_limit without a rule'))).data.allowed,
    true,
    'service_role may call check_limit without a rule',
  )
  const headers = (db) => db.schema('pattyly').rpc('limit_headers', { result: answer.data })
  is(
    Object.keys((await send(headers)).data).sort(),
    ['RateLimit', 'RateLimit-Policy'],
    'service_role may call limit_headers',
  )
  for (const call of Object.keys(calls).filter((name) => !forServices.includes(name)))
    is(outcome(await send(ask(call))), [403, '42501'], `service_role may not call ${call}`)
  for (const name of relations)
    is(
      outcome(await send((db) => db.schema('pattyly').from(name).select())),
      [403, '42501'],
      `service_role may not read ${name}`,
    )
}

// Where pattyly is no API schema, as it should be, none of it can even be named.
async function notExposed(gateway) {
  const { send } = connect(gateway, { token: serviceToken })
  is(outcome(await send(ask('check_limit'))), [406, 'PGRST106'], 'not an API schema: functions cannot be named')
  is(outcome(await send((db) => db.schema('pattyly').from('limits').select())), [406, 'PGRST106'], 'nor tables')
  is(outcome(await send((db) => db.rpc('check_limit', calls.check_limit))), [404, 'PGRST202'], 'nor without the schema')
}

const everything = `SELECT md5(concat(
  (SELECT string_agg(l::text, ';' ORDER BY l) FROM pattyly.limits AS l),
  (SELECT string_agg(r::text, ';' ORDER BY r) FROM pattyly.routes AS r),
  (SELECT string_agg(i::text, ';') FROM pattyly.ip_list AS i),
  (SELECT string_agg(r::text, ';') FROM pattyly.relations AS r),
  (SELECT string_agg(p::text, ';') FROM pg_policies AS p),
  (SELECT string_agg(s::text, ';') FROM pattyly.partition_sets AS s),
  (SELECT count(*) FROM pattyly.jobs),
  (SELECT string_agg(nspacl::text, ';') FROM pg_namespace WHERE nspname = 'pattyly'),
  (SELECT string_agg(proacl::text, ';' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'pattyly'::regnamespace)))`

export default async function privileges({ direct, exposed }) {
  await configure({ login: { max_hits: 10 } }, [])
  const before = await sql(everything)
  const user = userToken('5f0c1a7e-7e57-4000-8000-0000000000d1')
  await refusedAll(exposed, 'anon', anonToken, 401)
  await refusedAll(exposed, 'authenticated', user, 403)
  await allowedToAnybody(exposed, 'anon', anonToken)
  await allowedToAnybody(exposed, 'authenticated', user)
  await services(exposed)
  await notExposed(direct)
  is(await sql(everything), before, 'none of it changed a limit, a route, a list, a relation, a policy or a privilege')
}
