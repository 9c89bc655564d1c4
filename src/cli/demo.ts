/**
 * `belfry demo`: the main story on one page. A server on a temporary store, one dapp, and one account with two devices,
 * over real sockets; every line is printed when what it says has happened.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineCommand } from 'citty'
import { createReleaseStack } from '../platform/release-stack.ts'
import { createDapp } from '../sdk/dapp.ts'
import { createWallet, fromNotifyServer, type Notification, systemClock, type Wallet } from '../sdk/wallet.ts'
import { composeServer } from '../server/compose.ts'
import { configWith } from '../server/config.ts'
import { newAccount } from './demo-account.ts'

/** A step that did not happen; the message is a sentence for the reader of the page. */
class DemoFailure extends Error {
  override readonly name = 'DemoFailure'
}

const DOMAIN = 'app.example.com'
/** A step takes milliseconds; this is for slow machines. */
const STEP_TIMEOUT = 5_000

/** A wallet on one device, and what has reached it. */
const newDevice = (
  name: string,
  owner: ReturnType<typeof newAccount>,
  { url, state }: { url: string; state?: unknown },
) => {
  const received: Notification[] = []
  const wallet = createWallet({
    url,
    ...owner,
    domain: 'wallet.example.com',
    allApps: true,
    state,
    requestTimeout: STEP_TIMEOUT,
    resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, url),
  })
  wallet.on('message', ({ notification }) => void received.push(notification))
  return { name, wallet, received }
}
type Device = ReturnType<typeof newDevice>

/** Resolves when `check` answers something, looked at on every event of the wallet. */
const until = <T>(wallet: Wallet, sentence: string, check: () => T | undefined): Promise<T> =>
  new Promise((resolve, reject) => {
    const look = () => {
      const found = check()
      if (found === undefined) return
      end()
      resolve(found)
    }
    const late = systemClock.after(STEP_TIMEOUT, () => {
      end()
      reject(new DemoFailure(`${sentence} did not happen within ${STEP_TIMEOUT / 1000} s.`))
    })
    // Listeners run in the order in which they were added, so what the device keeps is up to date here.
    const listeners = [wallet.on('message', look), wallet.on('changed', look)]
    const end = () => {
      for (const one of [late, ...listeners]) one[Symbol.dispose]()
    }
    look()
  })

const holds = (condition: boolean, sentence: string): void => {
  if (!condition) throw new DemoFailure(`${sentence} is not so.`)
}

/**
 * Runs the story and prints it, line by line. Rejects with `DemoFailure` when something does not happen as told. Leaves
 * nothing behind.
 */
export const runDemo = async (print: (line: string) => void): Promise<void> => {
  const startedAt = systemClock.now()
  let number = 0
  let stepAt = startedAt
  const step = (title: string) => {
    number++
    print('')
    print(`${String(number).padStart(2)}  ${title}`)
  }
  const said = (line: string) => {
    const now = systemClock.now()
    print(`    ${line.padEnd(96)} ${String(now - stepAt).padStart(5)} ms`)
    stepAt = now
  }
  const quoted = ({ title, body }: Notification) => `“${title}: ${body}”`
  const short = (text: string) => (text.length > 24 ? `${text.slice(0, 12)}…${text.slice(-6)}` : text)

  const directory = await mkdtemp(join(tmpdir(), 'belfry-demo-'))
  await using owned = createReleaseStack()
  owned.defer(() => rm(directory, { recursive: true, force: true }))

  print('Belfry: one server, one dapp, and one account on two devices, over real sockets.')

  step('The server starts')
  const server = await composeServer(
    configWith({ port: 0, host: '127.0.0.1', data: directory, metrics: 'off', logLevel: 'silent' }),
  )
  owned.defer(() => server.stop())
  await server.ready()
  const url = server.loopbackUrl
  const { project } = server
  if (!project) throw new DemoFailure('The server has no project.')
  said(`Relay, keys and notify server at ${url}, with a new store on disk.`)

  step('The dapp enrols')
  const dapp = createDapp({ url, projectId: project.id, secret: project.secret, domain: DOMAIN })
  const { subscribeKey } = await dapp.enrol(DOMAIN)
  const { types } = await dapp.describe(DOMAIN, {
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
  const phone = newDevice('phone', owner, { url })
  owned.use(phone.wallet)
  let laptop = newDevice('laptop', owner, { url })
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
  const seen = await until(laptop.wallet, 'That the laptop learns of the subscription', () =>
    laptop.wallet.subscriptions().find(({ topic }) => topic === subscription.topic),
  )
  said(`The laptop was told, and has joined the same topic ${short(seen.topic)}.`)

  const publish = async (title: string, body: string) => {
    const { sent } = await dapp.notify({ type: news.id, title, body }, [owner.account])
    holds(sent.length === 1, `That “${title}” was sent to one account`)
    said(`The dapp sent “${title}: ${body}”.`)
  }
  const arrives = async ({ name, wallet, received }: Device, title: string) => {
    const notification = await until(wallet, `That “${title}” reaches the ${name}`, () =>
      received.find((one) => one.title === title),
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
  laptop = newDevice('laptop', owner, { url, state })
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
  await until(laptop.wallet, 'That the laptop learns what was read', () =>
    laptop.wallet.subscriptions().find(({ unread }) => unread === 1),
  )
  said('The laptop was told: one of two is unread.')

  step('The laptop deletes the subscription')
  await laptop.wallet.delete(DOMAIN)
  said('The laptop deleted it.')
  await until(phone.wallet, 'That the phone learns of the end', () =>
    phone.wallet.subscriptions().length === 0 ? true : undefined,
  )
  said('The phone was told, and has left the topic.')
  const { notFound } = await dapp.notify({ type: news.id, title: 'Anyone?', body: 'There?' }, [owner.account])
  holds(notFound.length === 1, 'That the dapp finds no subscriber')
  said('The dapp sent “Anyone?: There?” and was told that nobody is subscribed.')

  print('')
  print(`All of it worked, in ${((systemClock.now() - startedAt) / 1000).toFixed(1)} s.`)
}

export const demo = defineCommand({
  meta: { name: 'demo', description: 'The main story on one page, on a server of its own' },
  async run() {
    try {
      await runDemo((line) => process.stdout.write(`${line}\n`))
    } catch (error) {
      const sentence = error instanceof Error ? error.message : String(error)
      process.stderr.write(`\nThe demo failed: ${sentence}\n`)
      process.exitCode = 1
    }
  },
})
