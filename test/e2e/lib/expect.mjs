// What an answer must be. The header fields are those of draft-ietf-httpapi-ratelimit-headers-10.
import { between, is } from './tap.mjs'

// Time passes while we test: t, the seconds until there is more quota, is compared apart from the rest.
const withoutTime = (field) => field?.replace(/;t=\d+/g, '')
const times = (field) => [...(field ?? '').matchAll(/;t=(\d+)/g)].map(([, t]) => Number(t))

const slow = 60 // seconds that a loaded machine may need between two requests
const soonest = (w) => Math.max(1, w - slow)

export const french = (seconds) =>
  `Trop de tentatives. Veuillez attendre ${Math.floor(seconds / 60)}m ${seconds % 60}s avant de réessayer.`
export const english = (seconds) =>
  `Too many attempts. Please wait ${Math.floor(seconds / 60)}m ${seconds % 60}s before trying again.`

export const refusal = (message, details) => ({ code: 'rate_limited', message, details, hint: null })

// A window of w seconds with q units of which r are left.
export function passed(answer, { limit, q, w = 3600, r, status = 200 }, name) {
  const { ratelimit, 'ratelimit-policy': policy, 'retry-after': wait } = answer.headers
  is(
    [answer.status, policy, withoutTime(ratelimit), wait],
    [status, `"${limit}";q=${q};w=${w}`, `"${limit}";r=${r}`, undefined],
    `${name}: ${status}, ${r} of ${q} left`,
  )
  between(times(ratelimit)[0], soonest(w), w, `${name}: RateLimit says when the window ends`)
}

export function refused(answer, { limit, q, w = 3600, text = french, withBody = true }, name) {
  const { ratelimit, 'ratelimit-policy': policy, 'retry-after': wait } = answer.headers
  is(
    [answer.status, answer.reason, policy, withoutTime(ratelimit)],
    [429, 'Too Many Requests', `"${limit}";q=${q};w=${w}`, `"${limit}";r=0`],
    `${name}: 429 with the standard reason, none of ${q} left`,
  )
  is(/^[1-9][0-9]*$/.test(wait), true, `${name}: Retry-After is a number of seconds (${wait})`)
  between(Number(wait), soonest(w), w, `${name}: Retry-After is when the window ends`)
  is(times(ratelimit), [Number(wait)], `${name}: RateLimit says the same time as Retry-After`)
  if (withBody) is(JSON.parse(answer.text), refusal(text(Number(wait)), `${limit}: limited`), `${name}: the body`)
}

// Of several limits: the policies and what is left, in the order of the route.
export function told(answer, status, limits, name) {
  const { ratelimit, 'ratelimit-policy': policy } = answer.headers
  const list = (item) => limits.map(item).join(', ')
  is(
    [answer.status, policy, withoutTime(ratelimit)],
    [status, list(([limit, , q, w]) => `"${limit}";q=${q};w=${w}`), list(([limit, r]) => `"${limit}";r=${r}`)],
    `${name}: ${status}, left: ${list(([limit, r]) => `${limit} ${r}`)}`,
  )
}

export function uncounted(answer, name, status = 200) {
  is(
    [answer.status, answer.headers.ratelimit, answer.headers['ratelimit-policy']],
    [status, undefined, undefined],
    `${name}: ${status} without RateLimit headers`,
  )
}
