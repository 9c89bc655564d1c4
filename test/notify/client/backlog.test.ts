/** Messages that waited for a device: saved together, acknowledged after that, handed over once. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { WalletFailure, WalletState } from '../../../src/sdk/wallet.ts'
import { eventually } from '../../support/eventually.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const copyOf = (state: WalletState): WalletState => JSON.parse(JSON.stringify(state))

let apps = 0
/** A device that is closed, and as many messages that wait for it. */
const startBacklog = async (count: number) => {
  const domain = `backlog${++apps}.test`
  const [type = ''] = await world.app(domain)
  const owner = world.newOwner()
  const { wallet } = world.device(owner)
  await wallet.subscribe(domain)
  const state = copyOf(wallet.export())
  await wallet[Symbol.asyncDispose]()
  const titles = Array.from({ length: count }, (_, at) => `message ${at}`)
  for (const title of titles) await world.dapp(domain).notify({ type, title, body: 'body' }, [owner.account])
  return { domain, owner, state, sorted: titles.toSorted() }
}

/** A store whose saves wait until the test says how they end, or lets all of them go. */
const heldStore = () => {
  const saves: { state: WalletState; resolve: () => void; reject: (error: Error) => void }[] = []
  let isHeld = true
  return {
    saves,
    save: async (state: WalletState) => {
      if (!isHeld) return
      await new Promise<void>((resolve, reject) => saves.push({ state: copyOf(state), resolve, reject }))
    },
    [Symbol.dispose]() {
      isHeld = false
      for (const { resolve } of saves) resolve()
    },
  }
}

test('what comes while one is saved is handed over meanwhile, and saved at once after it', async () => {
  const { owner, state, sorted } = await startBacklog(60)
  using store = heldStore()
  const { saves, save } = store
  const { titles } = world.device(owner, { state, save })
  await eventually(() => expect(titles().toSorted()).toEqual(sorted))
  expect(saves).toHaveLength(1)
  saves[0]?.resolve()
  await eventually(() => expect(saves).toHaveLength(2))
  expect(saves[1]?.state.seen).toHaveLength(60)
})

test('a device that dies before it has saved gets all of it again', async () => {
  const { owner, state, sorted } = await startBacklog(20)
  using store = heldStore()
  const dying = world.device(owner, { state, save: store.save })
  await eventually(() => expect(dying.titles()).toHaveLength(20))
  // It is as if it were dead: no save of it ends, so it acknowledges nothing.
  const after = world.device(owner, { state })
  await eventually(() => expect(after.titles().toSorted()).toEqual(sorted))
})

test('what was saved and not acknowledged comes again, and is not handed over again', async () => {
  const { domain, owner, state } = await startBacklog(20)
  using store = heldStore()
  const dying = world.device(owner, { state, save: store.save })
  await eventually(() => expect(dying.titles()).toHaveLength(20))
  // What it would have saved is on the disk, and its process was killed before it acknowledged anything.
  const saved = copyOf(dying.wallet.export())
  const after = world.device(owner, { state: saved })
  const [type = ''] = (await after.wallet.typesOf(domain)).map(({ id }) => id)
  await world.dapp(domain).notify({ type, title: 'new', body: 'body' }, [owner.account])
  await eventually(() => expect(after.titles()).toEqual(['new']))
  expect(after.wallet.unread(domain)).toBe(21)
})

test('what could not be saved is told of and not acknowledged; a later save has it', async () => {
  const { owner, state, sorted } = await startBacklog(20)
  using store = heldStore()
  const { saves, save } = store
  const full = world.device(owner, { state, save })
  const failures: WalletFailure[] = []
  full.wallet.on('error', (failure) => void failures.push(failure))
  await eventually(() => expect(full.titles()).toHaveLength(20))
  saves[0]?.reject(new Error('the storage is full'))
  await eventually(() => expect(saves).toHaveLength(2))
  saves[1]?.reject(new Error('the storage is full'))
  await eventually(() => expect(failures.map(({ during }) => during)).toEqual(['save', 'save']))
  await full.wallet[Symbol.asyncDispose]()
  // Nothing was saved, so to the next start it never came.
  const after = world.device(owner, { state })
  await eventually(() => expect(after.titles().toSorted()).toEqual(sorted))
})
