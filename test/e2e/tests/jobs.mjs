// A role of the application that was granted it schedules through the API, as itself and nobody else.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../lib/clients.mjs'
import { sql, superuser } from '../lib/database.mjs'
import { sign } from '../lib/jwt.mjs'
import { configure } from '../lib/rules.mjs'
import { is } from '../lib/tap.mjs'

const outcome = ({ status, error }) => [status, error?.code]

async function finished(send, id) {
  for (let tries = 0; tries < 200; tries += 1) {
    const { data } = await send((db) => db.schema('pattyly').from('job_runs').select('state, command_tag, error').eq('id', id))
    if (!['starting', 'no_slot', 'running'].includes(data?.[0]?.state)) return data?.[0]
    await sleep(50)
  }
  return 'late'
}

export default async function jobs({ exposed }) {
  await configure({}, [])
  const { send } = connect(exposed, { token: sign({ role: 'app_jobs' }) })
  const rpc = (name, args) => send((db) => db.schema('pattyly').rpc(name, args))
  const command = 'CREATE TEMP TABLE who AS SELECT current_user; SELECT 1/(current_user = \'app_jobs\')::int FROM who'
  await sql("SELECT pattyly.schedule_job('theirs', '@yearly', 'SELECT 1')")
  const made = await rpc('schedule_job', { name: 'mine', schedule: '30 2 * * *', command, timezone: 'Europe/Paris' })
  is([made.status, typeof made.data], [200, 'number'], 'app_jobs may schedule a job')
  is(await superuser("SELECT owner FROM pattyly.jobs WHERE name = 'mine'"), 'app_jobs', 'which is its own')
  const run = await rpc('run_job', { name: 'mine' })
  is(
    await finished(send, run.data),
    { state: 'succeeded', command_tag: 'SELECT 1; SELECT 1', error: null },
    'and runs as app_jobs',
  )
  const status = await send((db) => db.schema('pattyly').from('job_status').select('job, last_status'))
  is(status.data, [{ job: 'mine', last_status: 'succeeded' }], 'of all jobs it sees that one')
  const broken = await rpc('schedule_job', { name: 'mine', schedule: '30 2 * *', command })
  is(outcome(broken), [400, '22023'], 'a schedule that is none is an error of the client')
  const nights = await rpc('next_runs', { schedule: '30 2 * * *', timezone: 'Europe/Paris', after: '2026-03-28T12:00:00Z', n: 1 })
  is(nights.data?.map((at) => Date.parse(at)), [Date.UTC(2026, 2, 29, 1)], 'next_runs explains a night without 02:30')
  for (const [name, args] of Object.entries({
    schedule_job: { name: 'theirs', schedule: '@daily', command },
    run_job: { name: 'theirs' },
    unschedule_job: { name: 'theirs' },
    pause_job: { name: 'mine' },
    load_maintenance: {},
  }))
    is(outcome(await rpc(name, args)), [403, '42501'], `it may not: ${name} ${args.name ?? ''}`)
  is((await rpc('unschedule_job', { name: 'mine' })).data, true, 'it removes its job')
  await sql("SELECT pattyly.unschedule_job('theirs')")
}
