/** The inbox of one account: its subscriptions, its messages, and what is done with them. It is there until the device forgets it. */
import { computed, type ReadonlySignal, signal } from '@preact/signals'
import { isQuiet } from '../../../protocol/notify/extras.ts'
import {
  createWallet,
  fromNotifyServer,
  type Preferences,
  type PushedWallet,
  type Sign,
  type Subscription,
  systemClock,
} from '../../../sdk/wallet.ts'
import { type KeptAccount, signerOfDemo } from '../accounts/kept.ts'
import { type Answers, createAnswers } from './answers.ts'
import type { Apps } from './apps.ts'
import { type Arrivals, createArrivals } from './arrivals.ts'
import type { Database, Message } from './database.ts'
import { createHistory, type History } from './history.ts'
import { createMessageList, type MessageList } from './message-list.ts'
import { createNotifications, type Notifications } from './notifications.ts'
import { createReadMarks, type ReadMarks } from './read-marks.ts'

export interface Inbox {
  readonly kept: KeptAccount
  readonly list: MessageList
  readonly notifications: Notifications
  /** By the names of their apps. */
  readonly subscriptions: ReadonlySignal<readonly Subscription[]>
  readonly isConnected: ReadonlySignal<boolean>
  /** Whether there is none, and not only none yet. */
  readonly isOffline: ReadonlySignal<boolean>
  /** Whether the account has let this device act for it. */
  readonly isSigned: ReadonlySignal<boolean>
  /** Unread messages of an app; of all apps without one. */
  unread(domain?: string): number
  /** The message that came last while the page was open, for whoever cannot see it. */
  readonly latest: ReadonlySignal<Message | undefined>
  message(domain: string, id: string): Promise<Message | undefined>
  /** Rejects with what the server answers, or `unavailable`, as the following ones. */
  subscribe(domain: string, types: readonly string[], preferences: Preferences | null): Promise<void>
  update(domain: string, types: readonly string[], preferences: Preferences | null): Promise<void>
  unsubscribe(domain: string): Promise<void>
  mark(message: Pick<Message, 'domain' | 'id'>): Promise<void>
  /** Answers what the message asks. */
  answer: Answers['give']
  /** Reads what another device may have answered meanwhile: nobody is told of an answer to a message that was read before. */
  lookForAnswers(domain: string): Promise<void>
  markAll(domain?: string): Promise<void>
  /** Asks the account once more for the signature that lets this device act for it. */
  askForSignature(): Promise<void>
  /** Ends its connection; what it has stays on this device. */
  close(): Promise<void>
  /** Removes everything of the account from this device. */
  forget(): Promise<void>
}

export interface InboxDeps {
  database: Database
  apps: Apps
  /** Asks the wallet of this browser. */
  signWith: (kept: KeptAccount & { kind: 'wallet' }) => Sign
  now: () => number
  /** The language that messages are shown in. */
  locale: () => string
  /** What went wrong while nobody waited for it. */
  failed: (error: unknown) => void
  /** What a reader should hear of. */
  tell: (error: unknown) => void
}

/** Without a connection it is not waited for longer than a person would. */
const REQUEST_TIMEOUT_MS = 15_000
/** A message that is older than this was not sent just now. */
const LATE_AFTER_MS = 5_000
/** Before that it is not said that there is no connection. */
const CONNECTS_WITHIN_MS = 3_000
const SOON_MS = 300
const RETRY_AFTER_MS = 5_000
const MAX_RETRY_AFTER_MS = 300_000
const DAY_MS = 86_400_000
/** A subscription lasts for 30 days, and is renewed by whoever still wants it. */
const RENEW_BEFORE_MS = 25 * DAY_MS
/** A page that stays open for weeks. */
const LOOK_AGAIN_AFTER_MS = DAY_MS / 4

/** What an inbox is made of. */
interface Parts extends Pick<InboxDeps, 'apps' | 'failed' | 'now'> {
  wallet: PushedWallet
  arrivals: Arrivals
  list: MessageList
  history: History
  marks: ReadMarks
  notifications: Notifications
  arrived: (message: Message) => void
  refresh: () => void
  /** The subscription has ended. */
  ended: (domain: string) => Promise<void>
}

/** Keeps database and server in step: reads what is new, what was read elsewhere, and what has ended. */
const createKeepingUp = (parts: Parts) => {
  const { wallet, apps, failed, now: timeOf, history, marks, notifications, refresh, ended } = parts
  /** Unread messages that each app had when it was read last. */
  const seen = new Map<string, number>()
  let known = new Set(wallet.subscriptions().map(({ domain }) => domain))

  const bringUp = async ({ domain, unread }: Subscription): Promise<void> => {
    seen.set(domain, unread)
    await history.catchUp(domain)
    if (unread === 0) await marks.wereRead(domain)
  }
  const changed = async (subscriptions: readonly Subscription[]): Promise<void> => {
    refresh()
    const now = new Set(subscriptions.map(({ domain }) => domain))
    const gone = [...known].filter((domain) => !now.has(domain))
    known = now
    for (const domain of gone) {
      seen.delete(domain)
      await ended(domain)
    }
    // Names first: answers of the relay may have to wait behind thousands of messages.
    for (const { domain } of subscriptions)
      if (!apps.known.value.get(domain)?.types) await apps.describe(domain).catch(failed)
    for (const one of subscriptions) if (seen.get(one.domain) !== one.unread) await bringUp(one)
    await notifications.sync()
  }
  return {
    changed,
    async all(): Promise<void> {
      await marks.send()
      seen.clear()
      await changed(await wallet.watch())
      for (const { domain, scope, expiresAt } of wallet.subscriptions())
        if (expiresAt < timeOf() + RENEW_BEFORE_MS) await wallet.update(domain, scope)
    },
    came: (domain: string) => void seen.set(domain, (seen.get(domain) ?? 0) + 1),
  }
}

/** Runs a task a moment after it was wanted last, and again after a while when it fails. */
const createRepeated = (
  task: () => Promise<void>,
  isPossible: () => boolean,
  failed: (error: unknown) => void,
) => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const run = (wait: number, retryAfter: number): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      if (!isPossible()) return
      task().catch((error: unknown) => {
        failed(error)
        run(retryAfter, Math.min(2 * retryAfter, MAX_RETRY_AFTER_MS))
      })
    }, wait)
  }
  return { soon: () => run(SOON_MS, RETRY_AFTER_MS) }
}

/** What happens by itself: messages and changes come, the connection comes back. */
const follow = (parts: Parts) => {
  const { wallet, arrivals, failed, list, notifications, arrived, refresh } = parts
  const keepingUp = createKeepingUp(parts)
  const again = createRepeated(keepingUp.all, () => wallet.connected && wallet.registered, failed)

  wallet.on('message', ({ domain }) => {
    keepingUp.came(domain)
    // The wallet counts it when this listener has resolved.
    setTimeout(refresh)
  })
  arrivals.onStored((stored) => {
    list.added(stored.map(({ message }) => message))
    for (const { message, wasKnown } of stored) {
      // It waited for this device, so another one may have read it; and it may be counted already.
      if (wasKnown || parts.now() - message.sentAt > LATE_AFTER_MS) again.soon()
      else if (!isQuiet(message)) {
        arrived(message)
        notifications.show(message).catch(failed)
      }
    }
  })
  // Nobody waits: it asks the server, whose answers come behind what is being handled.
  wallet.on('changed', (subscriptions) => void keepingUp.changed(subscriptions).catch(again.soon))
  const connected = (): void => {
    keepingUp
      .all()
      .catch((error: unknown) => {
        failed(error)
        again.soon()
      })
      .finally(refresh)
  }
  wallet.on('connected', () => {
    refresh()
    connected()
  })
  wallet.on('disconnected', refresh)
  setInterval(again.soon, LOOK_AGAIN_AFTER_MS)
  // It may have been made before anybody listened.
  if (wallet.connected) connected()
  return keepingUp
}

const openWallet = async (
  { database, arrivals }: Pick<InboxDeps, 'database'> & { arrivals: Arrivals },
  { account, sign }: { account: string; sign: Sign },
): Promise<PushedWallet> => {
  const url = location.origin
  const wallet = createWallet({
    ...{ url, account, sign, domain: location.host, allApps: true, requestTimeout: REQUEST_TIMEOUT_MS },
    // This page is the server's as well: whoever could forge the keys there could forge the page.
    resolveAppKeys: fromNotifyServer({ fetch: fetch.bind(globalThis), clock: systemClock }, url),
    state: (await database.setting('wallet')) ?? undefined,
    save: arrivals.save,
  })
  // Before anything is waited for: what nobody listens to counts as received.
  wallet.on('message', ({ domain, notification }) => arrivals.add({ ...notification, domain, isRead: false }))
  return wallet
}

const createReading = (
  { database, apps, locale, tell: refused }: Pick<InboxDeps, 'database' | 'apps' | 'locale' | 'tell'>,
  wallet: PushedWallet,
) => {
  const list = createMessageList({
    ...{ database, locale, nameOf: apps.nameOf },
    async readOlder(app) {
      if (!wallet.connected) return false
      const domains = app === undefined ? wallet.subscriptions().map(({ domain }) => domain) : [app]
      const found = await Promise.all(domains.map((domain) => history.readOlder(domain)))
      return found.includes(true)
    },
  })
  const history = createHistory({ wallet, database, added: list.added })
  const marks = createReadMarks({ wallet, database, read: list.read })
  const answers = createAnswers({
    ...{ wallet, database, refused, changed: list.changed, catchUp: history.catchUp },
  })
  return { list, history, marks, answers }
}

/** App 2 before app 10. */
const byName = new Intl.Collator(undefined, { numeric: true })

/** What the wallet knows, as signals. */
const createView = (
  wallet: PushedWallet,
  { waiting, nameOf }: Pick<ReadMarks, 'waiting'> & Pick<Apps, 'nameOf'>,
) => {
  const all = signal<readonly Subscription[]>([])
  const subscriptions = computed(() =>
    [...all.value].sort((one, other) => byName.compare(nameOf(one.domain), nameOf(other.domain))),
  )
  const isConnected = signal(false)
  const isLate = signal(!navigator.onLine)
  const isOffline = computed(() => isLate.value && !isConnected.value)
  setTimeout(() => {
    isLate.value = true
  }, CONNECTS_WITHIN_MS)
  const isSigned = signal(true)
  const latest = signal<Message | undefined>(undefined)
  const counted = computed(() => new Map(subscriptions.value.map(({ domain, unread }) => [domain, unread])))
  const unreadOf = (domain: string): number =>
    Math.max(0, (counted.value.get(domain) ?? 0) - (waiting.value.get(domain) ?? 0))
  const refresh = (): void => {
    // A socket does not notice at once that there is no network.
    isConnected.value = wallet.connected && navigator.onLine
    isSigned.value = wallet.registered
    all.value = wallet.subscriptions()
  }
  const unread = (domain?: string): number =>
    domain === undefined
      ? subscriptions.value.reduce((sum, one) => sum + unreadOf(one.domain), 0)
      : unreadOf(domain)
  for (const event of ['online', 'offline']) addEventListener(event, refresh)
  refresh()
  return { refresh, shown: { subscriptions, isConnected, isOffline, isSigned, latest, unread } }
}

export const openInbox = async (deps: InboxDeps, kept: KeptAccount): Promise<Inbox> => {
  const { database, apps, now, failed, locale } = deps
  const sign: Sign = kept.kind === 'demo' ? signerOfDemo(kept) : deps.signWith(kept)
  const arrivals = createArrivals(database)
  const wallet = await openWallet({ database, arrivals }, { account: kept.account, sign })
  const { list, history, marks, answers } = createReading(deps, wallet)
  await marks.load()
  const { refresh, shown } = createView(wallet, { ...marks, nameOf: apps.nameOf })
  const { latest, subscriptions, unread } = shown
  const mark = (message: Pick<Message, 'domain' | 'id'>) => marks.mark([message]).finally(refresh)
  const notifications = await createNotifications({
    ...{ push: wallet.push, database, now, locale, pressed: answers.pressed },
    clicked: (message) =>
      void mark(message)
        .then(() => notifications.sync())
        .catch(failed),
  })
  const ended = async (domain: string): Promise<void> => {
    await database.removeOlder(domain)
    list.removed(domain)
    history.forget(domain)
    refresh()
  }
  const arrived = (message: Message): void => {
    latest.value = message
  }
  const parts = { wallet, arrivals, apps, failed, now, list, history, marks, refresh, ended }
  const keepingUp = follow({ ...parts, notifications, arrived })

  return {
    ...{ ...shown, kept, list, notifications, mark },
    askForSignature: () => keepingUp.all().finally(refresh),
    message: (domain, id) => database.message(domain, id),
    answer: (message, action) => answers.give(message, action).finally(refresh),
    lookForAnswers: async (domain) => (wallet.connected ? history.catchUp(domain) : undefined),
    subscribe: (domain, types, wish) => wallet.subscribe(domain, types, wish).then(refresh),
    update: (domain, types, wish) => wallet.update(domain, types, wish).then(refresh),
    unsubscribe: (domain) => wallet.delete(domain).then(() => ended(domain)),
    async markAll(domain) {
      const domains = domain === undefined ? subscriptions.value.map((one) => one.domain) : [domain]
      for (const each of domains) if (unread(each) > 0) await marks.markAll(each)
      refresh()
    },
    async close() {
      await wallet[Symbol.asyncDispose]()
    },
    async forget() {
      // No other page opens it from now on.
      await database.setSetting('account', null)
      await notifications.turnOff().catch(failed)
      // Without the server the key is left to expire.
      await wallet.unregister().catch(failed)
      await wallet[Symbol.asyncDispose]()
      await wallet.push.forget()
      await database.forget()
    },
  }
}
