/**
 * Opens what comes from the relay: finds the key by topic and tag, derives it where that is due, decrypts.
 */

import { type Envelope, openEnvelope, parseEnvelope } from '../../protocol/envelope.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { deriveSymKey } from '../../protocol/keys.ts'
import type { NotifyRow } from '../../protocol/notify-methods.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { App, Apps } from '../apps/apps.ts'
import { allKeys, type KeyRing, type Keys } from '../apps/key-ring.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Vault } from '../apps/vault.ts'
import type { NotifyStore, Sealed, Subscription } from '../store/store.ts'

/** What is known of a message before it is opened: the key, and where and with what its answer goes. */
export interface Channel {
  key: Uint8Array
  sealedKey: Sealed
  answerTopic: string
  /** did:keys that the request may be addressed to; the one it names signs the answer. */
  audiences: string[]
  app: App | undefined
  /** For requests on a notify topic. */
  subject: { accountKey: string; subscription: Subscription } | undefined
}

/**
 * Channel and text of a message; undefined when it cannot be opened, whatever the reason. `read` throws when what was
 * in it is not text: that is a fault which can be answered.
 */
export type Decrypt = (
  row: NotifyRow,
  message: { topic: string; message: string },
) => Promise<{ channel: Channel; read: () => string } | undefined>

export const createDecrypt = (deps: {
  store: Pick<NotifyStore, 'account' | 'topicOwner'>
  vault: Vault
  apps: Pick<Apps, 'byDomain' | 'byTopic'>
  serverKeys: KeyRing & Pick<ServerKeys, 'refresh'>
}): Decrypt => {
  const { store, vault, apps, serverKeys } = deps

  const keysFor = (ring: KeyRing, topic: string): Keys | undefined =>
    allKeys(ring).find(({ subscribe }) => topicOf(subscribe.publicKey) === topic)

  /** Another process may have replaced the keys a moment ago, and a wallet been faster to learn of it. */
  const serverKeysFor = async (topic: string): Promise<Keys | undefined> => {
    const known = keysFor(serverKeys, topic)
    if (known) return known
    await serverKeys.refresh()
    return keysFor(serverKeys, topic)
  }

  /** Undefined when nobody here has the key. */
  const channelOf = async (
    row: NotifyRow,
    topic: string,
    envelope: Envelope,
  ): Promise<Channel | undefined> => {
    if (row.addressedBy === 'subscription') {
      const owner = envelope.type === 0 ? await store.topicOwner(topic) : undefined
      if (!owner) return undefined
      const { record } = await store.account(owner.accountKey)
      const subscription = record.subscriptions.find((held) => held.id === owner.subscriptionId)
      const app = subscription && (await apps.byDomain(subscription.domain))
      if (!app) return undefined
      return {
        key: vault.open(subscription.key),
        sealedKey: subscription.key,
        answerTopic: topic,
        audiences: didsOf(app),
        app,
        subject: { accountKey: owner.accountKey, subscription },
      }
    }
    if (envelope.type !== 1) return undefined
    const app = row.addressedBy === 'appKey' ? await apps.byTopic(topic) : undefined
    const addressed = app
      ? keysFor(app, topic)
      : row.addressedBy === 'serverKey'
        ? await serverKeysFor(topic)
        : undefined
    if (!addressed) return undefined
    const key = deriveSymKey(addressed.subscribe.privateKey, envelope.senderPublicKey)
    return {
      key,
      sealedKey: vault.seal(key),
      answerTopic: topicOf(key),
      audiences: didsOf(app ?? serverKeys),
      app,
      subject: undefined,
    }
  }

  return async (row, message) => {
    try {
      const envelope = parseEnvelope(message.message)
      const channel = await channelOf(row, message.topic.toLowerCase(), envelope)
      if (!channel) return undefined
      try {
        const text = openEnvelope(envelope, channel.key)
        return { channel, read: () => text }
      } catch (error) {
        if (isUndecryptable(error)) throw error
        // It is opened, and not text: a fault that is answered.
        return {
          channel,
          read: () => {
            throw error
          },
        }
      }
    } catch (error) {
      if (isUndecryptable(error)) return undefined
      throw error
    }
  }
}

const didsOf = (ring: KeyRing): string[] => allKeys(ring).map(({ authentication }) => authentication.did)

const isUndecryptable = (error: unknown): boolean =>
  error instanceof ProtocolError && error.code === 'undecryptable'
