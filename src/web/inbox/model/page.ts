/** The page as a whole: who is here, in which language, and where; the inbox of the account once there is one. */
import { type ReadonlySignal, type Signal, signal } from '@preact/signals'
import { ProtocolError, type Sign } from '../../../sdk/wallet.ts'
import { languageFor } from '../../shared/messages/language.ts'
import { createTexts, type Texts } from '../../shared/messages/texts.ts'
import { findBrowserWallets, walletNamed } from '../accounts/browser-wallets.ts'
import { demoAccountFrom, type KeptAccount, newDemoAccount, readAccount } from '../accounts/kept.ts'
import type { BrowserWallet, BrowserWallets } from '../accounts/wallets.ts'
import { type Key, LANGUAGES, type Language, TABLES } from '../texts/index.ts'
import { type Apps, createApps } from './apps.ts'
import { createIsClockWrong } from './clock.ts'
import { type Database, openDatabase } from './database.ts'
import { type Inbox, openInbox } from './inbox.ts'
import { createRouter, type Router } from './router.ts'
import { createSessions, type Sessions } from './sessions.ts'
import { becomeDevice } from './tabs.ts'

export interface Opened {
  inbox: Inbox
  sessions: Sessions
}

export interface PageModel {
  readonly texts: Texts<Key>
  readonly language: Signal<Language>
  readonly router: Router
  readonly wallets: BrowserWallets
  readonly apps: Apps
  /** Undefined: nobody is here yet. */
  readonly opened: ReadonlySignal<Opened | undefined>
  /** Another page of this browser is the inbox now. */
  readonly isElsewhere: ReadonlySignal<boolean>
  /** What went wrong, in words, until the reader dismisses it. */
  readonly problem: Signal<string | undefined>
  readonly isClockWrong: ReadonlySignal<boolean>
  /** Loads the new version of the inbox, once there is one. */
  readonly update: Signal<(() => void) | undefined>
  /** Tells of a failure in words. */
  tell(error: unknown): void
  /** A failure in words, for where it is told beside what failed. */
  wordsOf(error: unknown): string
  useDemo(): Promise<void>
  /** Takes the demo key of another device. Resolves with whether it is one. */
  useKey(text: string): Promise<boolean>
  connect(wallet: BrowserWallet): Promise<void>
  setLanguage(language: Language): Promise<void>
  forget(): Promise<void>
}

/** Codes that a reader can do something about. */
const SENTENCES: Partial<Record<string, Key>> = {
  unavailable: 'error.unavailable',
  unknown_app: 'error.unknownApp',
  rate_limited: 'error.tooFast',
  store_full: 'error.full',
  quota_reached: 'error.full',
  identity_invalid: 'error.signature',
  already_answered: 'error.answered',
  unknown_notification: 'error.expired',
}
/** How often what says how long ago something was is written anew. */
const TIMES_CHANGE_AFTER_MS = 30_000
/** A person who declined knows it already (EIP-1193). */
const DECLINED = 4001

const isDeclined = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && Reflect.get(error, 'code') === DECLINED

const languageOf = (kept: unknown): Language =>
  LANGUAGES.find((one) => one === kept) ?? languageFor(navigator.languages, LANGUAGES)

const createTelling = (texts: Texts<Key>) => {
  const problem = signal<string | undefined>(undefined)
  const wordsOf = (error: unknown): string => {
    if (isDeclined(error)) return texts.t('error.declined')
    if (error instanceof DOMException && error.name === 'QuotaExceededError') return texts.t('error.noSpace')
    const key = error instanceof ProtocolError ? SENTENCES[error.code] : undefined
    if (key) return texts.t(key)
    return texts.t('error.other', { reason: error instanceof Error ? error.message : String(error) })
  }
  const tell = (error: unknown): void => {
    problem.value = wordsOf(error)
  }
  return { problem, tell, wordsOf }
}

/** What fails while nobody waits for it is of no use to a reader, who sees whether there is a connection. */
const quietly = (error: unknown): void => console.warn(error)

const createOpening = (deps: {
  database: Database
  apps: Apps
  wallets: BrowserWallets
  texts: Texts<Key>
  tell: PageModel['tell']
}) => {
  const { database, apps, wallets, texts, tell } = deps
  const opened = signal<Opened | undefined>(undefined)
  const signWith =
    ({ account, walletId, walletName }: KeptAccount & { kind: 'wallet' }): Sign =>
    async (text) => {
      const wallet = await walletNamed(wallets, walletId)
      if (!wallet) throw new Error(texts.t('error.noWallet', { wallet: walletName }))
      return wallet.sign(account, text)
    }
  const isElsewhere = signal(false)
  const lost = (): void => {
    opened.value?.sessions.close()
    opened.value?.inbox.close().catch(quietly)
    opened.value = undefined
    isElsewhere.value = true
  }
  const open = async (kept: KeptAccount): Promise<void> => {
    await becomeDevice(lost)
    const failed = (error: unknown) => (isDeclined(error) ? tell(error) : quietly(error))
    const locale = () => texts.locale.value
    const inbox = await openInbox(
      { ...{ database, apps, signWith, failed, tell, locale }, now: Date.now },
      kept,
    )
    opened.value = { inbox, sessions: createSessions({ database, origin: location.origin }, kept) }
  }
  const enter = async (kept: KeptAccount): Promise<void> => {
    await database.setSetting('account', kept)
    // Browsers forget what they were not asked to keep; whether they agree changes nothing here.
    await navigator.storage?.persist?.().catch(quietly)
    await open(kept)
  }
  return { opened, isElsewhere, open, enter }
}

/** The texts of a page that cannot keep anything. */
export const textsWithoutStore = (): Texts<Key> => {
  const language = signal<Language>(languageOf(undefined))
  return createTexts(TABLES, { language, wanted: navigator.languages, now: Date.now })
}

export const createPage = async (): Promise<PageModel> => {
  const database = await openDatabase()
  const [kept, keptLanguage, apps] = await Promise.all([
    database.setting('account').then(readAccount),
    database.setting('language'),
    createApps(database),
  ])
  const language = signal<Language>(languageOf(keptLanguage))
  const time = signal(Date.now())
  setInterval(() => {
    time.value = Date.now()
  }, TIMES_CHANGE_AFTER_MS)
  const texts = createTexts(TABLES, { language, wanted: navigator.languages, now: () => time.value })
  const router = createRouter(window)
  const wallets = findBrowserWallets(window)
  const { problem, tell, wordsOf } = createTelling(texts)
  const { opened, isElsewhere, open, enter } = createOpening({ database, apps, wallets, texts, tell })
  if (kept) await open(kept)

  return {
    ...{ texts, language, router, wallets, apps, opened, isElsewhere, problem, tell, wordsOf },
    update: signal<(() => void) | undefined>(undefined),
    isClockWrong: createIsClockWrong(quietly),
    useDemo: () => enter(newDemoAccount()),
    async useKey(text) {
      const account = demoAccountFrom(text)
      if (account) await enter(account)
      return account !== undefined
    },
    async connect({ id, name, connect }) {
      await enter({ kind: 'wallet', account: await connect(), walletId: id, walletName: name })
    },
    async setLanguage(next) {
      language.value = next
      await database.setSetting('language', next)
    },
    async forget() {
      const leaving = opened.value
      leaving?.sessions.close()
      await leaving?.inbox.forget()
      // Whoever comes next begins with nothing.
      opened.value = undefined
      await database.setSetting('language', language.value)
    },
  }
}
