/** Decrypts what wallets send: finds the key by topic and tag, derives it where that is necessary, opens the envelope. */

import { type Envelope, openEnvelope, parseEnvelope } from '../../protocol/envelope.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { deriveSymKey } from '../../protocol/keys.ts'
import type { NotifyRow } from '../../protocol/notify-methods.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { App, Apps } from '../apps/apps.ts'
import { allKeys, type KeyRing, type Keys } from '../apps/key-ring.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Vault } from '../apps/vault.ts'
import type { NotifyStore, Sealed, Subscription, VersionedAccount } from '../store/store.ts'

/** Whose notify topic it is; `known` is the account as it was read for that. */
export interface Subject {
  accountKey: string
  subscription: Subscription
  known: VersionedAccount
}

/** What topic and envelope say about a request before it is decrypted: its key, and where the answer goes. */
export interface RequestKey {
  key: Uint8Array
  sealedKey: Sealed
  answerTopic: string
  /** did:keys that the request may be addressed to; the one it names signs the answer. */
  audiences: string[]
  app: App | undefined
  /** For requests on a notify topic. */
  subject: Subject | undefined
}

/** `read` returns the text, and throws when the content is not text: a fault that the sender is told of. */
export interface DecryptedRequest {
  requestKey: RequestKey
  read: () => string
}

/** Undefined when the message cannot be decrypted, whatever the reason. */
export type Decrypt = (
  row: NotifyRow,
  message: { topic: string; message: string },
) => Promise<DecryptedRequest | undefined>

/** Undefined when no key is known for the topic. */
type FindKey = (row: NotifyRow, topic: string, envelope: Envelope) => Promise<RequestKey | undefined>

/** Requests on a notify topic: the subscription has the key. */
const createSubscriptionKeyLookup =
  ({
    store,
    vault,
    apps,
  }: {
    store: Pick<NotifyStore, 'accountAt'>
    vault: Pick<Vault, 'open'>
    apps: Pick<Apps, 'byDomain'>
  }) =>
  async (topic: string, envelope: Envelope): Promise<RequestKey | undefined> => {
    const owner = envelope.type === 0 ? await store.accountAt(topic) : undefined
    if (!owner) return undefined
    const { accountKey, ...known } = owner
    const subscription = known.record.subscriptions.find((one) => one.topic === topic)
    const app = subscription && (await apps.byDomain(subscription.domain))
    if (!app) return undefined
    return {
      key: vault.open(subscription.key),
      sealedKey: subscription.key,
      answerTopic: topic,
      audiences: didsOf(app),
      app,
      subject: { accountKey, subscription, known },
    }
  }

const createKeyLookup = ({
  store,
  vault,
  apps,
  serverKeys,
}: {
  store: Pick<NotifyStore, 'accountAt'>
  vault: Pick<Vault, 'open' | 'seal'>
  apps: Pick<Apps, 'byDomain' | 'byTopic'>
  serverKeys: KeyRing & Pick<ServerKeys, 'refresh'>
}): FindKey => {
  const subscriptionKey = createSubscriptionKeyLookup({ store, vault, apps })

  /** Another process may have replaced the keys a moment ago, and a wallet may know that already. */
  const serverKeysFor = async (topic: string): Promise<Keys | undefined> => {
    const known = keysFor(serverKeys, topic)
    if (known) return known
    await serverKeys.refresh()
    return keysFor(serverKeys, topic)
  }

  /** Requests on the topic of an app or of the server: a key agreement with the sender's key. */
  const agreedKey: FindKey = async (row, topic, envelope) => {
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

  return (row, topic, envelope) =>
    row.addressedBy === 'subscription' ? subscriptionKey(topic, envelope) : agreedKey(row, topic, envelope)
}

export const createDecrypt = (deps: {
  store: Pick<NotifyStore, 'accountAt'>
  vault: Pick<Vault, 'open' | 'seal'>
  apps: Pick<Apps, 'byDomain' | 'byTopic'>
  serverKeys: KeyRing & Pick<ServerKeys, 'refresh'>
}): Decrypt => {
  const findKey = createKeyLookup(deps)
  return async (row, message) => {
    try {
      const envelope = parseEnvelope(message.message)
      const requestKey = await findKey(row, message.topic.toLowerCase(), envelope)
      if (!requestKey) return undefined
      try {
        const text = openEnvelope(envelope, requestKey.key)
        return { requestKey, read: () => text }
      } catch (error) {
        if (isUndecryptable(error)) throw error
        // The envelope is open and its content is not text: a fault that the sender is told of.
        return {
          requestKey,
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

const keysFor = (ring: KeyRing, topic: string): Keys | undefined =>
  allKeys(ring).find(({ subscribe }) => topicOf(subscribe.publicKey) === topic)

const didsOf = (ring: KeyRing): string[] => allKeys(ring).map(({ authentication }) => authentication.did)

const isUndecryptable = (error: unknown): boolean =>
  error instanceof ProtocolError && error.code === 'undecryptable'
