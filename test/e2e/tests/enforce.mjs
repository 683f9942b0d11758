// An application function that counts by itself, with enforce_limit, gives its client the same 429.
import { connect } from '../lib/clients.mjs'
import { refused } from '../lib/expect.mjs'
import { configure } from '../lib/rules.mjs'
import { is } from '../lib/tap.mjs'

const limit = 'forgot-password' // 3 an hour, from the preset web-forms
const ask = (email) => (db) => db.rpc('forgot_password', { email })

export default async function enforce({ direct }) {
  await configure({ front: { max_hits: 2 } }, [])
  for (let i = 1; i <= 3; i += 1) {
    const { status, data, headers } = await connect(direct).send(ask('Ada@example.com'))
    is(
      [status, data, headers['x-application']],
      [200, 'sent', 'kept'],
      `enforce_limit within an RPC: call ${i} does what it is for`,
    )
  }
  const answer = await connect(direct).send(ask('ada@example.com'))
  refused(answer, { limit, q: 3 }, 'enforce_limit within an RPC')
  is(answer.data, null, 'enforce_limit within an RPC: nothing was sent')
  is((await connect(direct).send(ask('bob@example.com'))).status, 200, 'enforce_limit for another account')

  // The route counts the address, the function the account.
  await configure({}, [{ path: '/rpc/forgot_password', limits: ['front'] }])
  const { send } = connect(direct)
  refused(await send(ask('ada@example.com')), { limit, q: 3 }, 'a route that lets pass, then an enforce_limit')
  is((await send(ask('bob@example.com'))).status, 200, 'both let pass')
  refused(await send(ask('bob@example.com')), { limit: 'front', q: 2 }, 'the route refuses, before the function runs')
}
