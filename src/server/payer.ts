/** Who pays: what rows keep of an address, equal for equal addresses and no address; and the payer of a request. */
import { createHmac } from 'node:crypto'
import { IncomingMessage } from 'node:http'
import type { Context } from 'hono'
import type { Budgets } from '../platform/budgets/budgets.ts'
import { createPayers, HOUSE, type Payer } from '../platform/budgets/payer.ts'
import { createFairQueue } from '../platform/concurrency/fair-queue.ts'
import type { ClientAddress } from '../platform/net/client-address.ts'

const PAYER_CHARACTERS = 11

/** 11 characters of base64url, 66 bits of HMAC-SHA256; '' for ''. They change with the secret. */
export const createPayerOf =
  (secret: Uint8Array) =>
  (address: string): string =>
    address === ''
      ? ''
      : createHmac('sha256', secret).update(`payer ${address}`).digest('base64url').slice(0, PAYER_CHARACTERS)

/** As Node's server has it; a request that came by no socket is the house's own. */
const incomingOf = ({ env }: Context<{ Bindings: { incoming?: unknown } }>): IncomingMessage | undefined =>
  env?.incoming instanceof IncomingMessage ? env.incoming : undefined

/** The address block that a request came from; '' for the house. */
export const contextAddress =
  (addressOf: ClientAddress) =>
  (c: Context): string => {
    const incoming = incomingOf(c)
    return incoming ? addressOf(incoming) : ''
  }

export const createPayerFor = (addressOf: ClientAddress, budgets: Pick<Budgets, 'work' | 'state'>) => {
  const payerOf = createPayers({ budgets, queue: createFairQueue() })
  return (c: Context): Payer => {
    const incoming = incomingOf(c)
    return incoming ? payerOf(addressOf(incoming)) : HOUSE
  }
}
