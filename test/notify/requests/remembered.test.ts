/** What is remembered of a CACAO spares its verification; it never makes a key count that does not count any more. */
import { describe, expect, it } from 'vitest'
import { createIdentityLookup } from '../../../src/keys/lookup.ts'
import { createKeyRegistry, type KeyRegistry } from '../../../src/keys/service.ts'
import { createIdentities } from '../../../src/notify/requests/identity.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import type { Cacao } from '../../../src/protocol/cacao.ts'
import { type Account, parseAccount } from '../../../src/protocol/caip.ts'
import { didPkh } from '../../../src/protocol/did.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import type { SigningKey } from '../../../src/protocol/keys.ts'
import { messageIdOf } from '../../../src/protocol/topic.ts'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { manualClock } from '../../support/clock.ts'
import { createPerson, idAuth } from '../../support/person.ts'
import { sharedServers } from '../../support/redis.ts'
import { startRegistry } from '../../support/world/keys.ts'

const KSU = 'http://localhost:8080'
const DOMAIN = 'app.example.com'
const OPTIONS = { notifyUrls: [KSU] }
type Clock = ReturnType<typeof manualClock>

/** What a notify server knows of identities, beside this registry. */
const identitiesBeside = (registry: KeyRegistry, clock: Clock) => {
  const fetch = () => Promise.reject(new ProtocolError('unavailable', 'nobody else is asked'))
  const deps = { registry, fetch, clock, log: silent }
  const lookup = createIdentityLookup(deps, { isOwnUrl: (url) => url === KSU, allowed: [] })
  return createIdentities({ lookup, clock }, OPTIONS)
}

/** A look-up that finds what it is told to, and counts how often its text is read. */
const countingIdentities = (clock: Clock) => {
  const texts = new Map<string, string>()
  let reads = 0
  const lookup = async (_: string, key: string) => {
    const text = texts.get(key) ?? ''
    const read = (): Cacao => {
      reads += 1
      return JSON.parse(text)
    }
    return { digest: messageIdOf(text), read }
  }
  const identities = createIdentities({ lookup, clock }, OPTIONS)
  return {
    keep: (key: SigningKey, cacao: Cacao) => void texts.set(key.did, JSON.stringify(cacao)),
    verify: (key: SigningKey, account: Account) =>
      identities.verify({ iss: key.did, ksu: KSU }, account, DOMAIN),
    reads: () => reads,
  }
}

const person = createPerson()
const account = parseAccount(person.account)

describe('a verified identity', () => {
  it('is refused at the next request when it is revoked, and counts again with a new CACAO only', async () => {
    await using world = await startRegistry()
    const { registry, clock } = world
    const identities = identitiesBeside(registry, clock)
    const key = person.newKey()
    const ask = () => identities.verify({ iss: key.did, ksu: KSU }, account, DOMAIN)
    await expect(ask()).rejects.toMatchObject({ code: 'identity_unknown' })
    const cacao = person.cacao(key, clock.now())
    await registry.register(cacao)
    for (let time = 0; time < 3; time++) await ask()
    const pkh = didPkh(person.account)
    await registry.unregister(idAuth(key, clock.now(), { act: 'unregister_identity', pkh }))
    await expect(ask()).rejects.toMatchObject({ code: 'identity_unknown' })
    // The old one is public: whoever registers it again brings nothing back.
    await registry.register(cacao).catch(() => {})
    await expect(ask()).rejects.toMatchObject({ code: 'identity_unknown' })
  })

  it('is read once for many requests, and its dates are looked at each time', async () => {
    const clock = manualClock()
    const known = countingIdentities(clock)
    const key = person.newKey()
    const exp = new Date(clock.now() + 600_000).toISOString()
    known.keep(key, person.cacao(key, clock.now(), { exp }))
    await Promise.all(Array.from({ length: 10 }, () => known.verify(key, account)))
    const reads = known.reads()
    for (let time = 0; time < 10; time++) await known.verify(key, account)
    expect(known.reads()).toBe(reads)
    expect(reads).toBeLessThanOrEqual(2)
    await clock.advance(660_000)
    await expect(known.verify(key, account)).rejects.toMatchObject({ code: 'identity_invalid' })
  })

  it('is nobody else’s: not another account’s, nor of another key whose CACAO has the same text', async () => {
    const clock = manualClock()
    const known = countingIdentities(clock)
    const [key, other] = [person.newKey(), person.newKey()]
    const cacao = person.cacao(key, clock.now())
    known.keep(key, cacao)
    known.keep(other, cacao)
    await known.verify(key, account)
    const stranger = parseAccount(createPerson().account)
    await expect(known.verify(key, stranger)).rejects.toMatchObject({ code: 'account_mismatch' })
    await expect(known.verify(other, account)).rejects.toMatchObject({ code: 'identity_invalid' })
  })

  it('with a forged signature stays refused', async () => {
    const clock = manualClock()
    const known = countingIdentities(clock)
    const key = person.newKey()
    const cacao = person.cacao(key, clock.now())
    known.keep(key, { ...cacao, s: { ...cacao.s, s: createPerson().cacao(key, clock.now()).s.s } })
    for (let time = 0; time < 2; time++) {
      await expect(known.verify(key, account)).rejects.toMatchObject({ code: 'identity_invalid' })
    }
    known.keep(key, cacao)
    await known.verify(key, account)
  })

  it('is forgotten when twenty thousand others came after it', async () => {
    const clock = manualClock()
    const known = countingIdentities(clock)
    const key = person.newKey()
    const cacao = person.cacao(key, clock.now())
    known.keep(key, cacao)
    await known.verify(key, account)
    const before = known.reads()
    await known.verify(key, account)
    expect(known.reads()).toBe(before)
    // They fail before their signature is verified, which would take long; what they say of themselves is remembered.
    const [stranger, wrong] = [parseAccount(createPerson().account), person.newKey()]
    for (let at = 0; at < 20_000; at++) {
      known.keep(wrong, { ...cacao, p: { ...cacao.p, nonce: `nonce ${at}` } })
      await expect(known.verify(wrong, stranger)).rejects.toMatchObject({ code: 'identity_invalid' })
    }
    const after = known.reads()
    await known.verify(key, account)
    expect(known.reads()).toBeGreaterThan(after)
  }, 120_000)
})

describe.each(sharedServers)('on two processes with %s', (_, server) => {
  it('a key that is revoked at one is refused at the next request to the other', async () => {
    const { url } = await server()
    const prefix = `remembered-${Math.random().toString(36).slice(2)}:`
    await using one = await openRedis({ url, prefix })
    await using two = await openRedis({ url, prefix })
    const clock = manualClock(Date.now())
    const [first, second] = [one, two].map(({ keys }) =>
      createKeyRegistry({ store: keys, clock, log: silent }),
    )
    if (!first || !second) throw new Error('there are two')
    const identities = identitiesBeside(second, clock)
    const key = person.newKey()
    const ask = () => identities.verify({ iss: key.did, ksu: KSU }, account, DOMAIN)
    await first.register(person.cacao(key, clock.now()))
    for (let time = 0; time < 3; time++) await ask()
    const pkh = didPkh(person.account)
    await first.unregister(idAuth(key, clock.now(), { act: 'unregister_identity', pkh }))
    await expect(ask()).rejects.toMatchObject({ code: 'identity_unknown' })
  })
})
