// With the clock standing still every header is known to the last digit.
import { connect } from '../lib/clients.mjs'
import { configure, withSetting } from '../lib/rules.mjs'
import { french, refusal } from '../lib/expect.mjs'
import { is } from '../lib/tap.mjs'

const limits = {
  fixed: { max_hits: 2, per: '1 minute', algorithm: 'fixed_window' },
  calendar: { max_hits: 2, per: '1 minute', algorithm: 'calendar_window' },
  smooth: { max_hits: 6, per: '1 minute', algorithm: 'gcra', burst: 2 },
  log: { max_hits: 2, per: '1 minute', algorithm: 'sliding_log' },
}
const asks = {
  fixed: (db) => db.from('notes').select(),
  calendar: (db) => db.from('messages').select('body').limit(1),
  smooth: (db) => db.rpc('quote_price', { product: 'tea' }),
  log: (db) => db.rpc('login', { email: 'a', password: 'b' }),
}
const routes = [
  { path: '/notes', limits: ['fixed'] },
  { path: '/messages', limits: ['calendar'] },
  { path: '/rpc/quote_price', limits: ['smooth'] },
  { path: '/rpc/login', limits: ['log'] },
]

// RateLimit is about when there is more quota: at the end of a window, with the next unit of gcra.
// At each time: the calls, as [units left, t], and a refusal as ['refused', t].
const story = [
  [
    '2027-03-01 12:00:10+00',
    {
      fixed: [
        [1, 60],
        [0, 60],
        ['refused', 60],
      ],
      calendar: [
        [1, 50],
        [0, 50],
        ['refused', 50],
      ],
      smooth: [
        [1, 10],
        [0, 10],
        ['refused', 10],
      ],
      log: [
        [1, 60],
        [0, 60],
        ['refused', 60],
      ],
    },
  ],
  [
    '2027-03-01 12:00:55.5+00',
    { fixed: [['refused', 15]], calendar: [['refused', 5]], smooth: [[1, 10]], log: [['refused', 15]] },
  ],
  ['2027-03-01 12:01:10+00', { fixed: [[1, 60]], calendar: [[1, 50]], smooth: [[1, 10]], log: [[1, 60]] }],
]

function wanted(limit, [left, t]) {
  const ratelimit = `"${limit}";r=${left === 'refused' ? 0 : left};t=${t}`
  const policy = `"${limit}";q=${limits[limit].max_hits};w=60`
  if (left !== 'refused') return { status: 200, ratelimit, policy, wait: undefined, body: undefined }
  return { status: 429, ratelimit, policy, wait: String(t), body: refusal(french(t), `${limit}: limited`) }
}

const got = ({ status, headers, text }) => ({
  status,
  ratelimit: headers.ratelimit,
  policy: headers['ratelimit-policy'],
  wait: headers['retry-after'],
  body: status === 429 ? JSON.parse(text) : undefined,
})

export default async function clock({ direct }) {
  await configure(limits, routes)
  const { send } = connect(direct)
  for (const [time, calls] of story) {
    await withSetting([direct], 'pattyly.frozen_clock', time, async () => {
      for (const [limit, outcomes] of Object.entries(calls))
        for (const outcome of outcomes)
          is(got(await send(asks[limit])), wanted(limit, outcome), `${time} ${limit}: ${outcome}`)
    })
  }
}
