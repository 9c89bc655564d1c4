/** Whether a URL that somebody else names may be called later, told when it is named and not at the first call. */
import { isIP } from 'node:net'
import { ProtocolError } from '../../protocol/errors.ts'
import { systemClock } from '../runtime/clock.ts'
import type { AddressRules } from './public-address.ts'
import { createResolver } from './resolver.ts'

export interface UrlCheckOptions {
  /** All addresses of a host. Default: a resolver of its own. */
  resolve?: (host: string) => Promise<readonly { address: string }[]>
}

/** Throws `bad_params` with the reason, the field being `url`. What a name leads to may change: calls are checked again. */
export const createUrlCheck = (
  rules: AddressRules,
  { resolve = createResolver({ clock: systemClock }, { isSystemName: rules.isNamed }) }: UrlCheckOptions = {},
): ((url: string) => Promise<void>) => {
  const refuse = (why: string | undefined): void => {
    if (why !== undefined) throw new ProtocolError('bad_params', `url: ${why}`, { field: 'url' })
  }
  return async (text) => {
    if (!URL.canParse(text)) refuse('it is not a URL')
    const url = new URL(text)
    refuse(rules.refusalOfUrl(url))
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    const addresses =
      isIP(literal) === 0 ? await resolve(url.hostname).catch(() => []) : [{ address: literal }]
    if (addresses.length === 0) refuse('its name has no address')
    for (const { address } of addresses) refuse(rules.refusalOfAddress(url, address))
  }
}
