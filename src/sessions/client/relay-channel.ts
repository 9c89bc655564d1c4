/**
 * A session over a relay of messages, ours or any other of its kind: envelopes of type 0 on the topic of the key. Neither
 * end need be connected when the other sends.
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
  createReplayGuard,
  createSerialQueue,
  type SessionChannel,
  type SessionRole,
} from './channel.ts'

export type RelayLink = Extract<SessionLink, { kind: 'belfry-relay' }>

/** No published method has these tags. */
const TAGS = { dapp: 7700, wallet: 7701 } as const
/** As long as a session lasts. */
const MESSAGE_TTL_S = 1_800

export const openRelayChannel = (
  deps: ChannelDeps,
  { link, role, projectId }: { link: RelayLink; role: SessionRole; projectId?: string | undefined },
  events: ChannelEvents,
): SessionChannel => {
  const { key, relay: url } = link
  const topic = topicOf(key)
  const sealing = createReplayGuard(
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
  let closedBy: ProtocolError | undefined
  let closing: Promise<void> | undefined

  const end = (reason: ProtocolError): void => {
    if (closedBy) return
    closedBy = reason
    closing = Promise.resolve(relay[Symbol.asyncDispose]())
    void Promise.resolve().then(() => events.closed(reason))
  }
  const failed = (error: unknown): void =>
    end(error instanceof ProtocolError ? error : new ProtocolError('internal', undefined, { cause: error }))
  const incoming = createSerialQueue(failed)

  const relay = createRelayClient(deps, {
    url,
    // A key for this session alone, so the relay cannot link the sessions of one wallet.
    key: generateSigningKey(),
    ...(projectId !== undefined && { projectId }),
    onMessage({ message }) {
      // Not awaited: a person may take long to answer, and the relay would deliver the message again.
      void incoming(async () => {
        const text = closedBy ? undefined : await sealing.open(message)
        if (text !== undefined && !closedBy) events.received(text)
      })
    },
  })
  relay.subscribe([topic]).then(() => {
    if (closedBy) return
    events.opened()
    events.ready()
  }, failed)

  return {
    async send(text) {
      if (closedBy) throw closedBy
      await relay.publish({ topic, message: await sealing.seal(text), tag: TAGS[role], ttl: MESSAGE_TTL_S })
    },
    async close() {
      end(new ProtocolError('unavailable', 'the session was closed'))
      await closing
    },
  }
}
