/** The story of push: a phone whose wallet is closed gets a notification that only it can read. */
import { createDecipheriv, createECDH, hkdfSync, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newOwnerKey, ownerFrom } from '../../platform/ethereum-owner.ts'
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import { fromHex } from '../../protocol/bytes.ts'
import { openEnvelope, parseEnvelope } from '../../protocol/envelope.ts'
import { decodeJwt } from '../../protocol/jwt.ts'
import { createDapp } from '../../sdk/dapp.ts'
import { createWallet, fromNotifyServer, systemClock } from '../../sdk/wallet.ts'
import { composeServer } from '../../server/compose.ts'
import { configWith } from '../../server/config/config.ts'
import { NO_RATE_LIMITS } from '../../server/config/settings/rate-limits.ts'
import { DemoFailure, type Page } from './page.ts'

const DOMAIN = 'app.example.com'
const PATIENCE_MS = 10_000
const HEAD_BYTES = 86
const TAG_BYTES = 16

/** A push service on this machine, with one subscription: what a browser vendor runs. */
const startPushService = async (owned: ReleaseStack) => {
  const ecdh = createECDH('prime256v1')
  const keys = { p256dh: ecdh.generateKeys('base64url'), auth: randomBytes(16).toString('base64url') }
  let arrived: (body: Buffer) => void = () => {}
  const next = new Promise<Buffer>((resolve) => {
    arrived = resolve
  })
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    response.writeHead(201).end()
    arrived(Buffer.concat(chunks))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  owned.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  /** What the phone's system does before it wakes the wallet: RFC 8291. */
  const open = (body: Buffer): string => {
    const [salt, sender] = [body.subarray(0, 16), body.subarray(21, HEAD_BYTES)]
    const own = Buffer.from(keys.p256dh, 'base64url')
    const derive = (secret: Uint8Array, by: Uint8Array, info: Uint8Array, length: number) =>
      Buffer.from(hkdfSync('sha256', secret, by, info, length))
    const label = (text: string, ...parts: Uint8Array[]) =>
      Buffer.concat([Buffer.from(`${text}\0`), ...parts])
    const auth = Buffer.from(keys.auth, 'base64url')
    const shared = derive(ecdh.computeSecret(sender), auth, label('WebPush: info', own, sender), 32)
    const key = derive(shared, salt, label('Content-Encoding: aes128gcm'), 16)
    const nonce = derive(shared, salt, label('Content-Encoding: nonce'), 12)
    const cipher = createDecipheriv('aes-128-gcm', key, nonce)
    cipher.setAuthTag(body.subarray(-TAG_BYTES))
    const plain = Buffer.concat([cipher.update(body.subarray(HEAD_BYTES, -TAG_BYTES)), cipher.final()])
    return plain.subarray(0, plain.lastIndexOf(2)).toString('utf8')
  }
  return { subscription: { endpoint: `http://127.0.0.1:${port}/phone`, keys }, next, open }
}

const inTime = <T>(work: Promise<T>, sentence: string): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = systemClock.after(PATIENCE_MS, () => reject(new DemoFailure(sentence)))
    work.then(resolve, reject).finally(() => timer[Symbol.dispose]())
  })

const startServer = async (owned: ReleaseStack, signal: AbortSignal) => {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-demo-'))
  owned.defer(() => rm(directory, { recursive: true, force: true }))
  const server = await composeServer(
    configWith({
      ...{ port: 0, host: '127.0.0.1', data: directory, metrics: 'off', logLevel: 'silent' },
      limits: NO_RATE_LIMITS,
      // The push service of this story is on this machine.
      allowPrivateAddresses: { keys: [], webhooks: [], did: [], push: ['127.0.0.1'] },
    }),
    { signal },
  )
  owned.defer(() => server.stop())
  await server.ready()
  if (!server.project) throw new DemoFailure('The server has no project.')
  return { url: server.loopbackUrl, project: server.project }
}

export const runPushStory = async ({
  owned,
  page,
  signal,
}: {
  owned: ReleaseStack
  page: Page
  signal: AbortSignal
}): Promise<void> => {
  page.line('Belfry: a locked phone gets a notification that only its wallet can read.')
  page.step('The server and a push service start')
  const { url, project } = await startServer(owned, signal)
  const service = await startPushService(owned)
  page.said(`Belfry at ${url}; a push service (RFC 8030) on this machine.`)

  page.step('A wallet subscribes, registers its phone, and is closed')
  const dapp = createDapp({ url, projectId: project.id, secret: project.secret, domain: DOMAIN, signal })
  await dapp.enrol(DOMAIN)
  const { types } = await dapp.describe(DOMAIN, { name: 'Example', types: [{ name: 'News' }] })
  const owner = ownerFrom(newOwnerKey())
  const wallet = createWallet({
    ...{ url, ...owner, domain: 'wallet.example.com', allApps: true, signal },
    resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, url),
  })
  owned.use(wallet)
  await wallet.watch()
  await wallet.subscribe(DOMAIN)
  await wallet.push.register(service.subscription)
  const [subscription] = wallet.export().subscriptions
  if (!subscription) throw new DemoFailure('The wallet has no subscription.')
  await wallet[Symbol.asyncDispose]()
  page.said('The phone is locked: no socket, no running code.')

  page.step('The dapp notifies')
  const type = types[0]?.id ?? ''
  const notification = { type, title: 'Your order', body: 'is on its way' }
  await dapp.notify(notification, [owner.account])
  const body = await inTime(service.next, 'The push service got nothing.')
  page.said(`The push service got ${body.length} bytes, none of them in clear.`)

  page.step('The phone wakes')
  const carried: { messages: { message: string }[] } = JSON.parse(service.open(body))
  const message = carried.messages[0]?.message ?? ''
  const opened = JSON.parse(openEnvelope(parseEnvelope(message), fromHex(subscription.symKey)))
  const { msg } = decodeJwt(opened.params.messageAuth).claims
  page.said(`Opened with the topic's key: ${JSON.stringify(msg).slice(0, 90)}…`)
}
