// Tokens as Supabase Auth signs them (HS256).
import { createHmac } from 'node:crypto'

export const secret = 'a secret that only this test knows, 32 bytes at least'

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

export function sign(claims, key = secret) {
  const now = Math.floor(Date.now() / 1000)
  const head = encode({ alg: 'HS256', typ: 'JWT' })
  const body = encode({ aud: 'authenticated', iat: now, exp: now + 3600, ...claims })
  const signature = createHmac('sha256', key).update(`${head}.${body}`).digest('base64url')
  return `${head}.${body}.${signature}`
}

export const anonToken = sign({ role: 'anon' })
export const serviceToken = sign({ role: 'service_role' })
export const userToken = (sub) =>
  sign({ role: 'authenticated', sub, email: `${sub}@example.com`, aal: 'aal1', is_anonymous: false })
