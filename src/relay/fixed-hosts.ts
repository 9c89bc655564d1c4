/**
 * Relays whose hosts are fixed in published clients. A client of these that is led here by name has tokens that are made out to
 * its fixed host, and they are refused as long as the operator has not named that host as an alias.
 *
 * Only these are ever named in advice. A token for any other host may be one that its own server was given: with that host as an
 * alias, whoever runs it could use its clients' tokens here.
 */
import { FIXED_RELAY_HOSTS } from '../platform/net/fixed-hosts.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { HOUR_MS } from '../platform/units.ts'

const FIXED_RELAYS = FIXED_RELAY_HOSTS.map((host) => `https://${host}:443`)

/** Says once an hour for each of these hosts which alias is missing. */
export const createOtherServerWarning = ({ clock, log }: { clock: Clock; log: Log }) => {
  const said = new Map<string, number>()
  return (origin: string): void => {
    const now = clock.now()
    if (!FIXED_RELAYS.includes(origin) || (said.get(origin) ?? 0) + HOUR_MS > now) return
    said.set(origin, now)
    const alias = origin.replace(/:443$/, '')
    log.warn(
      { alias },
      `Clients that are led here have tokens for ${alias}, which are refused: name it in BELFRY_ALIASES`,
    )
  }
}
