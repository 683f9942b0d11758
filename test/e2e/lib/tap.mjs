// The Test Anything Protocol, flat: one line an assertion.
import { inspect, isDeepStrictEqual } from 'node:util'

let count = 0
let failed = 0

const comment = (text) => console.log(String(text).replace(/^/gm, '# '))

function report(passed, name, explain = '') {
  count += 1
  console.log(`${passed ? 'ok' : 'not ok'} ${count} - ${name.replace(/#/g, '\\#')}`)
  if (passed) return
  failed += 1
  comment(explain)
}

export const ok = (condition, name, explain) => report(Boolean(condition), name, explain)

export const is = (got, wanted, name) =>
  report(isDeepStrictEqual(got, wanted), name, `got:    ${inspect(got)}\nwanted: ${inspect(wanted)}`)

export const between = (got, low, high, name) =>
  report(got >= low && got <= high, name, `got:    ${inspect(got)}\nwanted: ${low} to ${high}`)

export const fail = (name, error) => report(false, name, error?.stack ?? error)

export function skip(name, reason) {
  count += 1
  console.log(`ok ${count} - ${name} # SKIP ${reason}`)
}

export const note = comment

export function finish() {
  console.log(`1..${count}`)
  if (failed > 0) comment(`${failed} of ${count} failed`)
  return failed === 0 ? 0 : 1
}
