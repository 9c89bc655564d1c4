/** Messages of the queues, sealed before the store sees them. Who has sent one, and when it ends, stays readable. */
import type { ContentSeal } from '../platform/runtime/content-seal.ts'
import type { MqMessage, MqStore, QueueName } from './store.ts'

export const createSealedMessages = (store: MqStore, content: ContentSeal): MqStore => {
  const bindingOf = ({ domain, hashDID }: QueueName, { id }: MqMessage) => [
    'mq',
    domain,
    hashDID,
    id,
    'message',
  ]
  const opened = (queue: QueueName, stored: MqMessage | undefined): MqMessage | undefined =>
    stored && { ...stored, message: content.open(bindingOf(queue, stored), stored.message) }
  return {
    ...store,
    put: (queue, message, limits) =>
      store.put(
        queue,
        { ...message, message: content.seal(bindingOf(queue, message), message.message) },
        limits,
      ),
    head: async (queue, now) => opened(queue, await store.head(queue, now)),
    take: async (queue, request) => opened(queue, await store.take(queue, request)),
  }
}
