/**
 * The story, the same in every world: a dapp, and an account with two devices. Throws `DemoFailure` when something does
 * not happen as told.
 */

import { newOwnerKey, type Owner, ownerFrom } from '../../platform/ethereum-owner.ts'
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import { createDapp } from '../../sdk/dapp.ts'
import type { Notification } from '../../sdk/wallet.ts'
import { type Device, newDevice, until } from './device.ts'
import { DemoFailure, holds, type Page, short } from './page.ts'
import type { Member, World } from './world.ts'

const DOMAIN = 'app.example.com'

/** Notifications on their way while processes are killed. */
const NOTIFICATION_COUNT = 20
/** For devices and notify servers that lost their relay: they try again at growing intervals. */
const RECOVERY_TIMEOUT_MS = 60_000

const quoted = ({ title, body }: Notification) => `“${title}: ${body}”`

type Dapp = ReturnType<typeof createDapp>
type Deps = { owned: ReleaseStack; page: Page; signal: AbortSignal }

/** What the steps share. */
interface Story extends Deps {
  world: World
  owner: Owner
  /** The notify server that is next in turn. */
  dapp: () => Dapp
  /** The dapp does without the notify server there. */
  leaveServer: (url: string) => void
  /** Id of the notification type. */
  news: string
  typeCount: number
  phone: Device
  laptop: Device
}

const createDapps = ({ project, notifyUrls }: World, signal: AbortSignal) => {
  const { id: projectId, secret } = project
  let dapps = notifyUrls.map((url) => ({
    url,
    dapp: createDapp({ url, projectId, secret, domain: DOMAIN, signal }),
  }))
  let turn = 0
  return {
    dapp() {
      const next = dapps[turn++ % dapps.length]
      if (!next) throw new DemoFailure('There is no notify server.')
      return next.dapp
    },
    leaveServer(url: string) {
      dapps = dapps.filter((one) => one.url !== url)
    },
  }
}

/** The dapp enrols, an account signs in on two devices. */
const begin = async (world: World, deps: Deps): Promise<Story> => {
  const { owned, page, signal } = deps
  page.step('The dapp enrols')
  const dapps = createDapps(world, signal)
  const { subscribeKey } = await dapps.dapp().enrol(DOMAIN)
  const { types } = await dapps.dapp().describe(DOMAIN, {
    name: 'Example',
    types: [{ name: 'News' }, { name: 'Alarms' }],
  })
  const [news] = types
  if (!news) throw new DemoFailure('The app has no notification type.')
  page.said(
    `${DOMAIN} has the subscribe key ${short(subscribeKey)} and the types ${types.map(({ name }) => name).join(', ')}.`,
  )

  page.step('An account signs in on two devices')
  const owner = ownerFrom(newOwnerKey())
  const phone = newDevice('phone', owner, { servers: world.phone, signal })
  owned.use(phone.wallet)
  const laptop = newDevice('laptop', owner, { servers: world.laptop, signal })
  const story: Story = {
    ...{ ...deps, ...dapps, world, owner, phone, laptop },
    ...{ news: news.id, typeCount: types.length },
  }
  owned.defer(async () => story.laptop.wallet[Symbol.asyncDispose]())
  for (const { name, wallet } of [phone, laptop]) {
    const known = await wallet.watch()
    holds(known.length === 0, 'That a new account has no subscriptions')
    page.said(
      `The ${name} registered its identity key ${short(wallet.identityKey)} and watches ${short(owner.account)}.`,
    )
  }
  return story
}

const send = async ({ dapp, news, owner }: Story, title: string, body: string) => {
  const { sent } = await dapp().notify({ type: news, title, body }, [owner.account])
  holds(sent.length === 1, `That “${title}” was sent to one account`)
}
const publish = async (story: Story, title: string, body: string) => {
  await send(story, title, body)
  story.page.said(`The dapp sent “${title}: ${body}”.`)
}
const arrives = async (
  { page, signal }: Story,
  { name, wallet, received }: Device,
  title: string,
  timeoutMs?: number,
) => {
  const notification = await until(
    wallet,
    `That “${title}” reaches the ${name}`,
    () => received.find((one) => one.title === title),
    { signal, ...(timeoutMs !== undefined && { timeoutMs }) },
  )
  page.said(`The ${name} received and decrypted ${quoted(notification)}.`)
  return notification
}

const subscribe = async ({ page, phone, laptop, typeCount, signal }: Story): Promise<void> => {
  page.step('The phone subscribes')
  const subscription = await phone.wallet.subscribe(DOMAIN)
  holds(subscription.scope.length === typeCount, 'That the subscription is for all types')
  page.said(`The phone subscribed to ${DOMAIN}; the topic is ${short(subscription.topic)}.`)
  const seen = await until(
    laptop.wallet,
    'That the laptop learns of the subscription',
    () => laptop.wallet.subscriptions().find(({ topic }) => topic === subscription.topic),
    { signal },
  )
  page.said(`The laptop was told, and has joined the same topic ${short(seen.topic)}.`)
}

/** Resolves to the first notification. */
const receive = async (story: Story): Promise<Notification> => {
  const { page, phone, laptop, world, owner, signal } = story
  page.step('The dapp publishes, both devices receive')
  await publish(story, 'Hello', 'Your first notification')
  const first = await arrives(story, phone, 'Hello')
  const same = await arrives(story, laptop, 'Hello')
  holds(first.id === same.id, 'That both devices received the same notification')

  page.step('A device is offline for a while')
  const state = laptop.wallet.export()
  await laptop.wallet[Symbol.asyncDispose]()
  page.said('The laptop was closed; it keeps its state.')
  await publish(story, 'Later', 'Sent while the laptop was away')
  await arrives(story, phone, 'Later')
  story.laptop = newDevice('laptop', owner, { servers: world.laptop, state, signal })
  await arrives(story, story.laptop, 'Later')
  holds(story.laptop.received.length === 1, 'That the laptop received nothing twice')
  return first
}

const read = async ({ page, phone, laptop, signal }: Story, first: Notification): Promise<void> => {
  page.step('The history')
  const history = await laptop.wallet.history(DOMAIN)
  for (const one of history.notifications) page.said(`${one.isRead ? 'read  ' : 'unread'}  ${quoted(one)}`)
  const titles = history.notifications.map(({ title }) => title)
  holds(titles.join() === 'Later,Hello', 'That the history has both notifications, the newest first')

  page.step('The phone marks one as read')
  await phone.wallet.markRead(DOMAIN, [first.id])
  page.said(`The phone marked ${quoted(first)} as read.`)
  await until(
    laptop.wallet,
    'That the laptop learns what was read',
    () => laptop.wallet.subscriptions().find(({ unread }) => unread === 1),
    { signal },
  )
  page.said('The laptop was told: one of two is unread.')
}

const killRelay = async (story: Story, laptopRelay: Member): Promise<void> => {
  const { page, phone, laptop, signal } = story
  page.step('The laptop’s relay is killed while notifications are on their way')
  const { pid } = laptopRelay
  let killed: Promise<void> | undefined
  for (let at = 0; at < NOTIFICATION_COUNT; at++) {
    if (at === NOTIFICATION_COUNT / 2) killed = laptopRelay.kill()
    await send(story, 'Many', `${at + 1} of ${NOTIFICATION_COUNT}`)
  }
  await killed
  page.said(
    `The dapp sent ${NOTIFICATION_COUNT} notifications; half-way, SIGKILL ended the relay (process ${pid}).`,
  )
  await laptopRelay.startAgain()
  page.said(`The relay was started again (process ${laptopRelay.pid}).`)
  for (const { name, wallet, received } of [phone, laptop]) {
    const many = () => received.filter(({ title }) => title === 'Many')
    await until(
      wallet,
      `That all ${NOTIFICATION_COUNT} reach the ${name}`,
      () => new Set(many().map(({ body }) => body)).size === NOTIFICATION_COUNT || undefined,
      { signal, timeoutMs: RECOVERY_TIMEOUT_MS },
    )
    holds(many().length === NOTIFICATION_COUNT, `That the ${name} received nothing twice`)
    page.said(`The ${name} has received all ${NOTIFICATION_COUNT}, each once.`)
  }
}

const killNotifyServer = async (story: Story, notify: Member): Promise<void> => {
  const { page, phone, laptop, leaveServer } = story
  page.step('A notify server is killed, and stays away')
  await notify.kill()
  leaveServer(notify.url)
  page.said(`SIGKILL ended the one at ${notify.url}; the dapp and the devices go on with the other.`)
  await publish(story, 'Still here', 'From the one that is left')
  await arrives(story, phone, 'Still here', RECOVERY_TIMEOUT_MS)
  await arrives(story, laptop, 'Still here', RECOVERY_TIMEOUT_MS)
}

const unsubscribe = async ({ page, phone, laptop, dapp, news, owner, signal }: Story): Promise<void> => {
  page.step('The laptop deletes the subscription')
  await laptop.wallet.delete(DOMAIN)
  page.said('The laptop deleted it.')
  await until(
    phone.wallet,
    'That the phone learns of the end',
    () => (phone.wallet.subscriptions().length === 0 ? true : undefined),
    { signal },
  )
  page.said('The phone was told, and has left the topic.')
  const { notFound } = await dapp().notify({ type: news, title: 'Anyone?', body: 'There?' }, [owner.account])
  holds(notFound.length === 1, 'That the dapp finds no subscriber')
  page.said('The dapp sent “Anyone?: There?” and was told that nobody is subscribed.')
}

export const runStory = async (world: World, deps: Deps): Promise<void> => {
  const story = await begin(world, deps)
  await subscribe(story)
  await read(story, await receive(story))
  if (world.mortal) {
    await killRelay(story, world.mortal.laptopRelay)
    await killNotifyServer(story, world.mortal.notify)
  }
  await unsubscribe(story)
}
