/** The browser's part of a passkey. What it is asked comes from the server as the library made it there. */
import { startAuthentication, startRegistration } from '@simplewebauthn/browser'
import * as z from 'zod/mini'

const Creation = z.looseObject({
  challenge: z.string(),
  rp: z.object({ id: z.optional(z.string()), name: z.string() }),
  user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
  pubKeyCredParams: z.array(z.object({ alg: z.number(), type: z.literal('public-key') })),
  timeout: z.optional(z.number()),
  excludeCredentials: z.array(z.object({ id: z.string(), type: z.literal('public-key') })),
  authenticatorSelection: z.object({
    residentKey: z.literal('required'),
    userVerification: z.literal('required'),
  }),
})
const Request = z.looseObject({
  challenge: z.string(),
  rpId: z.string(),
  timeout: z.optional(z.number()),
  userVerification: z.literal('required'),
})

export const makePasskey = (options: unknown) => {
  const { challenge, rp, user, pubKeyCredParams, excludeCredentials, authenticatorSelection } =
    Creation.parse(options)
  return startRegistration({
    optionsJSON: {
      ...{ challenge, user, pubKeyCredParams, excludeCredentials, authenticatorSelection },
      rp: rp.id === undefined ? { name: rp.name } : { name: rp.name, id: rp.id },
    },
  })
}

export const proveByPasskey = (options: unknown) => {
  const { challenge, rpId, userVerification } = Request.parse(options)
  return startAuthentication({ optionsJSON: { challenge, rpId, userVerification } })
}
