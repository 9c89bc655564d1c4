/** What was received: pages, what is read, by whom, and how much is unread. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { didPkh } from '../../../src/protocol/did.ts'
import {
  type App,
  type DevicesWorld,
  NEWS,
  OFFERS,
  startDevices,
  viewIn,
} from '../../support/world/notify-devices.ts'
import type { Online } from '../support/online.ts'

let town: DevicesWorld
let app: App
let other: App
beforeAll(async () => {
  town = await startDevices()
  app = await town.app('app.example')
  other = await town.app('other.example', 'other')
})
afterAll(() => town?.[Symbol.asyncDispose]())

const page = z.object({
  nfs: z.array(z.object({ id: z.string(), sent_at: z.number(), title: z.string(), is_read: z.boolean() })),
  mre: z.boolean(),
  mur: z.boolean(),
})

/** A subscriber with `titles` in the history, all sent in one call. */
const reader = async (titles: readonly string[]) => {
  const owner = town.newOwner()
  const device = await town.device(owner)
  const { key } = await town.subscribe(device, app)
  if (titles.length > 0) {
    const messages = titles.map((title) => ({
      notification: { type: NEWS, title, body: 'World' },
      accounts: [owner.account],
    }))
    expect((await app.http('POST', '/v1/:projectId/notify', messages)).status).toBe(200)
  }
  const pageAt = async (more: Record<string, unknown> = {}, asker: Online = device) =>
    page.parse(await asker.ask(asker.device.ask(4014, app, key, { lmt: 50, ...more })))
  const mark = (more: Record<string, unknown>, asker: Online = device) =>
    asker.ask(asker.device.ask(4016, app, key, more))
  return {
    owner,
    device,
    key,
    page: pageAt,
    mark,
    unread: async () => (await pageAt()).nfs.filter((one) => !one.is_read).map(({ title }) => title),
    count: async () =>
      (await town.look(owner)).find(({ appDomain }) => appDomain === app.domain)?.unreadNotificationCount,
  }
}
const TWELVE = Array.from({ length: 12 }, (_, at) => `Title ${at}`)

/** All pages of `lmt`, in the order that they were asked for. */
const allPages = async (of: Awaited<ReturnType<typeof reader>>, lmt: number, urf: boolean) => {
  const pages: z.infer<typeof page>[] = []
  for (let aft: string | null = null; pages.length < 20; ) {
    const one: z.infer<typeof page> = await of.page({ lmt, aft, urf })
    pages.push(one)
    if (!one.mre) break
    aft = one.nfs.at(-1)?.id ?? null
  }
  return pages
}

it('pages of what was sent in the same millisecond have no gap and no repetition, and ties are broken by id', async () => {
  town.hands.stop()
  const one = await reader(TWELVE)
  town.hands.go()
  const pages = await allPages(one, 5, false)
  expect(pages.map(({ nfs, mre, mur }) => [nfs.length, mre, mur])).toEqual([
    [5, true, true],
    [5, true, true],
    [2, false, false],
  ])
  const all = pages.flatMap(({ nfs }) => nfs)
  expect(new Set(all.map(({ sent_at }) => sent_at)).size).toBe(1)
  expect(all.map(({ title }) => title).sort()).toEqual([...TWELVE].sort())
  expect(all.map(({ id }) => id)).toEqual(
    all
      .map(({ id }) => id)
      .sort()
      .reverse(),
  )
  expect((await one.page({ lmt: 12 })).nfs).toEqual(all)
})

it('unread first: pages pass from the unread to the read ones, and say whether unread ones follow', async () => {
  town.hands.stop()
  const one = await reader(TWELVE)
  town.hands.go()
  const { nfs: newestFirst } = await one.page()
  const read = newestFirst.filter((_, at) => at % 3 === 0)
  await one.mark({ all: false, ids: read.map(({ id }) => id) })
  const isRead = (id: string) => read.some((each) => each.id === id)
  const order = [...newestFirst.filter(({ id }) => !isRead(id)), ...read].map(({ id }) => id)

  const pages = await allPages(one, 5, true)
  expect(pages.flatMap(({ nfs }) => nfs.map(({ id }) => id))).toEqual(order)
  expect(pages.map(({ mre, mur }) => [mre, mur])).toEqual([
    [true, true],
    [true, false],
    [false, false],
  ])
  const plain = await allPages(one, 5, false)
  expect(plain.flatMap(({ nfs }) => nfs.map(({ id }) => id))).toEqual(newestFirst.map(({ id }) => id))
})

it('one, many and all are marked as read, each once, and the count follows', async () => {
  const one = await reader(TWELVE)
  const watcher = await town.watch(await town.device(one.owner))
  const told = async () =>
    (await watcher.changes()).map((claims) => viewIn(claims)[0]?.unreadNotificationCount)
  const { nfs } = await one.page()
  const ids = nfs.map(({ id }) => id)
  const answer = await one.mark({ all: false, ids: ids.slice(0, 1) })
  expect(answer).toMatchObject({
    act: 'notify_mark_notifications_as_read_response',
    sub: didPkh(one.owner.account),
  })
  expect([await one.count(), await told()]).toEqual([11, [11]])
  await one.mark({ all: false, ids: ids.slice(0, 5) })
  expect([await one.count(), await told()]).toEqual([7, [11, 7]])
  await one.mark({ all: false, ids: ids.slice(0, 5) })
  expect([await one.count(), await told()]).toEqual([7, [11, 7]])
  expect(await one.unread()).toEqual(nfs.slice(5).map(({ title }) => title))
  await one.mark({ all: true, ids: null })
  expect([await one.count(), await told()]).toEqual([0, [11, 7, 0]])
  expect(await one.unread()).toEqual([])
})

it('only own ones are marked: not those of other accounts, and not those of other apps', async () => {
  const [one, two] = [await reader(['Mine']), await reader(['Theirs'])]
  const atOther = await town.subscribe(one.device, other)
  await other.notify([one.owner.account], { title: 'Elsewhere' })
  const theirs = (await two.page()).nfs.map(({ id }) => id)
  const elsewhere = page
    .parse(await one.device.ask(one.device.device.ask(4014, other, atOther.key, { lmt: 5 })))
    .nfs.map(({ id }) => id)
  expect([theirs.length, elsewhere.length]).toEqual([1, 1])
  await one.mark({ all: false, ids: [...theirs, ...elsewhere, 'nonsense'] })
  const counts = async () => [
    (await town.look(one.owner)).map((each) => [each.appDomain, each.unreadNotificationCount]).sort(),
    await two.count(),
  ]
  expect(await counts()).toEqual([
    [
      ['app.example', 1],
      ['other.example', 1],
    ],
    1,
  ])
  await one.mark({ all: true, ids: null })
  expect(await counts()).toEqual([
    [
      ['app.example', 0],
      ['other.example', 1],
    ],
    1,
  ])
  // Who holds the key of a topic, and is somebody else, is not let in.
  const stranger = await town.device(town.newOwner())
  const mark = stranger.device.ask(4016, app, two.key, { all: true, ids: null })
  expect(await town.refusal(stranger, mark)).toMatchObject({ code: -1 })
  expect(await two.unread()).toEqual(['Theirs'])
})

it('what is unread is counted once, however many types a subscription has', async () => {
  const one = await reader(['A', 'B'])
  await app.notify([one.owner.account], { type: OFFERS, title: 'C' })
  expect(await one.count()).toBe(3)
  const { own } = await town.subscribe(one.device, app, [NEWS, OFFERS, NEWS])
  expect(own).toMatchObject({ scope: [NEWS, OFFERS], unreadNotificationCount: 3 })
  for (const scope of [`${NEWS} ${OFFERS}`, OFFERS, '']) {
    const updated = viewIn(await one.device.ask(one.device.device.ask(4008, app, one.key, { scp: scope })))
    expect(updated).toMatchObject([{ unreadNotificationCount: 3 }])
  }
  expect((await one.page()).nfs.map(({ title }) => title)).toHaveLength(3)
})
