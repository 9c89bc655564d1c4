/** An authenticator in software: makes a passkey on P-256 and proves it, and lies where a test wants it to. */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isoCBOR } from '@simplewebauthn/server/helpers'
import { z } from 'zod'

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest()
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
/** Present, verified. */
const FLAGS = 0x05
const WITH_KEY = 0x40
const Options = z.looseObject({ challenge: z.string() })

export interface Lies {
  origin?: string
  rpId?: string
  counter?: number
  flags?: number
}

export const createAuthenticator = (rpId: string, origin: string) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const id = randomBytes(16)
  let counter = 0

  const head = (flags: number, lies: Lies): Buffer => {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(lies.counter ?? ++counter)
    return Buffer.concat([sha256(lies.rpId ?? rpId), Buffer.of(lies.flags ?? flags), count])
  }
  const clientData = (type: string, options: unknown, lies: Lies): Buffer => {
    const { challenge } = Options.parse(options)
    return Buffer.from(JSON.stringify({ type, challenge, origin: lies.origin ?? origin, crossOrigin: false }))
  }
  const named = { id: base64url(id), rawId: base64url(id), type: 'public-key', clientExtensionResults: {} }

  return {
    id: base64url(id),
    make(options: unknown, lies: Lies = {}) {
      const coordinate = (text: string) => new Uint8Array(Buffer.from(text, 'base64url'))
      const cose = new Map<number, number | Uint8Array>([
        ...([
          [1, 2],
          [3, -7],
          [-1, 1],
        ] as const),
        ...([
          [-2, coordinate(x)],
          [-3, coordinate(y)],
        ] as const),
      ])
      const length = Buffer.alloc(2)
      length.writeUInt16BE(id.length)
      const key = Buffer.from(isoCBOR.encode(cose))
      const authData = Buffer.concat([head(FLAGS | WITH_KEY, lies), Buffer.alloc(16), length, id, key])
      const attestation = new Map<string, unknown>([
        ...([
          ['fmt', 'none'],
          ['attStmt', new Map()],
        ] as const),
        ['authData', new Uint8Array(authData)],
      ])
      const attestationObject = base64url(Reflect.apply(isoCBOR.encode, undefined, [attestation]))
      const clientDataJSON = base64url(clientData('webauthn.create', options, lies))
      return { ...named, response: { clientDataJSON, attestationObject } }
    },
    prove(options: unknown, lies: Lies = {}) {
      const authData = head(FLAGS, lies)
      const data = clientData('webauthn.get', options, lies)
      const signature = base64url(sign('sha256', Buffer.concat([authData, sha256(data)]), privateKey))
      const response = { clientDataJSON: base64url(data), authenticatorData: base64url(authData), signature }
      return { ...named, response }
    },
  }
}
