/**
 * A session over a relay of messages, ours or any other of its kind: envelopes of type 0 on the topic of the key. Neither
 * end need be there when the other speaks.
 */

import { openEnvelope, parseEnvelope, sealType0 } from '../../protocol/envelope.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { generateSigningKey } from '../../protocol/keys.ts'
import { topicOf } from '../../protocol/topic.ts'
import { createRelayClient } from '../../relay/client/index.ts'
import type { SessionLink } from '../link.ts'
import {
  type ChannelDeps,
  type ChannelEvents,
  inOrder,
  type SessionChannel,
  type SessionRole,
  sealedOnce,
} from './channel.ts'

export type RelayLink = Extract<SessionLink, { kind: 'belfry-relay' }>

/** No published method has these tags. */
const TAGS = { dapp: 7700, wallet: 7701 } as const
/** s; as long as a session lasts. */
const MESSAGE_TTL_S = 1_800

export const openRelayChannel = (
  deps: ChannelDeps,
  { link, role, projectId }: { link: RelayLink; role: SessionRole; projectId?: string | undefined },
  events: ChannelEvents,
): SessionChannel => {
  const { key, relay: url } = link
  const topic = topicOf(key)
  const sealing = sealedOnce(
    {
      seal: async (plaintext) => sealType0({ key, plaintext }),
      async open(message) {
        const envelope = parseEnvelope(message)
        if (envelope.type !== 0) throw new ProtocolError('undecryptable', 'the envelope type is not known')
        return openEnvelope(envelope, key)
      },
    },
    deps.log,
  )
  let over: ProtocolError | undefined
  let closing: Promise<void> | undefined

  const end = (reason: ProtocolError): void => {
    if (over) return
    over = reason
    closing = Promise.resolve(relay[Symbol.asyncDispose]())
    void Promise.resolve().then(() => events.closed(reason))
  }
  const failed = (error: unknown): void =>
    end(error instanceof ProtocolError ? error : new ProtocolError('internal', undefined, { cause: error }))
  const incoming = inOrder(failed)

  const relay = createRelayClient(deps, {
    url,
    // A key for this session alone: the relay cannot tell who has more than one.
    key: generateSigningKey(),
    ...(projectId !== undefined && { projectId }),
    onMessage({ message }) {
      // Not waited for: an answer may take a person's time, and the relay would send the message again.
      void incoming(async () => {
        const text = over ? undefined : await sealing.open(message)
        if (text !== undefined && !over) events.received(text)
      })
    },
  })
  relay.subscribe([topic]).then(() => {
    if (over) return
    events.opened()
    events.ready()
  }, failed)

  return {
    async send(text) {
      if (over) throw over
      await relay.publish({ topic, message: await sealing.seal(text), tag: TAGS[role], ttl: MESSAGE_TTL_S })
    },
    async close() {
      end(new ProtocolError('unavailable', 'the session was closed'))
      await closing
    },
  }
}
