/** Answers that are sent at once, because nothing was committed: histories and faults. */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { NotifyRow } from '../../protocol/notify-methods.ts'
import { createMessageWriter, type MessageWriterDeps } from '../outbox/signed-messages.ts'
import type { OutgoingMessage } from '../outbox/wire.ts'
import type { RelayLink } from '../relay/link.ts'
import type { OutboxTask } from '../store/store.ts'
import type { RequestKey } from './decrypt.ts'

export type Answer = Pick<
  Extract<OutboxTask, { kind: 'response' }>,
  'rpcId' | 'signerKey' | 'claims' | 'error'
>

/** Resolves with the message when the relay has it; undefined when the app is gone and nothing was sent. */
export type Respond = (
  row: NotifyRow,
  requestKey: RequestKey,
  id: string,
  answer: Answer,
) => Promise<OutgoingMessage | undefined>

export const createResponder =
  ({
    writer,
    relay,
    clock,
  }: {
    writer: MessageWriterDeps
    relay: Pick<RelayLink, 'publish'>
    clock: Clock
  }): Respond =>
  async (row, requestKey, id, answer) => {
    const createdAt = clock.now()
    const message = await createMessageWriter(writer).write({
      id: `response:${id}`,
      task: {
        kind: 'response',
        topic: requestKey.answerTopic,
        key: requestKey.sealedKey,
        tag: row.responseTag,
        signer: requestKey.app?.record.domain ?? null,
        ...answer,
      },
      createdAt,
      expiresAt: createdAt + row.responseTtl * 1000,
    })
    if (message) await relay.publish(message)
    return message
  }
