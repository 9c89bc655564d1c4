/**
 * Wallet sessions: a dapp gives out a link, asks one thing of this wallet, and its person says yes or no. What answers is loaded when
 * the first link comes.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { type ReadonlySignal, signal } from '@preact/signals'
import * as z from 'zod'
import { concat, fromHex, toHex, utf8 } from '../../../protocol/bytes.ts'
import { signingKeyFrom } from '../../../protocol/keys.ts'
import type { ApprovalAnswer, ApprovalRequest } from '../../../sdk/sessions.ts'
import type { KeptAccount } from '../accounts/kept.ts'
import type { Database } from './database.ts'

/** `elsewhere`: the page may reach its own server only; `wrong`: it is no link; `lost`: the other end is gone. */
type SessionFailure = 'elsewhere' | 'wrong' | 'lost'

export type SessionState =
  | { is: 'none' }
  /** The dapp was reached, or is being reached, and has not asked yet. */
  | { is: 'waiting' }
  | { is: 'asked'; request: ApprovalRequest; answer: (answer: ApprovalAnswer) => void }
  | { is: 'answering'; request: ApprovalRequest }
  /** With the code of the error that it was answered with. */
  | { is: 'done'; method: string; code: number | undefined }
  | { is: 'failed'; why: SessionFailure }

export interface Sessions {
  readonly state: ReadonlySignal<SessionState>
  /** Takes a link as it was pasted or opened. */
  open(link: string): Promise<void>
  /** Ends what is going on, and closes what is shown. */
  close(): void
}

interface SessionsDeps {
  database: Pick<Database, 'setting' | 'setSetting'>
  /** The page's own server. */
  origin: string
}

const deviceSeed = z.string().regex(/^[0-9a-f]{64}$/)

/** The key that sessions are signed with: made of the account's where that is a key of the inbox's own, else this device's. */
const seedOf = async ({ database }: SessionsDeps, kept: KeptAccount): Promise<Uint8Array> => {
  if (kept.kind === 'demo') return sha256(concat(utf8('belfry session key'), fromHex(kept.secret)))
  const known = deviceSeed.safeParse(await database.setting('session')).data
  const seed = known ?? toHex(crypto.getRandomValues(new Uint8Array(32)))
  if (known === undefined) await database.setSetting('session', seed)
  return fromHex(seed)
}

const methodsFor = async (deps: SessionsDeps, kept: KeptAccount) => {
  const [{ AUTH_PK, authPk }, credentials] = await Promise.all([
    import('../../../sdk/sessions.ts'),
    import('../../../sdk/credentials.ts'),
  ])
  const { browserPost, carmentisKey, CREDENTIAL_PRESENTATION, credentialPresentation } = credentials
  const { DATA_APPROVAL, dataApproval, WR_AUTH_PK, wrAuthPk } = credentials
  const seed = await seedOf(deps, kept)
  const own = carmentisKey(seed)
  return {
    [AUTH_PK]: authPk(signingKeyFrom(seed)),
    [WR_AUTH_PK]: wrAuthPk({ key: own }),
    // It holds none: whoever asks for one hears that nothing matches.
    [CREDENTIAL_PRESENTATION]: credentialPresentation({ credentials: async () => [] }),
    [DATA_APPROVAL]: dataApproval({
      post: browserPost({ allowed: [new URL(deps.origin).host] }),
      actorKeys: () => Promise.reject(new Error('The inbox makes no keys for actors')),
      knownKey: async () => own,
    }),
  }
}

/** The failure that a link is by itself, before anybody is asked. */
const failureOf = async (link: string, origin: string): Promise<SessionFailure | undefined> => {
  const { parseSessionLink } = await import('../../../sdk/sessions.ts')
  try {
    const { relay } = parseSessionLink(link)
    return new URL(relay.replace(/^ws/, 'http')).origin === origin ? undefined : 'elsewhere'
  } catch {
    return 'wrong'
  }
}

/** A link may come as it is, or within the address that opened the inbox. */
const linkIn = (text: string): string => {
  const [, within] = /#session=(.+)$/s.exec(text.trim()) ?? []
  return within === undefined ? text.trim() : decodeURIComponent(within)
}

export const createSessions = (deps: SessionsDeps, kept: KeptAccount): Sessions => {
  const state = signal<SessionState>({ is: 'none' })
  let going: AbortController | undefined

  const ask = (request: ApprovalRequest): Promise<ApprovalAnswer> =>
    new Promise((resolve) => {
      const answer = (given: ApprovalAnswer) => {
        state.value = { is: 'answering', request }
        resolve(given)
      }
      state.value = { is: 'asked', request, answer }
    })
  const run = async (link: string, { signal: ending }: AbortController): Promise<SessionState> => {
    const why = await failureOf(link, deps.origin)
    if (why !== undefined) return { is: 'failed', why }
    const [{ walletSession }, methods] = await Promise.all([
      import('../../../sdk/sessions.ts'),
      methodsFor(deps, kept),
    ])
    try {
      const { method, code } = await walletSession({ link, approve: ask, methods, signal: ending }).done
      return { is: 'done', method, code }
    } catch {
      return { is: 'failed', why: 'lost' }
    }
  }
  const close = (): void => {
    going?.abort()
    going = undefined
    state.value = { is: 'none' }
  }
  return {
    state,
    async open(text) {
      close()
      const own = new AbortController()
      going = own
      state.value = { is: 'waiting' }
      const end = await run(linkIn(text), own)
      if (going === own) state.value = end
    },
    close,
  }
}
