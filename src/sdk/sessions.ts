/**
 * Wallet sessions: `belfry/sessions`. Node and browsers.
 *
 *     // a dapp
 *     const session = await dappSession({ relay: 'https://belfry.example.com' })
 *     show(session.link)
 *     const { pk } = verifyAuthPk(await session.request(AUTH_PK, { origin, b64Challenge }), expected)
 *
 *     // a wallet
 *     const { done } = walletSession({ link, approve: (request) => ask(request), methods: { [AUTH_PK]: authPk(key) } })
 */
import '../platform/runtime/dispose-symbols.ts'
import type { FetchDeps } from '../platform/net/fetch-json.ts'
import { systemClock } from '../platform/runtime/clock.ts'
import { silent, unmeasured } from '../platform/telemetry.ts'
import type { ChannelDeps } from '../sessions/client/channel.ts'
import {
  type DappSession,
  type DappSessionOptions,
  dappSession as dappSessionWith,
} from '../sessions/client/dapp.ts'
import {
  type WalletSession,
  type WalletSessionOptions,
  walletSession as walletSessionWith,
} from '../sessions/client/wallet.ts'

export { systemClock } from '../platform/runtime/clock.ts'
export { silent, unmeasured } from '../platform/telemetry.ts'
export { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
export { type SigningKey, signingKeyFrom } from '../protocol/keys.ts'
export type { DappSession, DappSessionOptions } from '../sessions/client/dapp.ts'
export type { SessionOutcome, WalletSession, WalletSessionOptions } from '../sessions/client/wallet.ts'
export { formatSessionLink, parseSessionLink, type SessionLink } from '../sessions/link.ts'
export {
  AUTH_PK,
  type AuthPkExpected,
  type AuthPkResult,
  authPk,
  verifyAuthPk,
} from '../sessions/methods/auth-pk.ts'
export {
  type ApprovalAnswer,
  type ApprovalRequest,
  type Approve,
  type MethodContext,
  SESSION_ERRORS,
  SessionError,
  type SessionMethod,
  type SessionMethods,
} from '../sessions/wallet/method.ts'

const channelDeps = (deps: Partial<ChannelDeps>): ChannelDeps => ({
  clock: systemClock,
  log: silent,
  meter: unmeasured,
  ...deps,
})

/**
 * A session in a wallet: takes a link, answers one call, and ends.
 *
 * @param options the link, the methods, and how to ask the person
 * @param deps clock, log and meter; for tests, and to see the log
 * @returns the session; `done` resolves when the call is answered
 * @throws `ProtocolError` `bad_params` for a link that cannot be used
 * @example
 * const session = walletSession({ link, approve: (request) => ask(request), methods: { [AUTH_PK]: authPk(key) } })
 * const { method, code } = await session.done
 */
export const walletSession = (
  options: WalletSessionOptions,
  deps: Partial<ChannelDeps> = {},
): WalletSession => walletSessionWith(channelDeps(deps), options)

/**
 * A session of a dapp: gives out a link, and makes one call.
 *
 * @param options the relay, and how long the session may last
 * @param deps clock, log, meter and `fetch`; for tests, and to see the log
 * @returns the session, once the relay knows this end
 * @throws `ProtocolError` `bad_params` for a relay that cannot be used, `unavailable` for one that does not answer
 * @example
 * await using session = await dappSession({ relay: 'https://belfry.example.com' })
 * show(session.link)
 * const answer = await session.request(AUTH_PK, { origin, b64Challenge })
 */
export const dappSession = (
  options: DappSessionOptions,
  deps: Partial<ChannelDeps & FetchDeps> = {},
): Promise<DappSession> =>
  dappSessionWith({ fetch: globalThis.fetch.bind(globalThis), ...channelDeps(deps), ...deps }, options)
