/** What strangers ask of the notify server, through the relay. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fromHex, toBase64url, utf8 } from '../../../../src/protocol/bytes.ts'
import { generateSigningKey } from '../../../../src/protocol/keys.ts'
import { topicOf } from '../../../../src/protocol/topic.ts'
import { newDevice } from '../../../notify/support/wallet.ts'
import { newOwner } from '../../../support/owner.ts'
import { type Attack, type Scene, SHORT_SECONDS } from '../attack.ts'
import { isFine, nonsense, oneOf, tokenFor } from '../stranger.ts'

const REQUEST_TTL_S = 300
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** A host of the attackers', for the time of the attack. */
export const hostAt = async (url: string, server: ReturnType<typeof createServer>) => {
  const { hostname, port } = new URL(url)
  server.listen(Number(port), hostname)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'

/** More than a server has at work at a time. */
const UNKNOWN_NAMES = 700
const BATCH = 35

/** Of each of two servers; a server that does not hold back asks for as many as it works on at a time, and more. */
const MOST_LOOK_UPS = 64

/** Requests in the name of identities that nobody knows, of which a key server has to be asked. */
const askInUnknownNames = async (scene: Scene, keyServer: string): Promise<void> => {
  const { key, did } = scene.orders.server
  const publisher = await scene.connect()
  const prepared = Array.from({ length: UNKNOWN_NAMES }, () => {
    const device = newDevice(newOwner(), { now: Date.now, keyServer })
    const { topic, message, tag } = device.watch({ publicKey: fromHex(key), did })
    return { topic, message, tag, ttl: REQUEST_TTL_S }
  })
  await scene.repeat('ask in unknown names', { atOnce: 2, times: UNKNOWN_NAMES / BATCH }, (turn) => {
    const messages = prepared.slice(turn * BATCH, (turn + 1) * BATCH)
    return publisher.ask('irn_batchPublish', { messages })
  })
  await scene.over()
  publisher.close()
}

const hangingKeyServer: Attack = {
  title: 'asks in names that a key server has to tell, which hangs',
  seconds: 5,
  atLeast: { 'ask in unknown names': UNKNOWN_NAMES / BATCH, 'a look-up hangs': 4 },
  atMost: { 'a look-up hangs': MOST_LOOK_UPS },
  async run(scene) {
    const url = scene.orders.keyServers.hanging
    await using _host = await hostAt(
      url,
      createServer(() => scene.note('a look-up hangs', true)),
    )
    await askInUnknownNames(scene, url)
  },
}

const switchingKeyServer: Attack = {
  title: 'asks in names that a key server has to tell, which switches protocols',
  seconds: 5,
  atLeast: { 'ask in unknown names': UNKNOWN_NAMES / BATCH, 'a look-up is answered 101': 4 },
  atMost: { 'a look-up is answered 101': MOST_LOOK_UPS },
  async run(scene) {
    const url = scene.orders.keyServers.switching
    await using _host = await hostAt(
      url,
      createServer(({ socket }) => {
        scene.note('a look-up is answered 101', true)
        socket.write(SWITCHING)
      }),
    )
    await askInUnknownNames(scene, url)
  },
}

/** Signed well, and with so many slashes in what it allows that a careless look at it takes long. */
const slashedCacao = (device: ReturnType<typeof newDevice>, slashes: number) => {
  const uri = `https://${'/'.repeat(slashes)}x`
  const recap = JSON.stringify({ att: { [uri]: { 'manage/all-apps-notifications': [{}] } } })
  const resources = [`urn:recap:${toBase64url(utf8(recap))}`]
  const [aud, iat, nonce] = [device.identity.did, new Date().toISOString(), '12345678']
  const { owner } = device
  const text = [
    'wallet.example wants you to sign in with your Ethereum account:',
    owner.address,
    '',
    'I further authorize the stated URI to perform the following actions on my behalf: ' +
      `(1) 'manage': 'all-apps-notifications' for '${uri}'.`,
    '',
    ...[`URI: ${aud}`, 'Version: 1', 'Chain ID: 1', `Nonce: ${nonce}`, `Issued At: ${iat}`],
    ...['Resources:', `- ${resources[0]}`],
  ].join('\n')
  return {
    h: { t: 'eip4361' },
    p: {
      aud,
      domain: 'wallet.example',
      iss: `did:pkh:${owner.account}`,
      version: '1',
      nonce,
      iat,
      resources,
    },
    s: { t: 'eip191', s: owner.sign(text) },
  }
}

const manySlashes: Attack = {
  title: 'asks in a name whose CACAO is one of tens of thousands of slashes',
  seconds: SHORT_SECONDS,
  async run(scene) {
    const [server = ''] = scene.servers
    const { key, did } = scene.orders.server
    const device = newDevice(newOwner(), { now: Date.now, keyServer: server })
    const publisher = await scene.connect()
    for (const slashes of [45_000, 2_000]) {
      const answer = await scene.http('POST', `${server}/identity`, { cacao: slashedCacao(device, slashes) })
      scene.note(`register ${slashes} slashes`, isFine(answer))
      if (isFine(answer)) break
    }
    await scene.repeat('ask in its name', { atOnce: 4 }, async () => {
      const { topic, message, tag } = device.watch({ publicKey: fromHex(key), did })
      await pause(20)
      return publisher.ask('irn_publish', { topic, message, tag, ttl: REQUEST_TTL_S })
    })
    publisher.close()
  },
}

const sealedNonsense: Attack = {
  title: 'sends sealed nonsense to an app',
  seconds: 4,
  // Two servers, and so many a minute each.
  atMost: { 'an answer is kept': 700 },
  atLeast: { 'send nonsense 20 times': 10, 'an answer is kept': 1 },
  async run(scene) {
    const { key } = scene.orders.app
    const topic = topicOf(fromHex(key))
    const publisher = await scene.connect()
    const answerTopics: string[] = []
    await scene.repeat('send nonsense 20 times', { atOnce: 4 }, () => {
      const messages = Array.from({ length: 20 }, () => {
        const one = nonsense(key)
        answerTopics.push(topicOf(one.key))
        return { topic, message: one.message, tag: 4000, ttl: REQUEST_TTL_S }
      })
      return publisher.ask('irn_batchPublish', { messages })
    })
    publisher.close()
    // Whoever asks later finds what waits.
    await pause(1_000)
    const relay = oneOf(scene.relays)
    for (let at = 0; at < answerTopics.length; at += 500) {
      const params = { topics: answerTopics.slice(at, at + 500) }
      const body = { id: 1, jsonrpc: '2.0', method: 'irn_batchFetchMessages', params }
      const authorization = `Bearer ${tokenFor(generateSigningKey(), relay)}`
      const url = `${relay.replace(/^ws/, 'http')}/rpc`
      const { text } = await scene.http('POST', url, body, { authorization })
      for (const _ of text.matchAll(/"publishedAt"/g)) scene.note('an answer is kept', true)
    }
  },
}

export const notifyAttacks: readonly Attack[] = [
  manySlashes,
  hangingKeyServer,
  switchingKeyServer,
  sealedNonsense,
]
