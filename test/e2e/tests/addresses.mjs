// Who a request comes from, behind one trusted proxy (pattyly.trusted_proxies = 1): the gateway's word counts, the
// client's does not.
import { connect, freshAddress, rawRequest, straightRequest } from '../lib/clients.mjs'
import { passed, refused } from '../lib/expect.mjs'
import { configure, withSetting } from '../lib/rules.mjs'
import { is } from '../lib/tap.mjs'

const limit = 'by-address'
const q = 2
const read = (db) => db.from('notes').select()
const from = (gateway, peer, headers) => connect(gateway, { peer, headers }).send(read)

const claims = [
  '198.51.100.1',
  '198.51.100.2, 198.51.100.3',
  '127.0.0.1',
  '::1',
  'unknown',
  ',',
  '',
  '198.51.100.4,',
  `${'198.51.100.5, '.repeat(200)}x`,
]

async function spoofed(gateway) {
  const peer = freshAddress()
  passed(await from(gateway, peer), { limit, q, r: 1 }, 'an honest request')
  passed(
    await from(gateway, peer, { 'x-forwarded-for': '198.51.100.9' }),
    { limit, q, r: 0 },
    'a claimed address is not believed',
  )
  for (const claim of claims) {
    const answer = await from(gateway, peer, { 'x-forwarded-for': claim })
    is(answer.status, 429, `X-Forwarded-For: ${claim.slice(0, 40)} gets no fresh quota`)
  }
  for (const name of ['x-real-ip', 'forwarded', 'cf-connecting-ip', 'true-client-ip', 'x-client-ip'])
    is((await from(gateway, peer, { [name]: '198.51.100.9' })).status, 429, `${name} gets no fresh quota`)
  const lines = await rawRequest(gateway, '/notes', {
    peer,
    headers: { 'x-forwarded-for': ['198.51.100.9', '198.51.100.10'] },
  })
  is(lines.status, 429, 'two lines of X-Forwarded-For get no fresh quota')
  const ownLine = { 'x-forwarded-for': '198.51.100.9', 'x-test-own-line': 'yes' }
  is(
    (await rawRequest(gateway, '/notes', { peer, headers: ownLine })).status,
    429,
    'nor when the proxy adds a line of its own',
  )
  passed(await from(gateway, '198.51.100.9'), { limit, q, r: 1 }, 'and whose address was claimed keeps their quota')
}

async function ipv6(gateway) {
  passed(await from(gateway, '2001:db8:0:aa00::1'), { limit, q, r: 1 }, 'IPv6: an address')
  passed(
    await from(gateway, '2001:db8:0:aaff:ffff:ffff:ffff:ffff'),
    { limit, q, r: 0 },
    'IPv6: another of the same /56',
  )
  refused(await from(gateway, '2001:0DB8:0000:AA42::abcd'), { limit, q }, 'IPv6: a third of the same /56')
  passed(await from(gateway, '2001:db8:0:ab00::1'), { limit, q, r: 1 }, 'IPv6: the next /56')
}

async function mapped(gateway) {
  passed(await from(gateway, '203.0.113.7'), { limit, q, r: 1 }, 'IPv4: an address')
  passed(
    await from(gateway, '::ffff:203.0.113.7'),
    { limit, q, r: 0 },
    'IPv4: the same as a dual-stack socket writes it',
  )
  refused(await from(gateway, '::FFFF:cb00:7107'), { limit, q }, 'IPv4: the same in hexadecimal')
  refused(await from(gateway, '203.0.113.7:51234'), { limit, q }, 'IPv4: the same with a port')
  passed(await from(gateway, '203.0.113.8'), { limit, q, r: 1 }, 'IPv4: the next one is somebody else')
}

// Nobody has vouched for anything: no silent "allowed".
async function withoutProxy(gateway) {
  const { status, text } = await straightRequest(gateway, '/notes')
  is([status, JSON.parse(text).code], [400, '22023'], 'a request that came around the proxy is an error')
}

async function clientIp(gateway) {
  const ask = (db) => db.schema('pattyly').rpc('client_ip')
  const told = async (peer, headers) => (await connect(gateway, { peer, headers }).send(ask)).data
  is(await told('203.0.113.9'), '203.0.113.9', 'client_ip() over HTTP')
  is(await told('203.0.113.9', { 'x-forwarded-for': '198.51.100.1' }), '203.0.113.9', 'client_ip() behind a claim')
  is(await told('::ffff:203.0.113.9'), '203.0.113.9', 'client_ip() of a mapped address')
  is(await told('2001:db8::1'), '2001:db8::1', 'client_ip() is the whole IPv6 address')
}

// pattyly.trusted_proxies and client_ip_header as other set-ups have them.
async function otherProxies(gateways) {
  const [gateway] = gateways
  const ask = (db) => db.schema('pattyly').rpc('client_ip')
  const told = async (peer, headers) => (await connect(gateway, { peer, headers }).send(ask)).data
  await withSetting(gateways, 'pattyly.trusted_proxies', '10.255.0.0/16, 2001:db8:ffff::/48', async () => {
    is(
      await told('10.255.0.1', { 'x-forwarded-for': '198.51.100.20' }),
      '198.51.100.20',
      'networks: a trusted proxy is believed',
    )
    is(await told('203.0.113.60', { 'x-forwarded-for': '198.51.100.20' }), '203.0.113.60', 'networks: others are not')
    is(
      await told('10.255.0.1', { 'x-forwarded-for': '198.51.100.21, 198.51.100.20, 2001:db8:ffff::9' }),
      '198.51.100.20',
      'networks: a chain of trusted proxies ends at the first other address',
    )
    is(await told('10.255.0.1', { 'x-forwarded-for': 'nonsense' }), null, 'networks: what cannot be read is nobody')
  })
  await withSetting(gateways, 'pattyly.trusted_proxies', '2', async () => {
    is(
      await told('10.255.0.1', { 'x-forwarded-for': '198.51.100.21, 198.51.100.20' }),
      '198.51.100.20',
      'two proxies: the second from the right',
    )
    is(await told('10.255.0.1'), null, 'two proxies: a list that is too short is nobody')
  })
  await withSetting(gateways, 'pattyly.client_ip_header', 'CF-Connecting-IP', async () => {
    is(await told('10.255.0.1', { 'cf-connecting-ip': '198.51.100.22' }), '198.51.100.22', 'another header')
  })
  await withSetting(gateways, 'pattyly.trusted_proxies', '0', async () => {
    is(
      await told('10.255.0.1', { 'x-forwarded-for': '198.51.100.20' }),
      null,
      'no proxy is trusted: a Unix socket has no address',
    )
  })
}

export default async function addresses({ direct, exposed }) {
  await configure({ [limit]: { max_hits: q } }, [{ path: '/notes', limits: [limit] }])
  await spoofed(direct)
  await ipv6(direct)
  await mapped(direct)
  await withoutProxy(direct)
  await clientIp(exposed)
  await otherProxies([exposed, direct])
}
