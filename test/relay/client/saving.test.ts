/** What is handled at once and saved later: acknowledged after it is saved, and not before. */
import { expect, test } from 'vitest'
import { rpcResult } from '../../../src/protocol/jsonrpc.ts'
import { eventually } from '../../support/eventually.ts'
import { connect, randomMessage, randomTopic, startScripted } from '../../support/world/scripted-relay.ts'

const acknowledgementOf = (id: number): string => rpcResult(String(id), true)

/** A client whose saves wait until the test settles them. */
const startSaving = async () => {
  const relay = await startScripted()
  const handled: string[] = []
  const saves: { resolve: () => void; reject: (error: Error) => void }[] = []
  const client = connect(relay.url, {
    onMessage: ({ message }) => void handled.push(message),
    save: () => new Promise<void>((resolve, reject) => saves.push({ resolve, reject })),
  })
  await client.ready()
  return {
    ...{ relay, client, handled, saves },
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await relay[Symbol.asyncDispose]()
    },
  }
}

/** What the client said before has come when this is answered. */
const answered = (client: ReturnType<typeof connect>) =>
  client.publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 60 })

test('the next message of a topic is handled while one is being saved; each is acknowledged after its save', async () => {
  await using saving = await startSaving()
  const { relay, client, handled, saves } = saving
  const topic = randomTopic()
  const messages = [randomMessage(), randomMessage()]
  messages.forEach((message, at) => {
    relay.push(at + 1, topic, message)
  })
  await eventually(() => expect(handled).toEqual(messages))
  await answered(client)
  expect(relay.answers).toEqual([])
  saves[1]?.resolve()
  await eventually(() => expect(relay.answers).toEqual([acknowledgementOf(2)]))
  saves[0]?.resolve()
  await eventually(() => expect(relay.answers).toEqual([2, 1].map(acknowledgementOf)))
})

test('a message that could not be saved is handled again when it comes again, and is acknowledged then', async () => {
  await using saving = await startSaving()
  const { relay, client, handled, saves } = saving
  const [topic, message] = [randomTopic(), randomMessage()]
  relay.push(1, topic, message)
  await eventually(() => expect(saves).toHaveLength(1))
  // Before the save has ended it is not handled again.
  relay.push(2, topic, message)
  await answered(client)
  expect(handled).toHaveLength(1)
  saves[0]?.reject(new Error('the storage is full'))
  await answered(client)
  expect(relay.answers).toEqual([])
  relay.push(3, topic, message)
  await eventually(() => expect(saves).toHaveLength(2))
  saves[1]?.resolve()
  await eventually(() => expect(relay.answers).toEqual([acknowledgementOf(3)]))
  expect(handled).toEqual([message, message])
})

test('closing waits until what was handled is saved and acknowledged', async () => {
  await using saving = await startSaving()
  const { relay, client, saves } = saving
  relay.push(1, randomTopic(), randomMessage())
  await eventually(() => expect(saves).toHaveLength(1))
  const closing = client[Symbol.asyncDispose]()
  saves[0]?.resolve()
  await closing
  await eventually(() => expect(relay.answers).toEqual([acknowledgementOf(1)]))
})
