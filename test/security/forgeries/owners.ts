/** Owners of identity keys, a stranger who says that the keys are of its account, and who is believed. */
import { createServer } from 'node:http'
import { z } from 'zod'
import { fetchKeys } from '../../../src/notify/client/app-keys.ts'
import type { Wallet } from '../../../src/notify/client/index.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { cacaoSchema } from '../../../src/protocol/cacao.ts'
import { didPkh } from '../../../src/protocol/did.ts'
import { newOwner } from '../../support/owner.ts'
import { createPerson } from '../../support/person.ts'
import { type EnrolledApp, newDevice } from '../../support/story.ts'
import type { Ground } from '../../support/world/attacked.ts'
import { hostAt } from '../bystander/attacks/notify.ts'
import type { Stranger } from '../bystander/stranger.ts'
import { inTime } from '../pulse.ts'
import { placeAt } from './asking.ts'

const Registered = z.object({ value: z.object({ cacao: cacaoSchema }) })
const nameOf = (identityKey: string) => identityKey.replace('did:key:', '')

/** The CACAO of a key, of this account (CAIP-10) or by the key alone. */
const lookUp = async (server: string, identityKey: string, account?: string) => {
  const query = new URLSearchParams({ publicKey: nameOf(identityKey), ...(account && { account }) })
  const answer = await fetch(`${server}/identity?${query}`)
  if (!answer.ok) throw new Error(`${identityKey} is looked up with ${answer.status}`)
  return Registered.parse(await answer.json()).value.cacao
}

/** For whom the key speaks, did:pkh, as each server says. */
export const speakersAt = (servers: readonly string[], identityKey: string, account?: string) =>
  Promise.all(servers.map(async (server) => (await lookUp(server, identityKey, account)).p.iss))

/** A stranger signs with its own account, at every server, that the key speaks for it. */
export const claim = async (stranger: Stranger, identityKey: string): Promise<void> => {
  const { account, cacao, newKey } = createPerson()
  const post = async (server: string, aud: string) => {
    const body = { cacao: cacao(newKey(), Date.now(), { aud }) }
    return (await stranger.http('POST', `${server}/identity`, body)).status
  }
  for (const server of stranger.servers) {
    const status = await post(server, identityKey)
    stranger.note('claim a key', status === 200 || status === 400)
    // The same about a key that is nobody's: what is signed is good.
    const own = newKey().did
    const isTaken = (await post(server, own)) === 200
    stranger.note('claim a free key', isTaken && (await speakersAt([server], own))[0] === didPkh(account))
  }
}

/** A key server of somebody else, that the operator allows. */
export const startKeyServer = (url: string) => {
  const held = new Map<string, unknown>()
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    if (request.method === 'POST') {
      const { cacao } = z.object({ cacao: cacaoSchema }).parse(JSON.parse(text))
      held.set(nameOf(cacao.p.aud), cacao)
    }
    const cacao = held.get(new URL(request.url ?? '', url).searchParams.get('publicKey') ?? '')
    const isThere = request.method === 'POST' || cacao !== undefined
    response.writeHead(isThere ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ status: 'SUCCESS', error: null, value: { cacao } }))
  })
  return hostAt(url, server)
}

/** A wallet whose identity key is known before it is registered, here or at the key server of somebody else. */
export const newWallet = (ground: Ground, keyServer?: string): Wallet => {
  const { url, wsUrl } = placeAt(ground, -1)
  const deps = { clock: systemClock, fetch }
  return newDevice({ url: keyServer ?? url, wsUrl }, newOwner(), {
    notifyUrl: url,
    resolveAppKeys: (domain) => fetchKeys(deps, `${url}/apps/${domain}/did.json`),
  })
}

/** All that an owner does in signed requests. */
export const subscribeAndUpdate = async (wallet: Wallet, { domain, types }: EnrolledApp): Promise<void> => {
  await inTime('The owner watches', wallet.watch())
  await inTime('The owner subscribes', wallet.subscribe(domain))
  await inTime('The owner updates', wallet.update(domain, [types[0]?.id ?? '']))
}
