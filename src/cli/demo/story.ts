/**
 * The story, the same in every world: a dapp, and an account with two devices. Throws `DemoFailure` when something does
 * not happen as told.
 */
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import { createDapp } from '../../sdk/dapp.ts'
import type { Notification } from '../../sdk/wallet.ts'
import { newAccount } from './account.ts'
import { type Device, newDevice, until } from './device.ts'
import { DemoFailure, holds, type Page, short } from './page.ts'
import type { World } from './world.ts'

const DOMAIN = 'app.example.com'

/** Notifications on their way while processes are killed. */
const MANY = 20
/** For who has lost its relay, devices and notify servers: they try again at growing intervals. */
const RECOVERY = 20_000

const quoted = ({ title, body }: Notification) => `“${title}: ${body}”`

export const tell = async (
  world: World,
  { owned, page, signal }: { owned: ReleaseStack; page: Page; signal: AbortSignal },
): Promise<void> => {
  const { step, said } = page
  const { id: projectId, secret } = world.project

  step('The dapp enrols')
  let dapps = world.notifyUrls.map((url) => ({
    url,
    dapp: createDapp({ url, projectId, secret, domain: DOMAIN, signal }),
  }))
  let turn = 0
  /** The next one in turn. */
  const dapp = () => {
    const next = dapps[turn++ % dapps.length]
    if (!next) throw new DemoFailure('There is no notify server.')
    return next.dapp
  }
  const { subscribeKey } = await dapp().enrol(DOMAIN)
  const { types } = await dapp().describe(DOMAIN, {
    name: 'Example',
    types: [{ name: 'News' }, { name: 'Alarms' }],
  })
  const [news] = types
  if (!news) throw new DemoFailure('The app has no notification type.')
  said(
    `${DOMAIN} has the subscribe key ${short(subscribeKey)} and the types ${types.map(({ name }) => name).join(', ')}.`,
  )

  step('An account signs in on two devices')
  const owner = newAccount()
  const phone = newDevice('phone', owner, { place: world.phone, signal })
  owned.use(phone.wallet)
  let laptop = newDevice('laptop', owner, { place: world.laptop, signal })
  owned.defer(async () => laptop.wallet[Symbol.asyncDispose]())
  for (const { name, wallet } of [phone, laptop]) {
    const known = await wallet.watch()
    holds(known.length === 0, 'That a new account has no subscriptions')
    said(
      `The ${name} registered its identity key ${short(wallet.identityKey)} and watches ${short(owner.account)}.`,
    )
  }

  step('The phone subscribes')
  const subscription = await phone.wallet.subscribe(DOMAIN)
  holds(subscription.scope.length === types.length, 'That the subscription is for all types')
  said(`The phone subscribed to ${DOMAIN}; the topic is ${short(subscription.topic)}.`)
  const seen = await until(
    laptop.wallet,
    'That the laptop learns of the subscription',
    () => laptop.wallet.subscriptions().find(({ topic }) => topic === subscription.topic),
    { signal },
  )
  said(`The laptop was told, and has joined the same topic ${short(seen.topic)}.`)

  const send = async (title: string, body: string) => {
    const { sent } = await dapp().notify({ type: news.id, title, body }, [owner.account])
    holds(sent.length === 1, `That “${title}” was sent to one account`)
  }
  const publish = async (title: string, body: string) => {
    await send(title, body)
    said(`The dapp sent “${title}: ${body}”.`)
  }
  const arrives = async ({ name, wallet, received }: Device, title: string, patience?: number) => {
    const notification = await until(
      wallet,
      `That “${title}” reaches the ${name}`,
      () => received.find((one) => one.title === title),
      { signal, ...(patience !== undefined && { patience }) },
    )
    said(`The ${name} received and decrypted ${quoted(notification)}.`)
    return notification
  }

  step('The dapp publishes, both devices receive')
  await publish('Hello', 'Your first notification')
  const first = await arrives(phone, 'Hello')
  const same = await arrives(laptop, 'Hello')
  holds(first.id === same.id, 'That both devices received the same notification')

  step('A device is offline for a while')
  const state = laptop.wallet.export()
  await laptop.wallet[Symbol.asyncDispose]()
  said('The laptop was closed; it keeps its state.')
  await publish('Later', 'Sent while the laptop was away')
  await arrives(phone, 'Later')
  laptop = newDevice('laptop', owner, { place: world.laptop, state, signal })
  await arrives(laptop, 'Later')
  holds(laptop.received.length === 1, 'That the laptop received nothing twice')

  step('The history')
  const history = await laptop.wallet.history(DOMAIN)
  for (const one of history.notifications) said(`${one.isRead ? 'read  ' : 'unread'}  ${quoted(one)}`)
  const titles = history.notifications.map(({ title }) => title)
  holds(titles.join() === 'Later,Hello', 'That the history has both notifications, the newest first')

  step('The phone marks one as read')
  await phone.wallet.markRead(DOMAIN, [first.id])
  said(`The phone marked ${quoted(first)} as read.`)
  await until(
    laptop.wallet,
    'That the laptop learns what was read',
    () => laptop.wallet.subscriptions().find(({ unread }) => unread === 1),
    { signal },
  )
  said('The laptop was told: one of two is unread.')

  if (world.mortal) {
    const { laptopRelay, notify } = world.mortal
    step('The laptop’s relay is killed while notifications are on their way')
    const { pid } = laptopRelay
    let killed: Promise<void> | undefined
    for (let at = 0; at < MANY; at++) {
      if (at === MANY / 2) killed = laptopRelay.kill()
      await send('Many', `${at + 1} of ${MANY}`)
    }
    await killed
    said(`The dapp sent ${MANY} notifications; half-way, SIGKILL ended the relay (process ${pid}).`)
    await laptopRelay.startAgain()
    said(`The relay was started again (process ${laptopRelay.pid}).`)
    for (const { name, wallet, received } of [phone, laptop]) {
      const many = () => received.filter(({ title }) => title === 'Many')
      await until(
        wallet,
        `That all ${MANY} reach the ${name}`,
        () => new Set(many().map(({ body }) => body)).size === MANY || undefined,
        { signal, patience: RECOVERY },
      )
      holds(many().length === MANY, `That the ${name} received nothing twice`)
      said(`The ${name} has received all ${MANY}, each once.`)
    }

    step('A notify server is killed, and stays away')
    await notify.kill()
    dapps = dapps.filter(({ url }) => url !== notify.url)
    said(`SIGKILL ended the one at ${notify.url}; the dapp and the devices go on with the other.`)
    await publish('Still here', 'From the one that is left')
    await arrives(phone, 'Still here', RECOVERY)
    await arrives(laptop, 'Still here', RECOVERY)
  }

  step('The laptop deletes the subscription')
  await laptop.wallet.delete(DOMAIN)
  said('The laptop deleted it.')
  await until(
    phone.wallet,
    'That the phone learns of the end',
    () => (phone.wallet.subscriptions().length === 0 ? true : undefined),
    { signal },
  )
  said('The phone was told, and has left the topic.')
  const { notFound } = await dapp().notify({ type: news.id, title: 'Anyone?', body: 'There?' }, [
    owner.account,
  ])
  holds(notFound.length === 1, 'That the dapp finds no subscriber')
  said('The dapp sent “Anyone?: There?” and was told that nobody is subscribed.')
}
