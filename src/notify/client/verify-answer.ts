/** Verifies what an account answered to an action of a notification, without asking any server. */
import {
  accountOf,
  checkDates,
  datesOf,
  identityKeyOf,
  parseCacao,
  verifyCacaoSignature,
} from '../../protocol/cacao.ts'
import { accountKey } from '../../protocol/caip.ts'
import { accountFromDidPkh, domainFromDidWeb } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { decodeJwt, verifyJwt } from '../../protocol/jwt.ts'
import { NOTIFY_REQUESTS } from '../../protocol/notify/requests.ts'
import { NOTIFY_METHODS } from '../../protocol/notify-methods.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { deliveredIdOf } from '../ids.ts'
import { authorityOf, authorize } from '../requests/authority.ts'

/** As a receipt (`answer`) and the event `answered` (`data`) have it. */
export interface AnswerProof {
  jwt: string
  cacao: unknown
  subscription_id: string
}

export interface ExpectedAnswer {
  /** The app's domain. */
  domain: string
  /** Id of the notification. */
  notificationId: string
  /** URLs by which recaps may name the notify server: only for identity keys that were registered with one. */
  notifyUrls?: readonly string[]
  /** Asks a chain about the signature of a smart account; without it such answers are refused. */
  verifySignature?: ContractWalletCheck
}

export interface VerifiedAnswer {
  /** CAIP-10, as the wallet wrote it. */
  account: string
  /** Id of the action. */
  action: string
  /** When the wallet signed it, unix ms. */
  at: number
  /** did:key that signed it. */
  identityKey: string
}

const NO_URLS: readonly string[] = ['https://notify.walletconnect.com']

/**
 * Verifies the proof of an answer: the identity key signed it, the account's CACAO lets that key speak for the app's
 * notifications, and it answers this notification of this app. It trusts no server.
 *
 * @param proof the `answer` of a receipt, or the `data` of the event `answered`.
 * @param expected the app and the notification that were asked.
 * @returns who answered what, and when.
 * @throws {ProtocolError} `jwt_invalid`, `jwt_wrong_act`, `bad_params`, `identity_invalid`, `account_mismatch`,
 * `app_not_authorized` or `unknown_notification`: it is no such answer.
 * @example
 * const { account, action } = await verifyAnswer(receipt.answer, { domain: 'app.example.com', notificationId: 'vote-1' })
 */
export const verifyAnswer = async (
  { jwt, cacao: given, subscription_id: subscriptionId }: AnswerProof,
  { domain, notificationId, notifyUrls = NO_URLS, verifySignature }: ExpectedAnswer,
): Promise<VerifiedAnswer> => {
  const { requestAct } = NOTIFY_METHODS[4018]
  // It is a statement of the time at which it was signed, and stays one when the request has expired.
  const at = decodeJwt(jwt).claims.iat * 1000
  const parsed = NOTIFY_REQUESTS[4018].safeParse(verifyJwt(jwt, { now: at, act: requestAct }))
  if (!parsed.success) throw new ProtocolError('bad_params', 'it has other claims')
  const { iss, sub, app, nid, aid } = parsed.data
  if (domainFromDidWeb(app) !== domain)
    throw new ProtocolError('app_not_authorized', 'it was said to another app')
  if (nid !== deliveredIdOf(subscriptionId, notificationId)) throw new ProtocolError('unknown_notification')

  const cacao = parseCacao(given)
  if (identityKeyOf(cacao) !== iss) throw new ProtocolError('identity_invalid', 'it names another key')
  const account = accountFromDidPkh(sub)
  if (accountKey(accountOf(cacao)) !== accountKey(account)) throw new ProtocolError('account_mismatch')
  checkDates(datesOf(cacao), at)
  await verifyCacaoSignature(cacao, verifySignature)
  authorize(authorityOf(cacao, { notifyUrls }), domain)
  return { account: account.text, action: aid, at, identityKey: iss }
}
