/**
 * What waits for a device, as pushes: in the published form one message each, else all in one. A message that does not fit goes
 * as topic and id, the strongest being the last to give up its text; the device fetches it.
 *
 * A hidden push shows the provider its size alone, and that is one of three.
 */
import { fromHex, utf8 } from '../../protocol/bytes.ts'
import { sealType1 } from '../../protocol/envelope.ts'
import { deriveSymKey, generateAgreementKey } from '../../protocol/keys.ts'
import type { Device, WaitingMessage } from '../store.ts'
import type { Provider, PushBody, PushedMessage } from './provider.ts'

/** The sizes of hidden pushes. */
const SIZES_BYTES = [1_024, 2_048, 4_096]
/** Type, the sender's key, iv, tag. */
const ENVELOPE_BYTES = 1 + 32 + 12 + 16

/** A message with what its push carries of it. */
export interface ReadyMessage extends WaitingMessage {
  /** The envelope; undefined where it lies elsewhere. */
  message: string | undefined
  /** Of our relay: the client that published it. */
  publisher?: string
}

export interface ComposedPush {
  body: PushBody
  padTo?: number
  /** Of the messages that it is about. */
  ids: string[]
}

type Sizes = Pick<Provider, 'maxBytes' | 'sizeOf'>

/** Texts for as many as fit, the strongest first. */
const fitted = (
  all: readonly ReadyMessage[],
  isFitting: (messages: readonly PushedMessage[]) => boolean,
): PushedMessage[] => {
  const shown = all.map(({ topic, id, tag }): PushedMessage => ({ topic, id, tag }))
  const byRank = [...all.keys()].sort((a, b) => {
    const [one, other] = [all[a], all[b]]
    return one && other ? other.rank - one.rank || other.at - one.at : 0
  })
  for (const at of byRank) {
    const [one, named] = [all[at], shown[at]]
    if (one?.message === undefined || !named) continue
    shown[at] = { ...named, message: one.message }
    if (!isFitting(shown)) shown[at] = named
  }
  return shown
}

/** JSON of so many bytes: space behind it is nothing to its reader. */
const padded = (text: string, bytes: number): string =>
  text + ' '.repeat(Math.max(0, bytes - utf8(text).length))

const sealTo = (key: string, plaintext: string): string => {
  const sender = generateAgreementKey()
  const shared = deriveSymKey(sender.privateKey, fromHex(key))
  return sealType1({ key: shared, senderPublicKey: sender.publicKey, plaintext })
}

/** Whether hidden pushes can be sealed to it: a few keys give every sender the same secret. */
export const isSealKey = (key: string): boolean => {
  try {
    sealTo(key, '')
    return true
  } catch {
    return false
  }
}

const hidden = (
  device: Device & { sealKey: string },
  provider: Sizes,
  all: readonly ReadyMessage[],
  more: number,
): PushBody => {
  const around = provider.sizeOf({ form: 'sealed', sealed: '' }, device)
  /** Bytes of JSON for which the push has this size, or one to three bytes less. */
  const roomIn = (size: number) => Math.floor((size - around) / 4) * 3 - ENVELOPE_BYTES
  const textOf = (messages: readonly PushedMessage[]) => JSON.stringify({ v: 1, messages, more })
  const most = roomIn(Math.min(provider.maxBytes, SIZES_BYTES.at(-1) ?? 0))
  const text = textOf(fitted(all, (messages) => utf8(textOf(messages)).length <= most))
  const room = SIZES_BYTES.map(roomIn).find((bytes) => utf8(text).length <= bytes) ?? most
  return { form: 'sealed', sealed: sealTo(device.sealKey, padded(text, room)) }
}

const publishedBody = (device: Device, provider: Sizes, one: ReadyMessage): PushBody => {
  const isFitting = (body: PushBody) => provider.sizeOf(body, device) <= provider.maxBytes
  const { topic, id, tag, message, flags = 1 } = one
  if (device.isLegacy || topic === '') {
    const named = { form: 'legacy' as const, id, topic: topic === '' ? undefined : topic, flags }
    const whole = { ...named, blob: message }
    return isFitting(whole) ? whole : { ...named, blob: undefined }
  }
  const whole: PushBody = {
    form: 'message',
    message: { topic, id, tag, ...(message !== undefined && { message }) },
  }
  return isFitting(whole) ? whole : { form: 'message', message: { topic, id, tag } }
}

export const compose = (
  device: Device,
  provider: Sizes,
  all: readonly ReadyMessage[],
  more: number,
): ComposedPush[] => {
  if (device.form === 'published')
    return all.map((one) => ({ body: publishedBody(device, provider, one), ids: [one.id] }))
  const ids = all.map(({ id }) => id)
  const { sealKey } = device
  if (device.form === 'hidden' && sealKey !== undefined)
    return [{ body: hidden({ ...device, sealKey }, provider, all, more), ids }]
  const bodyOf = (messages: readonly PushedMessage[]): PushBody => ({ form: 'together', messages, more })
  const body = bodyOf(
    fitted(all, (messages) => provider.sizeOf(bodyOf(messages), device) <= provider.maxBytes),
  )
  if (device.form !== 'hidden') return [{ body, ids }]
  const size = provider.sizeOf(body, device)
  const padTo = SIZES_BYTES.find((bytes) => size <= bytes)
  return [{ body, ids, ...(padTo !== undefined && { padTo }) }]
}
