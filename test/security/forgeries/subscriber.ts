/** Somebody whose signed requests fall into the hands of a stranger. */
import { z } from 'zod'
import { createKeysClient } from '../../../src/keys/client.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { didWeb } from '../../../src/protocol/did.ts'
import type { RpcMessage } from '../../../src/protocol/jsonrpc.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { claimsIn, newCacao, newDevice, newOwner } from '../../notify/support/wallet.ts'
import type { Ground } from '../../support/world/attacked.ts'
import { askerAt, placeAt, receiverAt } from './asking.ts'

/** What goes to the app's own key, and what goes on the notify topic. */
type Tag = 4000 | 4004 | 4008

/** A JWT, and what it was made for. */
export interface Held {
  tag: Tag
  jwt: string
}

/** A JWT that is fresh may count twice, because published clients sign whole seconds: these were made a while ago. */
const AGE_MS = 10_000
const YEAR_S = 365 * 86_400

const View = z.array(z.looseObject({ appDomain: z.string(), symKey: z.string(), scope: z.array(z.string()) }))

export const startSubscriber = async (ground: Ground, domain: string) => {
  const { url, wsUrl } = placeAt(ground, 0)
  const { types } = await ground.enrol(domain)
  const [news = '', alerts = ''] = types.map(({ id }) => id)
  const app = await receiverAt(`${url}/apps/${domain}/did.json`)
  const server = await receiverAt(`${url}/.well-known/did.json`)
  const device = newDevice(newOwner(), { now: () => Date.now() - AGE_MS, keyServer: url })
  const keys = createKeysClient({ clock: systemClock, fetch }, { url })
  await keys.registerIdentity(newCacao(device.owner, device.identity, { iat: new Date().toISOString() }))

  const asker = askerAt(wsUrl)
  const sign = (tag: Tag, more: Record<string, unknown> = {}): Held => ({
    tag,
    jwt: signJwt(device.claims(tag, app.did, { app: didWeb(domain), ...more }), device.identity),
  })
  /** In an envelope of whoever calls it, each time another one. */
  const sealed = ({ tag, jwt }: Held, topicKey: Uint8Array) => {
    const { rpcId, text } = device.request(tag, jwt)
    return tag === 4000
      ? device.sendTo(tag, app.publicKey, text, rpcId)
      : device.sendOn(tag, topicKey, text, rpcId)
  }
  const viewIn = (rpc: RpcMessage) => View.parse(claimsIn(rpc).sbs).find((one) => one.appDomain === domain)

  const used: Held[] = []
  let key: Uint8Array = new Uint8Array()
  const carryOut = async (held: Held) => {
    used.push(held)
    const view = viewIn(await asker.ask(sealed(held, key)))
    if (view) key = fromHex(view.symKey)
  }
  await carryOut(sign(4000, { scp: news }))
  await carryOut(sign(4004))
  await carryOut(sign(4000, { scp: `${news} ${alerts}` }))
  await carryOut(sign(4008, { scp: news }))
  await carryOut(sign(4008, { scp: alerts }))

  const exp = Math.floor(Date.now() / 1000) + YEAR_S
  const scope = async () => viewIn(await asker.ask(device.watch(server)))?.scope
  return {
    /** All that was carried out; what ends the subscription comes last. */
    used: used.toSorted((a, b) => Number(a.tag === 4004) - Number(b.tag === 4004)),
    /** Never sent, and good for a year. */
    lasting: [sign(4000, { scp: news, exp }), sign(4008, { scp: news, exp }), sign(4004, { exp })],
    /** What a stranger makes of a JWT, who has the key of the topic. */
    forged: (held: Held) => sealed(held, key),
    chosen: [alerts],
    /** What the server says; undefined where it is no subscription any more. */
    scope,
    [Symbol.asyncDispose]: () => asker[Symbol.asyncDispose](),
  }
}
