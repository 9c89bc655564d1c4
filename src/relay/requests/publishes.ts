import { MAX_ITEMS_IN_PROGRESS } from '../../platform/budgets/work-gate.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { RelayParams } from '../../protocol/relay-methods.ts'
import { messageIdOf } from '../../protocol/topic.ts'
import type { RelayLimits } from '../limits.ts'
import type { Publisher } from '../publish-batcher.ts'
import type { NewMessage } from '../store.ts'
import type { Caller, Reply } from './caller.ts'

type Publish = Pick<RelayParams<'irn_publish'>, 'topic' | 'message' | 'ttl' | 'tag' | 'attestation'> &
  Partial<Pick<RelayParams<'irn_publish'>, 'prompt'>>

/**
 * Stores the messages in their order, as many at once as a payer may have in progress, then answers `true`. `answered` is
 * called after the answer.
 */
export type PublishAll = (
  caller: Caller,
  messages: readonly Publish[],
  reply: Reply,
  answered?: () => void,
) => void

export const createPublishAll = ({
  clock,
  limits,
  publisher,
}: {
  clock: Clock
  limits: Pick<RelayLimits, 'unattendedTtlMs'>
  publisher: Pick<Publisher, 'publish'>
}): PublishAll => {
  const newMessage = (caller: Caller, publish: Publish): NewMessage => {
    const now = clock.now()
    return {
      topic: publish.topic,
      message: publish.message,
      id: messageIdOf(publish.message),
      tag: publish.tag,
      attestation: publish.attestation,
      publisher: caller.clientId,
      publishedAt: now,
      expiresAt: now + publish.ttl * 1000,
      payer: caller.payer,
      ...(publish.prompt !== undefined && { prompt: publish.prompt }),
      ...(!caller.trusted && { unattendedUntil: now + limits.unattendedTtlMs }),
    }
  }

  const publishAll: PublishAll = (caller, messages, reply, answered) => {
    // What the house publishes is not divided.
    const count = caller.address === '' ? messages.length : MAX_ITEMS_IN_PROGRESS
    publisher.publish(
      messages.slice(0, count).map((message) => newMessage(caller, message)),
      caller.address,
      (error) => {
        if (error === undefined && messages.length > count) {
          return publishAll(caller, messages.slice(count), reply, answered)
        }
        // What is dropped is answered `true`, too: published clients do not survive an error here.
        if (error === undefined) reply.answer(true)
        else reply.fail(error)
        answered?.()
      },
    )
  }
  return publishAll
}
