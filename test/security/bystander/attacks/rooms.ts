/** What strangers ask of the other rooms, over HTTP. */

import { digestOf, registryOf } from '../../../../src/contacts/erc1056.ts'
import { hashDid } from '../../../../src/mq/dids.ts'
import { ed25519Signer } from '../../../../src/mq/signers.ts'
import { toHex } from '../../../../src/protocol/bytes.ts'
import { didWeb } from '../../../../src/protocol/did.ts'
import { generateSigningKey } from '../../../../src/protocol/keys.ts'
import { messageIdOf } from '../../../../src/protocol/topic.ts'
import { mqClient } from '../../../../src/sdk/mq.ts'
import { createPerson } from '../../../support/person.ts'
import { crowd } from '../../../support/runs.ts'
import { HEX, newSigner, YEAR } from '../../../support/world/contacts.ts'
import { deafSocket } from '../../strangers-http.ts'
import { type Attack, type Scene, SHORT_SECONDS } from '../attack.ts'
import { isFine, junk, newTopic, oneOf, randomHex, tokenFor } from '../stranger.ts'

const KIB = 1024

/** Signatures that somebody made, over something else. */
const wrongGrants = (): unknown[] =>
  Array.from({ length: 50 }, (_, id) => {
    const signature = newSigner().sign(new Uint8Array(32).fill(7))
    const params = { did: `0x${randomHex(20)}`, name: HEX, value: 'ab'.repeat(32), signature }
    return { jsonrpc: '2.0', id, method: 'grantInstallation', params }
  })

const identity = (filler: number) => {
  const person = createPerson()
  const resources = [
    'https://keys.example',
    ...(filler > 0 ? [`https://x.example/${'x'.repeat(filler)}`] : []),
  ]
  return { cacao: person.cacao(person.newKey(), Date.now(), { resources }) }
}

const wrongSignatures: Attack = {
  title: 'has batches of wrong signatures checked',
  seconds: SHORT_SECONDS,
  async run(scene) {
    const batches = Array.from({ length: 8 }, wrongGrants)
    await scene.repeat('fifty wrong signatures', { atOnce: 48 }, async () => {
      const { status, text } = await scene.http('POST', `${oneOf(scene.servers)}/rpc/v1`, oneOf(batches))
      return status === 200 && !text.includes('"code":429')
    })
  },
}

const identities: Attack = {
  title: 'registers identities, and tries ones that are wrong',
  seconds: SHORT_SECONDS,
  async run(scene) {
    const prepared = Array.from({ length: 40 }, () => identity(0))
    const wrong = JSON.parse(JSON.stringify(prepared).replaceAll('notifications', 'nothing'))
    await scene.repeat('register an identity', { atOnce: 48 }, async (turn) => {
      const body = oneOf<unknown>(turn % 2 === 0 ? prepared : wrong)
      const { status } = await scene.http('POST', `${oneOf(scene.servers)}/identity`, body)
      return status === 200 || status === 400
    })
  },
}

const longIdentities: Attack = {
  title: 'registers identities of 60 KB',
  seconds: SHORT_SECONDS,
  storedMiB: 6,
  async run(scene) {
    const prepared = Array.from({ length: 80 }, () => identity(44 * KIB))
    await scene.repeat('register an identity of 60 KB', { atOnce: 16 }, async (turn) =>
      isFine(await scene.http('POST', `${oneOf(scene.servers)}/identity`, prepared[turn % prepared.length])),
    )
  },
}

const register = (scene: Scene, tags: readonly number[], key = generateSigningKey()) => {
  const server = oneOf(scene.servers)
  const headers = { authorization: `Bearer ${tokenFor(key, server)}` }
  return scene.http('POST', `${server}/register`, { tags: tags.map(String), relayUrl: server }, headers)
}

const archiveTags: Attack = {
  title: 'registers new tags at the archive for a thousand topics',
  seconds: SHORT_SECONDS,
  storedMiB: 16,
  atLeast: { 'register tags': 32 },
  async run(scene) {
    const key = generateSigningKey()
    const one = await scene.connect({ key })
    for (let at = 0; at < 2; at++) {
      await one.ask('irn_batchSubscribe', { topics: Array.from({ length: 500 }, newTopic) })
    }
    one.close()
    const tags = () => Array.from({ length: 8 }, () => Math.floor(Math.random() * 1e8))
    await scene.repeat('register tags', { atOnce: 32 }, async () =>
      isFine(await register(scene, tags(), key)),
    )
  },
}

const READERS = 40

const unreadPages: Attack = {
  title: 'asks for pages of the archive and reads none',
  seconds: SHORT_SECONDS,
  storedMiB: 64,
  residentMiB: 100,
  async run(scene) {
    const key = generateSigningKey()
    const [topic, tag] = [newTopic(), 77_001]
    await register(scene, [tag], key)
    const publisher = await scene.connect({ key })
    const filler = 'x'.repeat(200 * KIB)
    for (let at = 0; at < 80; at++) {
      scene.note(
        'archive 200 KiB',
        await publisher.ask('irn_publish', { topic, message: `${at} ${filler}`, tag, ttl: 300 }),
      )
    }
    publisher.close()
    const asked =
      `GET /messages?topic=${topic}&messageCount=200 HTTP/1.1\r\nHost: belfry\r\n` +
      `X-Forwarded-For: ${scene.address}\r\n\r\n`
    const deaf = await Promise.all(
      Array.from({ length: READERS }, (_, at) =>
        deafSocket(scene.servers[at % scene.servers.length] ?? '', '127.0.0.1', asked),
      ),
    )
    await scene.over()
    for (const socket of deaf) socket.destroy()
  },
}

/** More than an address may store. */
const GRANTS = crowd(700, 560)

const installations: Attack = {
  title: 'grants installations for a year',
  seconds: 40,
  storedMiB: 8,
  atLeast: { 'grant 16 KiB': GRANTS },
  async run(scene) {
    const registry = registryOf(didWeb(new URL(scene.servers[0] ?? '').host))
    const value = new Uint8Array(16 * KIB).fill(7)
    const name = HEX
    await scene.repeat('grant 16 KiB', { atOnce: 16, times: GRANTS }, async () => {
      const signer = newSigner()
      const did = signer.address
      const digest = digestOf(
        { act: 'set', name, value, validity: YEAR },
        { registry, nonce: 0, identity: did },
      )
      const params = { did, name, value: toHex(value), validity: YEAR, signature: signer.sign(digest) }
      const body = { jsonrpc: '2.0', id: 1, method: 'grantInstallation', params }
      const answer = await scene.http('POST', `${oneOf(scene.servers)}/rpc/v1`, body)
      return isFine(answer) && answer.text.includes('"result"')
    })
  },
}

const put = async (scene: Scene, hash: string, token: string, bytes: number): Promise<boolean> => {
  const queue = `${oneOf(scene.servers)}/mq/default`
  const headers = { 'x-mq-authorization': token }
  return isFine(await scene.http('PUT', `${queue}/put/${hash}`, { message: junk(bytes) }, headers))
}
const queueToken = async (scene: Scene, hash: string): Promise<string> => {
  const given = await scene.http('GET', `${oneOf(scene.servers)}/mq/default/${hash}/token`)
  return isFine(given) ? JSON.parse(given.text).token : ''
}

const queuesOfNobody: Attack = {
  title: 'puts into queues of nobody',
  seconds: SHORT_SECONDS,
  // The budget of work ends it: about 1,700 puts in an address's burst and five seconds. LMDB takes 18 KB for one of 9 KB.
  storedMiB: 40,
  atLeast: { 'put a hundred into a queue': 4 },
  // Of a queue whose reader was not there.
  atMost: { 'a message is kept': 128 },
  async run(scene) {
    await scene.repeat('put a hundred into a queue', { atOnce: 8 }, async () => {
      const hash = hashDid(generateSigningKey().did)
      const token = await queueToken(scene, hash)
      let done = token !== ''
      for (let at = 0; at < 100 && done && !scene.isOver(); at++) done = await put(scene, hash, token, 7_000)
      return done
    })
    // Its reader comes only now.
    const reader = ed25519Signer(generateSigningKey())
    const hash = hashDid(reader.did)
    const token = await queueToken(scene, hash)
    for (let at = 0; at < 150; at++) await put(scene, hash, token, 30)
    const queue = mqClient({ url: oneOf(scene.servers), ...reader })
    const next = () => queue.take({ signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
    for (let at = 0; at < 140 && (await next()); at++) {
      scene.note('a message is kept', true)
    }
  },
}

const queueOfVictim: Attack = {
  title: 'fills the queue of somebody who reads it',
  seconds: 20,
  atLeast: { 'put into the queue': 190 },
  async run(scene) {
    const hash = scene.orders.victim.queue
    const token = await queueToken(scene, hash)
    await scene.repeat('put into the queue', { atOnce: 8, times: 190 }, () => put(scene, hash, token, 30))
  },
}

const VICTIM_TAG = 5_000

const compaction: Attack = {
  title: 'has an archived topic compacted that it saw at the relay',
  seconds: 2,
  atLeast: { 'order a compaction': 1 },
  async run(scene) {
    const { topic } = scene.orders.victim
    const key = generateSigningKey()
    // As those have to be who may: registered, subscribed, and with a message there that is the first to stay.
    await register(scene, [VICTIM_TAG], key)
    const publisher = await scene.connect({ key })
    await publisher.ask('irn_subscribe', { topic })
    const message = junk(20)
    await publisher.ask('irn_publish', { topic, message, tag: VICTIM_TAG, ttl: 300 })
    publisher.close()
    for (const server of scene.servers) {
      const iat = Math.floor(Date.now() / 1000)
      const claims = { act: 'archive_compact', sub: topic, bfr: messageIdOf(message), iat, exp: iat + 300 }
      const { status } = await scene.http('POST', `${server}/compact`, {
        compactAuth: tokenFor(key, server, claims),
      })
      scene.note('order a compaction', status > 0)
    }
  },
}

export const roomAttacks: readonly Attack[] = [
  wrongSignatures,
  identities,
  longIdentities,
  archiveTags,
  unreadPages,
  installations,
  queuesOfNobody,
  queueOfVictim,
  compaction,
]
