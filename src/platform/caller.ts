/**
 * Whose a request is, for limits. Behind a proxy every connection is the proxy's; a proxy stands near, so what is said by
 * a neighbour about where a request came from is believed, and what is said by the public internet is not. Of IPv6 a
 * caller has a whole network (/64), not one address.
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { isPublicAddress } from './public-address.ts'

const MAPPED = /^::ffff:(?=\d+\.)/i
const NETWORK_GROUPS = 4

const networkOf = (address: string): string => {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - front.length - back.length }, () => '0')
  return `${[...front, ...zeros, ...back].slice(0, NETWORK_GROUPS).join(':')}::/64`
}

export const callerOf = (request: Pick<IncomingMessage, 'headers' | 'socket'>): string => {
  const near = (request.socket.remoteAddress ?? '').replace(MAPPED, '')
  const said = request.headers['x-forwarded-for']
  // The last one is what the proxy itself saw; those before it are what its caller said.
  const last = (Array.isArray(said) ? said.join(',') : (said ?? '')).split(',').at(-1)?.trim() ?? ''
  const address = last.replace(MAPPED, '')
  return networkOf(!isPublicAddress(near) && isIP(address) !== 0 ? address : near)
}
