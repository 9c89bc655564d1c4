/**
 * What an agent counts as answers, when whoever tells it lies: the server, the relay, a wallet, somebody with a key of their
 * own. Ten thousand forgeries, in `npm test` a share of them; none counts, and none keeps the true answer from counting.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  type ClaimedAnswer,
  countAnswers,
  namedChains,
  type Question,
} from '../../src/mcp/questions/verify.ts'
import { deliveredIdOf } from '../../src/notify/ids.ts'
import { fromBase64url, toBase64url, toHex, utf8 } from '../../src/protocol/bytes.ts'
import { type Cacao, cacaoTexts } from '../../src/protocol/cacao.ts'
import { didWeb } from '../../src/protocol/did.ts'
import { type Claims, signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { newCacao, newDevice, newOwner, type Owner } from '../notify/support/wallet.ts'
import { runs } from '../support/runs.ts'

const DOMAIN = 'app.example.com'
const OTHER_DOMAIN = 'other.example.com'
const ASKED_AT = Date.UTC(2026, 5, 1)
const NOW = ASKED_AT + 600_000
const CLOSES_AT = ASKED_AT + 3_600_000
const question: Question = {
  ...{ domain: DOMAIN, id: 'vote', choices: ['yes', 'no'] },
  ...{ askedAt: ASKED_AT, closesAt: CLOSES_AT },
}

interface Person {
  owner: Owner
  identity: SigningKey
  cacao: Cacao
  subscriptionId: string
  claims(more: Record<string, unknown>): Claims
}

const appKey = generateSigningKey()
const newPerson = (owner = newOwner()): Person => {
  const device = newDevice(owner, { now: () => NOW })
  const { identity } = device
  return {
    ...{ owner, identity, cacao: newCacao(owner, identity), subscriptionId: crypto.randomUUID() },
    claims: (more) => device.claims(4018, appKey.did, more),
  }
}

const alice = newPerson()
const [bob, stranger] = [newPerson(), newPerson()]
/** Another device of the same account. */
const laptop = newPerson(alice.owner)
const asked = namedChains([alice, bob].map(({ owner }) => owner.account))
const options = { asked, now: NOW, notifyUrls: ['https://notify.example.com'] }

interface Saying {
  id?: string
  domain?: string
  choice?: string
  /** When it was signed and when it was received, unix ms. */
  at?: number
  receivedAt?: number
  claims?: Record<string, unknown>
  signer?: SigningKey
  cacao?: unknown
  subscriptionId?: string
}
type Claimed = Required<ClaimedAnswer> & { answer: NonNullable<ClaimedAnswer['answer']> }

const answerOf = (person: Person, saying: Saying = {}): Claimed => {
  const { id = 'vote', domain = DOMAIN, choice = 'yes', at = NOW, receivedAt = at } = saying
  const { cacao = person.cacao, subscriptionId = person.subscriptionId, signer = person.identity } = saying
  const iat = Math.floor(at / 1_000)
  const ids = { app: didWeb(domain), nid: deliveredIdOf(subscriptionId, id), aid: choice }
  const claims = person.claims({ ...ids, iat, exp: iat + 2_592_000, ...saying.claims })
  return {
    account: person.owner.account,
    answer: {
      ...{ action: choice, at: new Date(receivedAt).toISOString() },
      ...{ jwt: signJwt(claims, signer), cacao, subscription_id: subscriptionId },
    },
  }
}

const genuine = answerOf(alice)
const withAnswer = (change: Partial<Claimed['answer']>, base = genuine): Claimed => ({
  ...base,
  answer: { ...base.answer, ...change },
})
/** Signed by the account itself, with other contents. */
const cacaoOf = (payload: Partial<Cacao['p']>, owner = alice.owner): Cacao =>
  newCacao(owner, alice.identity, payload)

const partsOf = (jwt: string): [string, string, string] => {
  const [header = '', payload = '', signature = ''] = jwt.split('.')
  return [header, payload, signature]
}
const withClaims = (jwt: string, change: object): string => {
  const [header, payload, signature] = partsOf(jwt)
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  return [header, toBase64url(utf8(JSON.stringify({ ...claims, ...change }))), signature].join('.')
}
/** Signed by the right key over another header. */
const withHeader = (header: object): string => {
  const [, payload] = partsOf(genuine.answer.jwt)
  const input = `${toBase64url(utf8(JSON.stringify(header)))}.${payload}`
  const [, , signature] = partsOf(genuine.answer.jwt)
  return `${input}.${signature}`
}

/** One character of a text is another one. */
const altered = (text: string, place: number, letter: string): string => {
  const at = place % Math.max(1, text.length)
  return text.slice(0, at) + letter + text.slice(at + 1)
}
const decoded = (jwt: string): string | undefined => {
  try {
    return jwt
      .split('.')
      .map((part) => toHex(fromBase64url(part)))
      .join('.')
  } catch {
    return undefined
  }
}
const spelledAlike = (left: string, right: string): boolean =>
  left === right || (decoded(left) !== undefined && decoded(left) === decoded(right))

/** Every text of a CACAO, by its path. */
const CACAO_TEXTS = [
  'p.aud',
  'p.domain',
  'p.iss',
  'p.statement',
  'p.version',
  'p.nonce',
  'p.iat',
  's.t',
  's.s',
] as const
const alteredCacao = (
  path: (typeof CACAO_TEXTS)[number],
  place: number,
  letter: string,
): Cacao | undefined => {
  const [part, name] = path.split('.') as ['p' | 's', 'iss']
  const cacao = structuredClone(alice.cacao)
  const before = cacao[part as 'p'][name]
  const after = altered(before, place, letter)
  // Hex in capitals is the same signature.
  if (after.toLowerCase() === before.toLowerCase() && path === 's.s') return undefined
  if (after === before) return undefined
  cacao[part as 'p'][name] = after
  return cacao
}

const minutes = fc.integer({ min: 10, max: 100_000 }).map((count) => count * 60_000)
const letter = fc.constantFrom(...'ABCxyz019-_.= \n')
const place = fc.nat(2_000)
const otherChoice = fc.constantFrom('no', 'maybe', '', 'YES', 'yes ')
const person = fc.constantFrom(bob, stranger)
const junk = fc.oneof(fc.string(), fc.constant('..'), fc.constant('a.b.c'), fc.constant('null'))

const LATER_THAN_NOW = 'signed later than now'

/** Forgeries of one kind each; undefined where what came out says the same. */
const KINDS: Record<string, fc.Arbitrary<Claimed | undefined>> = {
  'another key signed, in the name of the right one': fc
    .constant(0)
    .map(() => answerOf(alice, { signer: generateSigningKey() })),
  'an identity key that nobody let speak': fc.constant(0).map(() => {
    const signer = generateSigningKey()
    return answerOf(alice, { signer, claims: { iss: signer.did } })
  }),
  "somebody else's identity key, with their CACAO or the right one": fc
    .tuple(person, fc.boolean())
    .map(([other, isOwn]) =>
      answerOf(alice, {
        ...{ signer: other.identity, claims: { iss: other.identity.did } },
        cacao: isOwn ? other.cacao : alice.cacao,
      }),
    ),
  "somebody else's answer, shown as this account's": person.map((other) => ({
    ...answerOf(other),
    account: alice.owner.account,
  })),
  'an account that was not asked': otherChoice.map(() => answerOf(stranger)),
  'an answer to another question': fc
    .tuple(fc.string({ minLength: 1, maxLength: 20 }), fc.boolean())
    .map(([id, isMoved]) => {
      const other = answerOf(alice, { id: `${id}~` })
      return isMoved ? withAnswer({ subscription_id: crypto.randomUUID() }, other) : other
    }),
  'an answer to a question whose id ends like this one': fc
    .string({ minLength: 1, maxLength: 20 })
    .map((line) =>
      withAnswer(
        { subscription_id: `${alice.subscriptionId}\n${line}` },
        answerOf(alice, { id: `${line}\nvote` }),
      ),
    ),
  'an answer to another app': fc.constant(answerOf(alice, { domain: OTHER_DOMAIN })),
  'a choice that the question has not': fc
    .constantFrom('maybe', '', 'YES', 'yes ', '__proto__')
    .map((choice) => answerOf(alice, { choice })),
  'another choice than what was signed': otherChoice.map((action) => withAnswer({ action })),
  'another choice in what was signed': otherChoice.map((aid) =>
    withAnswer({ action: aid, jwt: withClaims(genuine.answer.jwt, { aid }) }),
  ),
  'another claim in what was signed': fc
    .constantFrom('iss', 'sub', 'app', 'nid', 'act', 'iat', 'exp', 'aud')
    .chain((name) => fc.tuple(fc.constant(name), fc.oneof(fc.string(), fc.nat(), fc.constant(null))))
    .map(([name, value]) => withAnswer({ jwt: withClaims(genuine.answer.jwt, { [name]: value }) })),
  'a character of the JWT': fc.tuple(place, letter).map(([at, char]) => {
    const jwt = altered(genuine.answer.jwt, at, char)
    return spelledAlike(jwt, genuine.answer.jwt) ? undefined : withAnswer({ jwt })
  }),
  'a JWT that is cut off, or goes on': fc.tuple(place, junk).map(([at, more]) => {
    const { jwt } = genuine.answer
    const other = at % 2 === 0 ? jwt.slice(0, at % jwt.length) : `${jwt}.${more}`
    return spelledAlike(other, jwt) ? undefined : withAnswer({ jwt: other })
  }),
  'a header that asks for less': fc
    .constantFrom(
      { alg: 'none' },
      { alg: 'HS256' },
      { alg: 'EdDSA', crit: ['x'] },
      { alg: 'EdDSA', jwk: {} },
      {},
    )
    .map((header) => withAnswer({ jwt: withHeader(header) })),
  'no signature': fc.constant(0).map(() => {
    const [header, payload] = partsOf(genuine.answer.jwt)
    return withAnswer({ jwt: `${header}.${payload}.` })
  }),
  'a character of the CACAO': fc
    .tuple(fc.constantFrom(...CACAO_TEXTS), place, letter)
    .map(([path, at, char]) => {
      const cacao = alteredCacao(path, at, char)
      return cacao && withAnswer({ cacao })
    }),
  "another device's CACAO": fc.constant(withAnswer({ cacao: laptop.cacao })),
  "somebody else's CACAO": person.map(({ cacao }) => withAnswer({ cacao })),
  'a CACAO that another account signed': person.map(({ owner }) => {
    const unsigned = structuredClone(alice.cacao)
    return withAnswer({
      cacao: { ...unsigned, s: { t: 'eip191', s: owner.sign(cacaoTexts(unsigned)[0] ?? '') } },
    })
  }),
  'a CACAO that allows nothing, or another app only': fc
    .constantFrom('', 'I have read the terms', 'I further authorize this app to send me notifications.')
    .map((statement) => withAnswer({ cacao: cacaoOf({ statement, domain: OTHER_DOMAIN }) })),
  'a CACAO that was over, or not begun': minutes.map((before) => {
    const exp = { exp: new Date(NOW - before).toISOString() }
    const nbf = { nbf: new Date(NOW + before).toISOString() }
    return withAnswer({ cacao: cacaoOf(before % 120_000 === 0 ? exp : nbf) })
  }),
  'signed after the end, or long before the question': minutes.map((more) => {
    const at = (more / 60_000) % 2 === 0 ? CLOSES_AT + more : ASKED_AT - more
    return answerOf(alice, { at, receivedAt: NOW })
  }),
  [LATER_THAN_NOW]: minutes.map((more) => answerOf(alice, { at: NOW + more, receivedAt: NOW })),
  'received after the end, before the question, or never': minutes.map((more) => {
    const times = [new Date(CLOSES_AT + more), new Date(ASKED_AT - more)].map((time) => time.toISOString())
    return withAnswer({ at: [...times, 'soon', ''][(more / 60_000) % 4] ?? '' })
  }),
  'another request of the same wallet': fc
    .constantFrom(
      'notify_subscription',
      'notify_delete',
      'notify_mark_notifications_as_read',
      'notify_answer_response',
    )
    .map((act) => answerOf(alice, { claims: { act } })),
  'another subscription': fc.uuid().map((id) => withAnswer({ subscription_id: id })),
  junk: fc.tuple(junk, fc.jsonValue()).map(([jwt, cacao]) => withAnswer({ jwt, cacao })),
}

const forgeries = fc
  .constantFrom(...Object.keys(KINDS))
  .chain((kind) => fc.tuple(fc.constant(kind), KINDS[kind] ?? fc.constant(undefined)))

const count = (...claimed: readonly ClaimedAnswer[]) => countAnswers(question, claimed, options)
/** As one sees it who looks when the question is long over. */
const countLater = (...claimed: readonly ClaimedAnswer[]) =>
  countAnswers(question, claimed, { ...options, now: CLOSES_AT + 365 * 86_400_000 })
const ofAlice = {
  account: alice.owner.account,
  choice: 'yes',
  signedAt: NOW,
  identityKey: alice.identity.did,
}

it('what is genuine counts, of every device and every account that was asked', async () => {
  expect(await count(genuine)).toEqual({ counted: [ofAlice], refused: [], undecided: [] })
  const both = await count(answerOf(laptop, { choice: 'no' }), answerOf(bob))
  expect(both.counted.map(({ account, choice }) => [account, choice])).toEqual([
    [alice.owner.account, 'no'],
    [bob.owner.account, 'yes'],
  ])
  expect(await count({ account: alice.owner.account })).toEqual({ counted: [], refused: [], undecided: [] })
})

it('nothing that is forged, altered, replayed or late counts, or keeps the true answer from counting', async () => {
  const seen = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(forgeries, fc.boolean(), async ([kind, forged], isEarly) => {
      fc.pre(forged !== undefined)
      seen.set(kind, (seen.get(kind) ?? 0) + 1)
      const look = kind === LATER_THAN_NOW || isEarly ? count : countLater
      expect({ kind, ...(await look(forged)) }).toMatchObject({ kind, counted: [], refused: [{}] })
      expect((await look(forged, genuine)).counted).toEqual([ofAlice])
    }),
    { numRuns: runs(10_000) },
  )
  expect([...seen.keys()].sort()).toEqual(Object.keys(KINDS).sort())
}, 240_000)

it('the first answer of an account counts, whatever comes behind it', async () => {
  const second = answerOf(alice, { choice: 'no' })
  const fromLaptop = answerOf(laptop, { choice: 'no' })
  const onOtherChain = { ...fromLaptop, account: alice.owner.on(137) }
  const { counted, refused } = await count(genuine, genuine, second, fromLaptop, onOtherChain)
  expect(counted).toEqual([ofAlice])
  expect(refused.map(({ reason }) => reason)).toEqual(Array(4).fill('already_answered'))
})
