/**
 * Passkeys of the operator, by WebAuthn: registered while signed in, then a way in beside the admin token. A challenge lies
 * in the store for 5 minutes and is answered once. The relying party is the host of the public URL, which browsers take
 * over https, or on localhost.
 */
import { isIP } from 'node:net'
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import * as z from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import { MINUTE_MS } from '../../platform/units.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Challenge, ConsoleStore, Passkey } from './store.ts'

export const CHALLENGE_LIFE_MS = 5 * MINUTE_MS
const CHALLENGE_BYTES = 32

/** Loaded by the first who uses a passkey: a start must not cost more for it. */
const loadLibrary = () => import('@simplewebauthn/server')

const base64url = z.string().regex(/^[\w-]{1,8192}$/, { error: 'must be base64url' })
/** A credential id has at most 1,023 bytes (WebAuthn, section 4). */
export const PasskeyId = z.string().regex(/^[\w-]{1,1364}$/, { error: 'must be the id of a passkey' })
const common = {
  id: PasskeyId,
  rawId: PasskeyId,
  type: z.literal('public-key'),
  clientExtensionResults: z.object({}).transform(() => ({})),
}
export const Registered = z.object({
  ...common,
  response: z.object({ clientDataJSON: base64url, attestationObject: base64url }),
})
export const SignedIn = z.object({
  ...common,
  response: z.object({ clientDataJSON: base64url, authenticatorData: base64url, signature: base64url }),
})
const ClientData = z.object({ challenge: base64url })

export interface Passkeys {
  /** Why browsers take no passkey for this server; undefined where they do. */
  unavailable: string | undefined
  list(): Promise<Passkey[]>
  /** `session`: who registers it. */
  begin(session: string): Promise<PublicKeyCredentialCreationOptionsJSON>
  register(answer: RegistrationResponseJSON, named: { name: string; session: string }): Promise<Passkey>
  /** Throws `not_found` where there is no passkey. */
  ask(): Promise<PublicKeyCredentialRequestOptionsJSON>
  /** Throws `unauthenticated`. */
  signIn(answer: AuthenticationResponseJSON): Promise<Passkey>
  remove(id: string): Promise<boolean>
}

type PasskeyStore = Pick<
  ConsoleStore,
  'passkeys' | 'addPasskey' | 'usePasskey' | 'removePasskey' | 'addChallenge' | 'takeChallenge'
>

interface PasskeysDeps {
  store: PasskeyStore
  clock: Clock
  randomBytes: (length: number) => Uint8Array
  publicUrl: string
}

const wrong = (detail: string, cause?: unknown) => new ProtocolError('unauthenticated', detail, { cause })

const reasonAgainst = ({ protocol, hostname }: URL): string | undefined => {
  if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0)
    return 'Passkeys need a host name: the public URL of this server is an address'
  if (protocol !== 'https:' && hostname !== 'localhost')
    return 'Passkeys need https: the public URL of this server is http'
  return undefined
}

const createChallenges = ({ store, clock, randomBytes }: PasskeysDeps) => ({
  async add(kind: Challenge['kind'], session: string): Promise<Uint8Array<ArrayBuffer>> {
    const challenge = new Uint8Array(randomBytes(CHALLENGE_BYTES))
    const now = clock.now()
    const about = { kind, session, expiresAt: now + CHALLENGE_LIFE_MS }
    await store.addChallenge(Buffer.from(challenge).toString('base64url'), about, now)
    return challenge
  },
  /** The challenge of an answer, spent. Throws `unauthenticated`. */
  async take(clientDataJSON: string, kind: Challenge['kind'], session: string): Promise<string> {
    let challenge: string
    try {
      challenge = ClientData.parse(JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString())).challenge
    } catch (cause) {
      throw wrong('the answer cannot be read', cause)
    }
    const about = await store.takeChallenge(challenge, clock.now())
    if (about?.kind !== kind || about.session !== session)
      throw wrong('the challenge is over, or was answered before')
    return challenge
  },
})

/** This server as the other party of a passkey. */
const partyOf = (publicUrl: string) => {
  const url = new URL(publicUrl)
  const unavailable = reasonAgainst(url)
  return {
    rpID: url.hostname,
    unavailable,
    verification: { expectedOrigin: url.origin, expectedRPID: url.hostname, requireUserVerification: true },
    checkAvailable() {
      if (unavailable !== undefined) throw new ProtocolError('unavailable', unavailable)
    },
  }
}

const createRegistrations = (
  { store, clock }: PasskeysDeps,
  { rpID, verification, checkAvailable }: ReturnType<typeof partyOf>,
  challenges: ReturnType<typeof createChallenges>,
): Pick<Passkeys, 'begin' | 'register'> => ({
  async begin(session) {
    checkAvailable()
    const { generateRegistrationOptions } = await loadLibrary()
    return generateRegistrationOptions({
      ...{ rpID, rpName: 'Belfry', userName: 'operator', userDisplayName: 'Operator' },
      userID: new TextEncoder().encode('belfry operator'),
      challenge: await challenges.add('register', session),
      excludeCredentials: (await store.passkeys()).map(({ id }) => ({ id })),
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    })
  },
  async register(answer, { name, session }) {
    const expectedChallenge = await challenges.take(answer.response.clientDataJSON, 'register', session)
    const { verifyRegistrationResponse } = await loadLibrary()
    const { registrationInfo } = await verifyRegistrationResponse({
      ...verification,
      ...{ response: answer, expectedChallenge },
    }).catch((cause: unknown) => {
      throw wrong('the passkey was not made for this server', cause)
    })
    if (!registrationInfo) throw wrong('the passkey could not be verified')
    const { id, publicKey, counter } = registrationInfo.credential
    const passkey: Passkey = {
      ...{ id, name, publicKey: Buffer.from(publicKey).toString('base64url'), counter },
      ...{ createdAt: clock.now(), usedAt: null },
    }
    await store.addPasskey(passkey)
    return passkey
  },
})

const createProofs = (
  { store, clock }: PasskeysDeps,
  { rpID, verification, checkAvailable }: ReturnType<typeof partyOf>,
  challenges: ReturnType<typeof createChallenges>,
): Pick<Passkeys, 'ask' | 'signIn'> => ({
  async ask() {
    checkAvailable()
    if ((await store.passkeys()).length === 0) throw new ProtocolError('not_found', 'there is no passkey')
    const { generateAuthenticationOptions } = await loadLibrary()
    const challenge = await challenges.add('signIn', '')
    return generateAuthenticationOptions({ rpID, challenge, userVerification: 'required' })
  },
  async signIn(answer) {
    const expectedChallenge = await challenges.take(answer.response.clientDataJSON, 'signIn', '')
    const passkey = (await store.passkeys()).find(({ id }) => id === answer.id)
    if (!passkey) throw wrong('the passkey is not registered')
    const { id, counter } = passkey
    const publicKey = new Uint8Array(Buffer.from(passkey.publicKey, 'base64url'))
    const { verifyAuthenticationResponse } = await loadLibrary()
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      ...verification,
      ...{ response: answer, expectedChallenge, credential: { id, publicKey, counter } },
    }).catch((cause: unknown) => {
      throw wrong('the passkey does not prove it', cause)
    })
    const used = { id, counter: authenticationInfo.newCounter }
    if (!verified || !(await store.usePasskey(used, clock.now())))
      throw wrong('the passkey does not prove it')
    return passkey
  },
})

export const createPasskeys = (deps: PasskeysDeps): Passkeys => {
  const { store } = deps
  const party = partyOf(deps.publicUrl)
  const challenges = createChallenges(deps)
  return {
    unavailable: party.unavailable,
    list: store.passkeys,
    ...createRegistrations(deps, party, challenges),
    ...createProofs(deps, party, challenges),
    remove: store.removePasskey,
  }
}
