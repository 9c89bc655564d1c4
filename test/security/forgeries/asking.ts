/** Requests that somebody makes by hand, with whatever JWT, over a real relay; and what is heard on a topic. */
import { fetchKeys } from '../../../src/notify/client/app-keys.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { openEnvelope, parseEnvelope } from '../../../src/protocol/envelope.ts'
import type { RpcMessage } from '../../../src/protocol/jsonrpc.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { claimsIn, opened, type Sent } from '../../notify/support/wallet.ts'
import { relayAs } from '../../support/story.ts'
import type { Ground } from '../../support/world/attacked.ts'
import { inTime } from '../pulse.ts'

const REQUEST_TTL_S = 300

/** The server and the relay that somebody uses: the first ones, or with -1 the last ones. */
export const placeAt = ({ servers, relays }: Ground, at: 0 | -1) => ({
  url: servers.at(at) ?? '',
  wsUrl: relays.at(at) ?? '',
})

/** Where requests about an app, or about all, are addressed to. */
export const receiverAt = async (url: string) => {
  const { subscribe, authentication } = await fetchKeys({ clock: systemClock, fetch }, url)
  return { publicKey: subscribe, did: authentication }
}

export const askerAt = (relay: string) => {
  const listeners = new Map<string, (tag: number, message: string) => void>()
  const client = relayAs(relay, generateSigningKey(), ({ topic, tag, message }) =>
    listeners.get(topic)?.(tag, message),
  )
  return {
    /** Resolves with the answer to this very request, whatever it says. */
    async ask({ topic, message, tag, answerTopic, key, rpcId }: Sent): Promise<RpcMessage> {
      const answered = new Promise<RpcMessage>((resolve) => {
        listeners.set(answerTopic, (answerTag, text) => {
          if (answerTag !== tag + 1) return
          const rpc = opened(text, key)
          if ('idText' in rpc && rpc.idText === rpcId) resolve(rpc)
        })
      })
      await client.subscribe([answerTopic])
      await client.publish({ topic, message, tag, ttl: REQUEST_TTL_S })
      return inTime(`A request with tag ${tag} is answered`, answered)
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

/** Whoever has the key of a topic hears and reads all that comes there. */
export const listenOn = async (relay: string, key: Uint8Array) => {
  const heard: { tag: number; text: string }[] = []
  const client = relayAs(relay, generateSigningKey(), ({ tag, message }) => {
    const plaintext = openEnvelope(parseEnvelope(message), key)
    heard.push({ tag, text: `${plaintext} ${JSON.stringify(claimsIn(opened(message, key)))}` })
  })
  await client.subscribe([topicOf(key)])
  return {
    tags: () => heard.map(({ tag }) => tag),
    /** The texts, and what is in their JWTs. */
    text: () => heard.map(({ text }) => text).join('\n'),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}
