/** What strangers have the server do at other hosts. */
import { createServer } from 'node:http'
import { systemClock } from '../../../../src/platform/runtime/clock.ts'
import { didWeb } from '../../../../src/protocol/did.ts'
import { signJwt } from '../../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../../src/protocol/keys.ts'
import { newDevice } from '../../../support/story.ts'
import { type Attack, type Scene, SHORT_SECONDS } from '../attack.ts'
import { isFine, junk, MONTH_S, newTopic, oneOf, randomHex, watchToken } from '../stranger.ts'
import { hostAt, SWITCHING } from './notify.ts'

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const WEBHOOKS = 20
/** A webhook hears of what happens from so long after its registration on. */
const SETTLED_MS = 1_200

const registerWebhook = async (scene: Scene, url: string): Promise<void> => {
  const { id, secret } = scene.orders.project
  const body = { url, events: ['subscribed'] }
  const headers = { authorization: `Bearer ${secret}` }
  const answer = await scene.http('POST', `${oneOf(scene.servers)}/${id}/register-webhook`, body, headers)
  scene.note('register a webhook', isFine(answer))
}

/** Wallets that subscribe to the attackers' own app, each of which all its webhooks are told. */
const subscribeWallets = (scene: Scene): Promise<void> =>
  scene.repeat('subscribe a wallet', { atOnce: 3, times: 8 }, async () => {
    const [wsUrl, url] = [oneOf(scene.relays), oneOf(scene.servers)]
    const wallet = newDevice({ url, wsUrl }, undefined, {}, systemClock)
    try {
      await wallet.watch()
      await wallet.subscribe(scene.orders.project.domain)
      return true
    } finally {
      await wallet[Symbol.asyncDispose]()
    }
  })

const switchingWebhooks: Attack = {
  title: 'has webhooks of a project that switch protocols',
  seconds: 20,
  atLeast: { 'subscribe a wallet': 8, 'an event is answered 101': 16 },
  async run(scene) {
    const url = scene.orders.keyServers.switching
    const server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      if (text.includes('"challenge"')) {
        response.writeHead(204).end()
        return
      }
      scene.note('an event is answered 101', true)
      request.socket.write(SWITCHING)
    })
    await using _host = await hostAt(url, server)
    for (let at = 0; at < WEBHOOKS; at++) await registerWebhook(scene, `${url}/${at}`)
    await pause(SETTLED_MS)
    await subscribeWallets(scene)
  },
}

const webhooksOnOthers: Attack = {
  title: 'has webhooks of many ids on a third party',
  seconds: 20,
  atMost: { 'the third party is asked': 150 },
  atLeast: { 'publish to watched topics': 20 },
  async run(scene) {
    const url = scene.orders.keyServers.hanging
    const server = createServer((_, response) => {
      scene.note('the third party is asked', true)
      response.writeHead(404).end()
    })
    await using _host = await hostAt(url, server)
    const topic = newTopic()
    const ids = await Promise.all(Array.from({ length: 4 }, () => scene.connect()))
    for (const id of ids) {
      await id.ask('irn_subscribe', { topic })
      for (let at = 0; at < 64; at++) {
        const registerAuth = watchToken(id.key, scene.relays[0] ?? '', `${url}/${at}`, 'https://s.example')
        scene.note('watch', await id.ask('irn_watchRegister', { registerAuth }))
      }
    }
    const publisher = await scene.connect()
    await scene.repeat('publish to watched topics', { atOnce: 1, times: 20 }, async () => {
      await pause(50)
      return publisher.ask('irn_publish', { topic, message: junk(6), ttl: MONTH_S, tag: 4000 })
    })
    for (const one of [...ids, publisher]) one.close()
  },
}

const namesThatLeadNowhere: Attack = {
  title: 'names hosts whose names lead nowhere',
  seconds: SHORT_SECONDS,
  needsNames: true,
  async run(scene) {
    const aud = didWeb(new URL(scene.servers[0] ?? '').host)
    await scene.repeat('name a host', { atOnce: 32 }, async () => {
      const sub = didWeb(`${randomHex(8)}.example`)
      const key = generateSigningKey()
      const iat = Math.floor(Date.now() / 1000)
      const claims = { iss: key.did, sub, aud, act: 'grant_installation', iat, exp: iat + 300 }
      const named = { name: 'xmtp/installation/hex', value: randomHex(32), jti: randomHex(12) }
      const params = { did: sub, jwt: signJwt({ ...claims, ...named }, key) }
      const body = { jsonrpc: '2.0', id: 1, method: 'grantInstallation', params }
      const answer = await scene.http('POST', `${oneOf(scene.servers)}/rpc/v1`, body)
      return isFine(answer) && !answer.text.includes('"code":429')
    })
  },
}

export const foreignHostAttacks: readonly Attack[] = [
  switchingWebhooks,
  webhooksOnOthers,
  namesThatLeadNowhere,
]
