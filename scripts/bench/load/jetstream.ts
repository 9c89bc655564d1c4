/** A client of NATS JetStream: a stream in a file, and a durable consumer a subscriber that acknowledges each message. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Connect } from './link.ts'

const STREAM = 'bench'

export const connectJetStream: Connect = async (url, name, onMessage) => {
  const connection = await connect({ servers: url })
  const manager = await jetstreamManager(connection)
  await manager.streams.add({ name: STREAM, subjects: [`${STREAM}.>`], storage: 'file' })
  const stream = jetstream(connection)
  return {
    async subscribe(topic) {
      const durable = {
        durable_name: name,
        ack_policy: 'explicit',
        filter_subject: `${STREAM}.${topic}`,
      } as const
      await manager.consumers.add(STREAM, durable)
      const consumer = await stream.consumers.get(STREAM, name)
      await consumer.consume({
        callback(message) {
          message.ack()
          onMessage(message.string())
        },
      })
    },
    publish: (topic, message) => stream.publish(`${STREAM}.${topic}`, message),
    close: () => connection.close(),
  }
}
