// Applications: supabase-js as it is, with a fetch that keeps the response which supabase-js does not hand out.
import { once } from 'node:events'
import http from 'node:http'
import { createClient } from '@supabase/supabase-js'
import { anonToken } from './jwt.mjs'

let addresses = 0

// Counts outlive a test, so each test brings clients of its own.
export function freshAddress() {
  addresses += 1
  return `10.0.${addresses >> 8}.${addresses & 255}`
}

// Node.js before 22 has no WebSocket, which supabase-js asks for even when nobody subscribes to anything.
class NoSocket {}

export function connect(gateway, { token = anonToken, peer = freshAddress(), headers = {}, schema = 'public' } = {}) {
  let seen
  const keepResponse = async (url, options) => {
    const response = await fetch(url, options)
    seen = { response, text: await response.clone().text() }
    return response
  }
  const client = createClient(gateway.url, anonToken, {
    accessToken: async () => token,
    db: { schema },
    global: { fetch: keepResponse, headers: { 'x-test-peer': peer, ...headers } },
    realtime: { transport: NoSocket },
  })
  // One request: send((db) => db.from('messages').select()).
  const send = async (ask) => {
    const result = await ask(client)
    return { ...answer(seen.response), text: seen.text, data: result.data, error: result.error }
  }
  return { send, peer }
}

const answer = (response) => ({
  status: response.status,
  reason: response.statusText,
  headers: Object.fromEntries(response.headers),
  cookies: response.headers.getSetCookie(),
})

async function request(options, body) {
  const outgoing = http.request({ agent: false, ...options })
  outgoing.end(body)
  const [response] = await once(outgoing, 'response')
  const text = Buffer.concat(await response.toArray()).toString()
  return { status: response.statusCode, reason: response.statusMessage, headers: response.headers, text }
}

// A request that no well-behaved client would write: the path goes out as it stands, a header given as an array is sent
// once for each of its values.
export function rawRequest(gateway, path, { method = 'GET', headers = {}, body, peer = freshAddress() } = {}) {
  const { hostname, port } = new URL(gateway.url)
  const own = { apikey: anonToken, authorization: `Bearer ${anonToken}`, 'x-test-peer': peer }
  return request({ hostname, port, method, path: `/rest/v1${path}`, headers: { ...own, ...headers } }, body)
}

// Past the gateway, for what a gateway would not let through.
export const straightRequest = (gateway, path, headers = {}) =>
  request({ socketPath: gateway.socketPath, path, headers })
