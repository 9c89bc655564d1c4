/**
 * Who may do something with a queue: the domain is on, the token is of the queue, its reader signed it. Whoever reads keeps
 * the queue attended.
 */
import type { Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { isHashDid } from './dids.ts'
import { ATTENDED_MS, type MqRate } from './limits.ts'
import type { Proofs } from './proof.ts'
import type { MqStore, QueueName } from './store.ts'
import type { Tokens } from './token.ts'

/** What a domain allows. */
export interface MqDomain {
  enabled: boolean
  /** Of one message, in UTF-8. */
  messageBytes: number
  /** Messages of one queue. */
  queueLength: number
  ttlDays: number
  /** How long a reader waits for a message, ms. */
  connectionTimeout: number
}

/** How much may be asked how fast; throws `rate_limited`. */
export interface MqLimits {
  take(name: MqRate, key: string): Promise<void>
}

/** Who asks, as far as is known. */
export interface Caller extends Payer {
  /** Of its address; '' for the house. */
  name: string
}

/** Who asks for what is in a queue: the token, and the proof of having its reader's key. */
export interface Credentials {
  token: string | undefined
  signature: string
  caller: Caller
}

/** What proving a signature costs: a secp256k1 key is recovered, an Ed25519 signature only verified. */
export const workOf = (signature: string): number =>
  signature.includes('.') ? WORK_COST.token : WORK_COST.signature

/** When a reader comes again within this time, nothing is written. */
const ATTEND_EVERY_MS = 86_400_000

export interface Access {
  /** Throws `method_not_allowed` for a domain that is not on. */
  domain(name: string): MqDomain
  /** The domain of the queue. Throws `method_not_allowed`, and `bad_params` for what names no queue. */
  known(queue: QueueName): MqDomain
  /** The same for the reader of the queue, who is charged. Throws `forbidden` and `rate_limited`, too. */
  authorise(queue: QueueName, credentials: Credentials): Promise<MqDomain>
}

export const createAccess = (
  deps: {
    store: Pick<MqStore, 'attendedUntil' | 'attend'>
    tokens: Tokens
    proofs: Proofs
    limits: MqLimits
    clock: Clock
  },
  domains: ReadonlyMap<string, MqDomain>,
): Access => {
  const { store, tokens, proofs, limits, clock } = deps

  const domain = (name: string): MqDomain => {
    const settings = domains.get(name)
    if (!settings?.enabled) throw new ProtocolError('method_not_allowed', 'the domain has no message queues')
    return settings
  }

  const known = (queue: QueueName): MqDomain => {
    const settings = domain(queue.domain)
    if (!isHashDid(queue.hashDID)) {
      throw new ProtocolError('bad_params', 'hashDID must be the SHA-256 of a DID in base58', {
        field: 'hashDID',
      })
    }
    return settings
  }

  /** Not written where its address may have nothing more stored: reading goes on. */
  const attend = async (queue: QueueName, { keep }: Caller): Promise<void> => {
    const now = clock.now()
    if ((await store.attendedUntil(queue, now)) > now + ATTENDED_MS - ATTEND_EVERY_MS) return
    const isPaid = await keep(0, ATTENDED_MS).then(
      () => true,
      () => false,
    )
    if (isPaid) await store.attend(queue, now + ATTENDED_MS, now)
  }

  return {
    domain,
    known,
    async authorise(queue, { token, signature, caller }) {
      const settings = known(queue)
      // By the token, not by the queue: strangers cannot use up what its reader may ask.
      await limits.take('mqGet', await tokens.verify(token, queue))
      await caller.work(workOf(signature))
      await proofs.reader(queue, token ?? '', signature)
      await attend(queue, caller)
      return settings
    },
  }
}
