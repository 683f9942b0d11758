// Prints "round case operations-per-second".
//   node main.mjs ROUNDS MILLISECONDS        PGHOST and the like, REDIS_SOCKET
import pg from 'pg'
import { createClient } from '@redis/client'

const rounds = Number(process.argv[2])
const milliseconds = Number(process.argv[3])
const widths = [1, 16]
const keys = 10000

const redis = createClient({ socket: { path: process.env.REDIS_SOCKET } })
redis.on('error', (error) => { console.error(error); process.exit(1) })
await redis.connect()

const connections = await Promise.all(Array.from({ length: Math.max(...widths) }, async () => {
  const client = new pg.Client()
  await client.connect()
  return client
}))

const random = () => 1 + Math.floor(Math.random() * keys)

const lookup = (pgClient, id) => pgClient.query({
  name: 'lookup', text: 'SELECT name, email FROM bench.users WHERE id = $1', values: [id],
})
const lookupAllow = (pgClient, id, key) => pgClient.query({
  name: 'lookup-allow',
  text: "SELECT name, email FROM bench.users WHERE id = $1 AND pattyly.allow('login', $2)", values: [id, key],
})
const allow = (pgClient, key) => pgClient.query({
  name: 'allow', text: "SELECT pattyly.allow('login', $1)", values: [key],
})
const upsert = (pgClient, key) => pgClient.query({
  name: 'upsert',
  text: `INSERT INTO bench.hits AS h VALUES ($1, now(), 1) ON CONFLICT (key) DO UPDATE
         SET hits = CASE WHEN h.opened + interval '1 hour' > now() THEN h.hits + 1 ELSE 1 END,
             opened = CASE WHEN h.opened + interval '1 hour' > now() THEN h.opened ELSE now() END
         RETURNING hits <= 10`,
  values: [key],
})
const hit = (key) => redis.multi().incr(`login:${key}`).expire(`login:${key}`, 3600).exec()

const cases = {
  lookup: (c) => lookup(c, random()),
  'lookup-allow': (c) => lookupAllow(c, random(), String(random())),
  'lookup-redis': async (c) => { await hit(random()); await lookup(c, random()) },
  'lookup-upsert': async (c) => { await upsert(c, String(random())); await lookup(c, random()) },
  allow: (c) => allow(c, String(random())),
  redis: () => hit(random()),
  upsert: (c) => upsert(c, String(random())),
}

async function measure (operation, width, duration) {
  const from = performance.now()
  const end = from + duration
  let done = 0
  await Promise.all(connections.slice(0, width).map(async (c) => {
    while (performance.now() < end) {
      await operation(c)
      done++
    }
  }))
  return done / ((performance.now() - from) / 1000)
}

// The compiler of Node needs a while, and so do plans.
for (const operation of Object.values(cases)) await measure(operation, Math.max(...widths), 300)

const names = Object.keys(cases)
for (let round = 1; round <= rounds; round++) {
  for (const width of widths) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length]
      console.log(round, `${name}@${width}`, (await measure(cases[name], width, milliseconds)).toFixed(1))
    }
  }
}

await Promise.all(connections.map((c) => c.end()))
await redis.close()
