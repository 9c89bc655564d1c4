/** Who asks in the examples: a project with an app, a wallet that is subscribed, an agent, a relay, an operator. */
import { randomBytes } from 'node:crypto'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import { generateSigningKey, type SigningKey } from '../../../src/protocol/keys.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { createRelayClient } from '../../../src/relay/client/index.ts'
import { createWallet, fromNotifyServer } from '../../../src/sdk/wallet.ts'
import { newOwner } from '../../support/owner.ts'
import { startReceiver } from '../../support/webhook-receiver.ts'
import { openConsole } from '../console/browser-session.ts'
import type { AllRooms } from './all-rooms.ts'

export const DOMAIN = 'app.example.com'

export const startCast = async ({ world, push }: AllRooms, foreignRelay: SigningKey) => {
  const owned = createReleaseStack()
  const owner = newOwner()
  const identity = generateSigningKey()
  const relayClient = generateSigningKey()
  const topicKey = new Uint8Array(randomBytes(32))
  const receiver = owned.use(await startReceiver())
  const types = [{ id: 'news', name: 'News' }]
  await world.addApp(DOMAIN, { types })
  const { body } = await world.http('PUT', `/admin/apps/${DOMAIN}`, {
    token: world.adminToken,
    body: { listed: true },
  })
  if (Object(body).listed !== true) throw new Error('The app was not listed')

  const wallet = owned.use(
    createWallet({
      ...{ url: world.url, account: owner.account, domain: 'wallet.example.com' },
      ...{ allApps: true, sign: async (text: string) => owner.sign(text) },
      resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, world.url),
    }),
  )
  const received: { id: string; title: string }[] = []
  wallet.on('message', ({ notification }) => void received.push(notification))
  await wallet.subscribe(DOMAIN)

  const publisher = owned.use(
    createRelayClient(
      { clock: systemClock, log: silent, meter: unmeasured },
      { url: world.wsUrl, key: relayClient },
    ),
  )
  return {
    ...{ world, push, foreignRelay, owner, identity, relayClient, topicKey, topic: topicOf(topicKey) },
    ...{ receiver, wallet, received, publisher, console: openConsole(world) },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}
export type Cast = Awaited<ReturnType<typeof startCast>>
