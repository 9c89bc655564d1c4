/**
 * Which answers to a question count. Every one is verified here, from its signatures; no server is believed about it.
 *
 * An answer counts when
 * - the account's identity key signed it, and the account lets that key speak for it (`verifyAnswer`);
 * - it answers this question of this app, with one of its choices;
 * - the account is the one of the receipt, was asked, and has no answer that counts yet;
 * - it was signed and received between the question and its end.
 *
 * A chain is asked about the signatures of smart accounts. While it cannot be asked, their answers are undecided. A contract
 * of the same address on another chain may have another owner, so only the chain of the account that was asked counts.
 */
import { accountKey, chainOf, parseAccount } from '../../protocol/caip.ts'
import { type ErrorCode, ProtocolError } from '../../protocol/errors.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { type AnswerProof, verifyAnswer } from '../../sdk/answers.ts'

/** How far clocks of wallets and servers may differ, as with all JWTs. */
const LEEWAY_MS = 300_000

export interface Question {
  /** Domain of the app that asks. */
  domain: string
  /** Id of the notification. */
  id: string
  /** Ids of the actions that ask for an answer. */
  choices: readonly string[]
  /** Unix ms. */
  askedAt: number
  /** Unix ms; what is signed or received later does not count. */
  closesAt: number
}

/** What a server says that an account answered. */
export interface ClaimedAnswer {
  account: string
  answer?: (AnswerProof & { action: string; at: string }) | undefined
}

export interface CountedAnswer {
  account: string
  choice: string
  /** When the wallet signed it, unix ms. */
  signedAt: number
  identityKey: string
}

export interface Count {
  /** One of an account. */
  counted: CountedAnswer[]
  /** Answers that do not count, and why. */
  refused: { account: string; reason: ErrorCode }[]
  /** Accounts whose answers nobody can verify now. */
  undecided: string[]
}

/** Chains (CAIP-2) under which accounts are named, by account key. */
export type NamedChains = ReadonlyMap<string, ReadonlySet<string>>

interface CountOptions {
  /** Those who were asked. Absent: whoever the server has a receipt of. */
  asked?: NamedChains | undefined
  /** Unix ms. */
  now: number
  /** By which recaps may name the notify server. */
  notifyUrls: readonly string[]
  /** Asks a chain about the signature of a smart account; without it such answers are refused. */
  verifySignature?: ContractWalletCheck | undefined
}

const keyOf = (account: string): string => accountKey(parseAccount(account))

export const namedChains = (accounts: readonly string[]): NamedChains => {
  const named = new Map<string, Set<string>>()
  for (const account of accounts.map(parseAccount)) {
    const key = accountKey(account)
    named.set(key, (named.get(key) ?? new Set()).add(chainOf(account)))
  }
  return named
}

/** Asks no other chain than these. */
const onlyOn =
  (check: ContractWalletCheck, chains: ReadonlySet<string> | undefined): ContractWalletCheck =>
  async (question) => {
    if (chains?.has(chainOf(question.account))) return check(question)
    throw new ProtocolError('account_mismatch', 'it is signed by a contract on another chain')
  }

const checkTimes = ({ askedAt, closesAt }: Question, signedAt: number, receivedAt: number, now: number) => {
  const isInTime = signedAt >= askedAt - LEEWAY_MS && signedAt <= closesAt + LEEWAY_MS
  const isReceived = receivedAt >= askedAt - LEEWAY_MS && receivedAt <= closesAt
  if (!isInTime || !isReceived || signedAt > now + LEEWAY_MS) throw new ProtocolError('jwt_expired')
}

const verified = async (
  question: Question,
  { account, answer }: Required<ClaimedAnswer>,
  { asked, now, notifyUrls, verifySignature }: CountOptions,
): Promise<CountedAnswer> => {
  if (answer === undefined) throw new ProtocolError('bad_params')
  const { domain, id: notificationId, choices } = question
  const chains = (asked ?? namedChains([account])).get(keyOf(account))
  const said = await verifyAnswer(answer, {
    ...{ domain, notificationId, notifyUrls },
    ...(verifySignature && { verifySignature: onlyOn(verifySignature, chains) }),
  })
  const key = keyOf(said.account)
  if (key !== keyOf(account) || asked?.has(key) === false) throw new ProtocolError('account_mismatch')
  if (!choices.includes(said.action) || answer.action !== said.action)
    throw new ProtocolError('unknown_action')
  checkTimes(question, said.at, Date.parse(answer.at), now)
  return { account, choice: said.action, signedAt: said.at, identityKey: said.identityKey }
}

/** A chain that could not be asked is not asked again: many answers would wait for it, one after the other. */
const untilSilent = (check: ContractWalletCheck): ContractWalletCheck => {
  const silentChains = new Set<string>()
  return async (question) => {
    const chain = chainOf(question.account)
    if (silentChains.has(chain)) throw new ProtocolError('unavailable')
    try {
      return await check(question)
    } catch (error) {
      if (error instanceof ProtocolError && error.code === 'unavailable') silentChains.add(chain)
      throw error
    }
  }
}

/** Counts what the server says, account by account. What cannot be read does not count either. */
export const countAnswers = async (
  question: Question,
  claimed: readonly ClaimedAnswer[],
  { verifySignature, ...rest }: CountOptions,
): Promise<Count> => {
  const options = { ...rest, verifySignature: verifySignature && untilSilent(verifySignature) }
  const counted = new Map<string, CountedAnswer>()
  const refused: Count['refused'] = []
  const undecided: string[] = []
  for (const { account, answer } of claimed) {
    if (answer === undefined) continue
    try {
      const one = await verified(question, { account, answer }, options)
      if (counted.has(keyOf(account))) throw new ProtocolError('already_answered')
      counted.set(keyOf(account), one)
    } catch (error) {
      const reason = error instanceof ProtocolError ? error.code : 'bad_params'
      if (reason === 'unavailable') undecided.push(account)
      else refused.push({ account, reason })
    }
  }
  return { counted: [...counted.values()], refused, undecided }
}
