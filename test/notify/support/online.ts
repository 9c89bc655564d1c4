import { type Clock, systemClock } from '../../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../../src/platform/telemetry.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { createRelayClient, type RelayMessage } from '../../../src/relay/client/index.ts'
import { capturedLog } from '../../support/capture/log.ts'
import { eventually } from '../../support/eventually.ts'
import { claimsIn, type Device, opened, type Sent } from './wallet.ts'

/** A device with a connection of its own to a relay; what it is sent is kept as it came. */
export const online = (url: string, device: Device, clock: Clock = systemClock) => {
  const received: RelayMessage[] = []
  const client = createRelayClient(
    { clock, log: capturedLog, meter: unmeasured },
    { url, key: generateSigningKey(), onMessage: (message) => void received.push(message) },
  )
  const on = (topic: string, tag: number) =>
    received.filter((message) => message.topic === topic && message.tag === tag)
  /** The answer as it is: a result or a failure. */
  const call = async (sent: Sent) => {
    await client.subscribe([sent.answerTopic])
    const { topic, message, tag } = sent
    await client.publish({ topic, message, tag, ttl: 300 })
    return eventually(() => {
      for (const answer of on(sent.answerTopic, tag + 1)) {
        const rpc = opened(answer.message, sent.key)
        if (rpc.idText === sent.rpcId) return rpc
      }
      throw new Error(`There is no answer to ${tag}`)
    })
  }
  return {
    device,
    client,
    on,
    call,
    /** The claims of the answer; throws when it is a failure. */
    ask: async (sent: Sent) => claimsIn(await call(sent)),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}
export type Online = ReturnType<typeof online>
