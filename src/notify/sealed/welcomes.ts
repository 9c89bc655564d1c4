/** Welcome texts, sealed in the record of their app and in the outbox entry of each new subscriber. */
import type { Place } from '../../platform/runtime/content-seal.ts'
import type { AppRecord, NotifyStore, OutboxEntry, Welcome } from '../store/store.ts'
import type { TextSeal } from './texts.ts'

type Sealed = Pick<
  NotifyStore,
  'createApp' | 'describeApp' | 'app' | 'appByTopic' | 'apps' | 'swapApp' | 'commit' | 'takeOutbox'
>

const ofApp = (domain: string): Place => ['app', domain, 'welcome']
const ofEntry = (id: string): Place => ['outbox', id, 'welcome']

export const createSealedWelcomes = (store: Sealed, texts: TextSeal): Sealed => {
  /** The stored record of each opened one: a swap compares stored records. */
  const storedAs = new WeakMap<AppRecord, AppRecord>()

  const changed = <W extends Omit<Welcome, 'enabled'>>(
    change: TextSeal['seal'],
    place: Place,
    welcome: W,
  ): W => {
    const { title, body, url } = change(place, { ...welcome, icon: null })
    return { ...welcome, title, body, url }
  }
  const sealedApp = (record: AppRecord): AppRecord => {
    const { domain, welcome } = record
    return welcome ? { ...record, welcome: changed(texts.seal, ofApp(domain), welcome) } : record
  }
  const openedApp = (stored: AppRecord): AppRecord => {
    const { domain, welcome } = stored
    if (!welcome) return stored
    const record = { ...stored, welcome: changed(texts.open, ofApp(domain), welcome) }
    storedAs.set(record, stored)
    return record
  }
  const entryWith = (change: TextSeal['seal'], entry: OutboxEntry): OutboxEntry => {
    const { id, task } = entry
    if (task.kind !== 'welcome') return entry
    return { ...entry, task: { ...task, welcome: changed(change, ofEntry(id), task.welcome) } }
  }

  return {
    createApp: async (app) => openedApp(await store.createApp(sealedApp(app))),
    describeApp: (domain, { welcome, ...description }) =>
      store.describeApp(domain, {
        ...description,
        ...(welcome !== undefined && {
          welcome: welcome && changed(texts.seal, ofApp(domain), welcome),
        }),
      }),
    async app(domain) {
      const stored = await store.app(domain)
      return stored && openedApp(stored)
    },
    async appByTopic(subscribeTopic) {
      const stored = await store.appByTopic(subscribeTopic)
      return stored && openedApp(stored)
    },
    apps: async (page) => (await store.apps(page)).map(openedApp),
    swapApp: (old, next) => store.swapApp(storedAs.get(old) ?? old, sealedApp(next)),
    commit: (commit) =>
      store.commit({ ...commit, outbox: commit.outbox.map((entry) => entryWith(texts.seal, entry)) }),
    takeOutbox: async (lease) => (await store.takeOutbox(lease)).map((entry) => entryWith(texts.open, entry)),
  }
}
