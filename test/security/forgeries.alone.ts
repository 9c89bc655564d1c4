/**
 * What a stranger has of somebody else (the key of one app, the name of an identity key, a proof, a JWT), or names to the
 * server, gets it no further than it may, and those whose it is go on. On each ground, over its real relays and servers.
 *
 * `BELFRY_UNDER_TEST` names the `dist` of another checkout to attack.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { didPkh } from '../../src/protocol/did.ts'
import { hubAt, newAgent } from '../mq/agents.ts'
import { eventually } from '../support/eventually.ts'
import { GROUNDS, type Ground } from '../support/world/attacked.ts'
import { createStranger, isFine, type Stranger } from './bystander/stranger.ts'
import { askerAt } from './forgeries/asking.ts'
import { reach, startInside, tellProject, urlsInside, watchInside } from './forgeries/inside.ts'
import { claim, newWallet, speakersAt, startKeyServer, subscribeAndUpdate } from './forgeries/owners.ts'
import { putSigned, putUnderProof, takeAll } from './forgeries/queue.ts'
import { type Held, startSubscriber } from './forgeries/subscriber.ts'
import { namesIn, startTwoApps } from './forgeries/two-apps.ts'

const SECONDS = 30
/** A queue has 60 tokens for an address at once, and two more a second. */
const TOKENS = 200

const strangerAt = ({ relays, servers }: Ground): Stranger =>
  createStranger({ relays, servers, address: '203.0.113.200', seconds: SECONDS })

/**
 * What comes of it when a stranger sends these JWTs in envelopes of its own, at each relay in turn: how each is answered,
 * and the scope of the subscription after it.
 */
const outcomesOf = async (
  { relays }: Ground,
  { forged, scope }: Awaited<ReturnType<typeof startSubscriber>>,
  all: readonly Held[],
) => {
  const outcomes = []
  for (const [at, held] of all.entries()) {
    await using asker = askerAt(relays[at % relays.length] ?? '')
    const rpc = await asker.ask(forged(held))
    const answer = rpc.kind === 'failure' ? rpc.message : rpc.kind
    outcomes.push({ tag: held.tag, answer, scope: await scope() })
  }
  return outcomes
}

describe.each(GROUNDS)('on $name nobody suffers from a stranger who', ({ start }) => {
  let ground: Ground
  beforeAll(async () => {
    ground = await start()
  })
  afterAll(() => ground?.[Symbol.asyncDispose]())

  it('has the key of one app of a wallet, and reads all that comes on its topic', async () => {
    await using account = await startTwoApps(ground)
    const { wallet, second, one, other, key, hidden, listener } = account
    const scope = [one.types[1]?.id ?? '']
    await wallet.update(one.domain, scope)
    const of = ({ domain }: { domain: string }) => expect.objectContaining({ domain })
    const both = [expect.objectContaining({ domain: one.domain, scope }), of(other)]
    // The devices themselves are told of both.
    await eventually(() => expect(second.subscriptions()).toEqual(expect.arrayContaining(both)))
    expect(await wallet.watch()).toEqual(expect.arrayContaining(both))
    await wallet.delete(one.domain)
    await eventually(() => expect(second.subscriptions()).toEqual([of(other)]))
    expect(await wallet.watch()).toEqual([of(other)])

    await eventually(() => expect(listener.tags()).toEqual(expect.arrayContaining([4008, 4009, 4004, 4005])))
    expect(namesIn(listener.text(), hidden)).toEqual([])
    // It does read them.
    expect(namesIn(listener.text(), { 'its own key': key, 'the scope': String(scope) })).toHaveLength(2)
  })

  it('claimed an identity key before its owner registered it', async () => {
    const app = await ground.enrol('late.example')
    const stranger = strangerAt(ground)
    await using wallet = newWallet(ground)
    const { identityKey, account } = wallet
    await claim(stranger, identityKey)
    await subscribeAndUpdate(wallet, app)
    const owners = ground.servers.map(() => didPkh(account))
    expect(await speakersAt(ground.servers, identityKey, account)).toEqual(owners)
    // Who asks by the key alone is told what the key itself says: our wallets prove that it is theirs.
    expect(await speakersAt(ground.servers, identityKey)).toEqual(owners)
    expect(stranger.tally).toEqual({
      'claim a key': { done: owners.length, refused: 0 },
      'claim a free key': { done: owners.length, refused: 0 },
    })
  })

  it('claims an identity key after its owner registered it', async () => {
    const app = await ground.enrol('early.example')
    const stranger = strangerAt(ground)
    await using wallet = newWallet(ground)
    const { identityKey, account } = wallet
    await wallet.register()
    await claim(stranger, identityKey)
    await subscribeAndUpdate(wallet, app)
    const owners = ground.servers.map(() => didPkh(account))
    expect(await speakersAt(ground.servers, identityKey, account)).toEqual(owners)
    expect(await speakersAt(ground.servers, identityKey)).toEqual(owners)
    expect(stranger.tally['claim a free key']).toEqual({ done: owners.length, refused: 0 })
  })

  it('claims an identity key here that its owner registered at another key server', async () => {
    const app = await ground.enrol('elsewhere.example')
    const stranger = strangerAt(ground)
    const { switching: url } = ground.keyServers
    await using _keyServer = await startKeyServer(url)
    await using wallet = newWallet(ground, url)
    await wallet.register()
    await claim(stranger, wallet.identityKey)
    await subscribeAndUpdate(wallet, app)
    expect(stranger.tally['claim a key']).toEqual({ done: ground.servers.length, refused: 0 })
  })

  it('names a service in the own network to the relay, where others may lead', async () => {
    const stranger = strangerAt(ground)
    await using inside = await startInside()
    const urls = urlsInside(inside, ground)
    await reach(urls, ground)
    await watchInside(stranger, urls)
    await tellProject(ground, inside, 'inside.example')
    const told = inside.requests().filter((path) => !/^[/](plain|project)/.test(path))
    expect([...new Set(told)]).toEqual([])
    const { watch, ...others } = stranger.tally
    expect((watch?.done ?? 0) + (watch?.refused ?? 0)).toBe(urls.length * ground.relays.length)
    expect(others).toEqual({
      'publish what is watched': { done: 5 * ground.relays.length, refused: 0 },
      'acknowledge what is watched': { done: ground.relays.length, refused: 0 },
    })
  })

  it('saw the proof of a sender, and puts another message with it', async () => {
    const stranger = strangerAt(ground)
    const [sender, reader] = [newAgent(), newAgent()]
    const [url = ''] = ground.servers
    const seen = await putSigned(url, { sender, reader, message: 'from a friend' })
    await putUnderProof(stranger, reader, seen)
    const taken = await takeAll(ground.servers.at(-1) ?? '', reader)
    const named = taken.filter((one) => one.sender === sender.did)
    expect(named.map(({ text }) => text)).toEqual(['from a friend'])
    expect(named[0]?.messageSigned).toBe(true)
    // Its messages come, without a name.
    const { length } = ground.servers
    expect(taken).toHaveLength(1 + length)
    expect(stranger.tally).toEqual({
      'put under the proof of a friend': { done: 0, refused: 6 * length },
      'put without a proof': { done: length, refused: 0 },
    })
  })

  it('uses up the tokens that its address may have of a queue', async () => {
    const stranger = strangerAt(ground)
    const reader = newAgent()
    await stranger.repeat('ask for a token', { atOnce: 16, times: TOKENS }, async (turn) => {
      const server = ground.servers[turn % ground.servers.length] ?? ''
      return isFine(await stranger.http('GET', `${server}/mq/default/${reader.hash}/token`))
    })
    const puts = ground.servers.map((server) => hubAt(server).put(reader.hash, 'from a friend'))
    expect(await Promise.all(puts)).toHaveLength(ground.servers.length)
    expect(stranger.tally['ask for a token']?.refused).toBeGreaterThan(0)
  })

  it('sends JWTs again that were used, in envelopes of its own', async () => {
    await using subscriber = await startSubscriber(ground, 'used.example')
    const { used, chosen } = subscriber
    const answer = 'The JWT is not valid: it was used before'
    const refused = used.map(({ tag }) => ({ tag, answer, scope: chosen }))
    expect(await outcomesOf(ground, subscriber, used)).toEqual(refused)
  })

  it('has JWTs that are good for a year', async () => {
    await using subscriber = await startSubscriber(ground, 'lasting.example')
    const { lasting, chosen } = subscriber
    const answer = 'The JWT is not valid: it is good for too long'
    const refused = lasting.map(({ tag }) => ({ tag, answer, scope: chosen }))
    expect(await outcomesOf(ground, subscriber, lasting)).toEqual(refused)
  })
})
