/** Agents with keys of every kind, and the requests that they make by hand. */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { hashDid } from '../../src/mq/dids.ts'
import { ed25519Signer, type MqSigner, secp256k1Signer } from '../../src/mq/signers.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { knownSecret } from '../support/capture/record.mjs'
import { secretListener } from '../support/secret-listener.ts'

export interface Agent extends MqSigner {
  hash: string
}

export const agentOf = (signer: MqSigner): Agent => ({ ...signer, hash: hashDid(signer.did) })
export const newAgent = (): Agent => agentOf(ed25519Signer(generateSigningKey()))
/** As published clients have them: did:ssi:key, DER signatures. */
export const newSsiAgent = (domain = 'default'): Agent => {
  const secret = secp256k1.utils.randomSecretKey()
  secretListener.tell('private key of an agent', secret)
  return agentOf(secp256k1Signer(secret, domain))
}

export interface Answer {
  status: number
  /** JSON, a text that is none, or undefined where there is nothing. */
  body: unknown
  headers: Headers
}

const read = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  let body: unknown = text === '' ? undefined : text
  try {
    if (text !== '') body = JSON.parse(text)
  } catch {
    // As it is.
  }
  return { status: response.status, body, headers: response.headers }
}

/** Requests to the hub at `url`, in the words of the document. */
export const hubAt = (url: string, domain = 'default') => {
  const base = `${url}/mq/${domain}`
  const ask = async (
    method: string,
    path: string,
    token?: string,
    more: { body?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Answer> =>
    read(
      await fetch(base + path, {
        method,
        headers: { ...(token !== undefined && { 'x-mq-authorization': token }), ...more.headers },
        ...(more.body !== undefined && { body: more.body }),
        ...(more.signal && { signal: more.signal }),
      }),
    )

  const token = async (hash: string): Promise<string> => {
    const { status, body } = await ask('GET', `/${hash}/token`)
    const held = typeof body === 'object' && body !== null && 'token' in body ? body.token : undefined
    if (typeof held !== 'string') throw new Error(`There is no token: ${status} ${JSON.stringify(body)}`)
    // It stands in no log.
    knownSecret('token of a queue', held)
    return held
  }
  /** A token of the agent's own queue, and its proof. */
  const access = async (agent: Agent) => {
    const held = await token(agent.hash)
    const signature = await agent.sign(held)
    knownSecret('signature of a token', signature)
    return { token: held, signature }
  }

  return {
    ask,
    token,
    access,
    /** Into the queue of that hash, as anybody may. */
    put: async (hash: string, message: string): Promise<string> => {
      const { status, body } = await ask('PUT', `/put/${hash}`, await token(hash), {
        body: JSON.stringify({ message }),
      })
      const id = typeof body === 'object' && body !== null && 'messageId' in body ? body.messageId : undefined
      if (status !== 200 || typeof id !== 'string')
        throw new Error(`Not put: ${status} ${JSON.stringify(body)}`)
      return id
    },
    get: async (agent: Agent, signal?: AbortSignal) => {
      const { token: held, signature } = await access(agent)
      return ask('GET', `/get/${agent.hash}/${signature}`, held, signal ? { signal } : {})
    },
    take: async (agent: Agent, id?: string) => {
      const { token: held, signature } = await access(agent)
      const which = id === undefined ? '' : `${id}/`
      return ask('GET', `/take/${agent.hash}/${which}${signature}`, held)
    },
    remove: async (agent: Agent, id: string) => {
      const { token: held, signature } = await access(agent)
      return ask('DELETE', `/delete/${agent.hash}/${id}/${signature}`, held)
    },
  }
}
export type HubApi = ReturnType<typeof hubAt>

/** A domain that lets nobody wait for long. */
export const hasty = {
  enabled: true,
  messageBytes: 10_240,
  queueLength: 10_000,
  ttlDays: 30,
  connectionTimeout: 200,
}
