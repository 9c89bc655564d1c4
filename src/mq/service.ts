/**
 * The message hub: a queue per reader and domain, for agents that cannot hold a socket (MQ Hub, RFC-130).
 *
 * | use case | asks for                                             | refuses with                                          |
 * |----------|------------------------------------------------------|-------------------------------------------------------|
 * | token    | a domain that is on                                  | method_not_allowed, bad_params, rate_limited          |
 * | put      | a token of the queue; a proof where a sender is named | the same, forbidden, too_large, quota_reached          |
 * | peek     | a token of the queue, signed by its reader           | the same as token, forbidden                          |
 * | take     | the same                                             | the same; of an id that is not there: not_found       |
 * | remove   | the same                                             | the same                                              |
 *
 * Guarantees: a message is durable before its put is answered; messages of a queue are given in the order in which the
 * store has taken them, so those of one sender, each put after the answer to the one before, in theirs; one that is
 * taken is given to one caller. The hub knows neither who reads nor what.
 *
 * Anybody can put into the queue of anybody, so what a queue holds has bounds and an end:
 * - One whose reader was there within 30 days has the length and the life that its domain says. Another one, which may be
 *   nobody's, has 128 messages for a day.
 * - Where it is full, who has less than a 64th of it there still gets in: the oldest message of the payer with most of
 *   them gives way. So one address fills no queue, and destroys no more than a 64th of what others have there.
 * - Whoever puts pays for what is kept (`platform/budgets/budgets`).
 */

import { WORK_COST } from '../platform/budgets/work-budget.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Meter } from '../platform/telemetry.ts'
import { DAY_MS } from '../platform/units.ts'
import { toBase64url, utf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import {
  type Access,
  type Caller,
  type Credentials,
  createAccess,
  type MqDomain,
  type MqLimits,
  workOf,
} from './access.ts'
import { FOOTHOLD_SHARE, UNATTENDED_MAX_MESSAGES, UNATTENDED_TTL_MS } from './limits.ts'
import type { Polls } from './polls.ts'
import type { Proofs } from './proof.ts'
import { messageProofText } from './signers.ts'
import type { MqMessage, MqStore, QueueName } from './store.ts'
import type { Tokens } from './token.ts'

export type { Caller, Credentials, MqDomain } from './access.ts'

/** Who wants to be known as the sender. */
export interface SenderProof {
  did: string
  signature: string
  /** Whether it signed `messageProofText`; else the token alone. */
  coversMessage: boolean
}

export interface MqHub {
  /** Those that are on. */
  readonly domains: readonly string[]
  /** Throws `method_not_allowed` for a domain that is not on. */
  domain(name: string): MqDomain
  /** `expires`: unix ms. */
  token(queue: QueueName, caller: Caller): Promise<{ token: string; expires: number }>
  /** Looks at the token alone: before a body is read. */
  admit(queue: QueueName, token: string | undefined): Promise<void>
  put(
    queue: QueueName,
    request: {
      token: string | undefined
      message: string
      sender?: SenderProof | undefined
      caller: Caller
    },
  ): Promise<{ id: string }>
  /** The oldest message; waits for one. Undefined when none came. */
  peek(queue: QueueName, credentials: Credentials, signal: AbortSignal): Promise<MqMessage | undefined>
  /** The same, and removes it. With an id it does not wait. */
  take(
    queue: QueueName,
    credentials: Credentials,
    signal: AbortSignal,
    id?: string,
  ): Promise<MqMessage | undefined>
  /** Idempotent. */
  remove(queue: QueueName, credentials: Credentials, id: string): Promise<void>
}

export interface MqHubDeps {
  store: MqStore
  tokens: Tokens
  proofs: Proofs
  polls: Polls
  limits: MqLimits
  clock: Clock
  meter: Meter
  randomBytes: (length: number) => Uint8Array
}

/** What an id of ours may look like; another one names nothing. */
const ID = /^[\w-]{1,64}$/

const keyOf = ({ domain, hashDID }: QueueName): string => `${domain}/${hashDID}`

const prove = (
  proofs: Proofs,
  { did, signature, coversMessage }: SenderProof,
  token: string,
  message: string,
): Promise<void> => proofs.sender(did, coversMessage ? messageProofText(token, message) : token, signature)
const provenBy = ({ did, coversMessage }: SenderProof): Pick<MqMessage, 'sender' | 'messageSigned'> => ({
  sender: did,
  ...(coversMessage && { messageSigned: true }),
})

/** A put: charged, proved and bounded before anything is written. */
const createPut = (
  { store, tokens, proofs, limits, clock, meter, randomBytes }: MqHubDeps,
  access: Access,
): MqHub['put'] => {
  return async (queue, { token, message, sender, caller }) => {
    const { messageBytes, queueLength, ttlDays } = access.known(queue)
    await tokens.verify(token, queue)
    await limits.take('mqPut', `${keyOf(queue)} ${caller.name}`)
    const bytes = utf8(message).length
    if (bytes === 0) throw new ProtocolError('bad_params', 'the message is empty', { field: 'message' })
    if (bytes > messageBytes) throw new ProtocolError('too_large')
    await caller.work(WORK_COST.item + (sender ? workOf(sender.signature) : 0))
    if (sender) await prove(proofs, sender, token ?? '', message)
    const now = clock.now()
    const isAttended = (await store.attendedUntil(queue, now)) > 0
    const most = isAttended ? queueLength : Math.min(queueLength, UNATTENDED_MAX_MESSAGES)
    const life = isAttended ? ttlDays * DAY_MS : Math.min(ttlDays * DAY_MS, UNATTENDED_TTL_MS)
    await caller.keep(bytes, life)
    const id = toBase64url(randomBytes(18))
    const isKept = await store.put(
      queue,
      {
        ...{ id, message, expiresAt: now + life },
        ...(sender && provenBy(sender)),
        ...(caller.name !== '' && { payer: caller.name }),
      },
      { now, most, foothold: Math.max(1, Math.floor(most * FOOTHOLD_SHARE)) },
    )
    if (!isKept) throw new ProtocolError('quota_reached')
    meter.count('mq_put_total')
    return { id }
  }
}

export const createMqHub = (
  deps: MqHubDeps,
  { domains }: { domains: ReadonlyMap<string, MqDomain> },
): MqHub => {
  const { store, tokens, polls, limits, clock, meter } = deps
  const access = createAccess(deps, domains)

  const removed = (message: MqMessage | undefined): MqMessage | undefined => {
    if (message) meter.count('mq_taken_total')
    return message
  }

  return {
    domains: [...domains].filter(([, { enabled }]) => enabled).map(([name]) => name),
    domain: access.domain,

    async token(queue, caller) {
      access.known(queue)
      await caller.work(WORK_COST.token)
      await limits.take('mqToken', `${keyOf(queue)} ${caller.name}`)
      return tokens.issue(queue)
    },

    async admit(queue, token) {
      access.known(queue)
      await tokens.verify(token, queue)
    },

    put: createPut(deps, access),

    async peek(queue, credentials, signal) {
      const { connectionTimeout: timeoutMs } = await access.authorise(queue, credentials)
      return polls.wait(queue, () => store.head(queue, clock.now()), { timeoutMs, signal })
    },

    async take(queue, credentials, signal, id) {
      const { connectionTimeout: timeoutMs } = await access.authorise(queue, credentials)
      const now = () => ({ now: clock.now() })
      if (id !== undefined) {
        const found = ID.test(id) ? removed(await store.take(queue, { ...now(), id })) : undefined
        if (!found) throw new ProtocolError('not_found')
        return found
      }
      return removed(await polls.wait(queue, () => store.take(queue, now()), { timeoutMs, signal }))
    },

    async remove(queue, credentials, id) {
      await access.authorise(queue, credentials)
      if (ID.test(id) && (await store.remove(queue, id))) meter.count('mq_taken_total')
    },
  }
}
