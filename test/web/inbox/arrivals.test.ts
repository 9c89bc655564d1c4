/** What comes to the inbox is stored together with the state of the wallet that knows it, or not at all. */
import { IDBFactory } from 'fake-indexeddb'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { freshState } from '../../../src/notify/client/wallet/state.ts'
import { createArrivals } from '../../../src/web/inbox/model/arrivals.ts'
import { type Message, openDatabase, type Stored } from '../../../src/web/inbox/model/database.ts'

beforeEach(() => void vi.stubGlobal('indexedDB', new IDBFactory()))
afterEach(() => void vi.unstubAllGlobals())

const stateOf = (seen: readonly string[]) => ({
  ...freshState('eip155:1:0x0', (length) => new Uint8Array(length)),
  seen: [...seen],
})
const messageOf = (id: string): Message => ({
  ...{ id, domain: 'app.test', type: 'news', title: `Title ${id}`, body: 'body' },
  ...{ sentAt: 1, icon: null, url: null, isRead: false },
})

const open = async () => {
  const database = await openDatabase()
  const told: (readonly Stored[])[] = []
  let isFull = false
  const arrivals = createArrivals({
    setWallet: (state, messages) =>
      // What a browser does when the quota is used up: nothing of the transaction stays.
      database.setWallet(state, isFull ? [...messages, notStorable] : messages),
  })
  arrivals.onStored((stored) => void told.push(stored))
  const setFull = (full: boolean): void => {
    isFull = full
  }
  return { database, arrivals, told, setFull }
}
/** IndexedDB takes no functions, so the transaction that has one is aborted. */
const notStorable: Message = Object.assign(messageOf('z'), { body: () => {} })

test('messages of one save are told of together, once they are stored', async () => {
  const { database, arrivals, told } = await open()
  for (const id of ['a', 'b']) arrivals.add(messageOf(id))
  expect(told).toEqual([])
  await arrivals.save(stateOf(['a', 'b']))
  expect(told).toEqual([['a', 'b'].map((id) => ({ message: messageOf(id), wasKnown: false }))])
  expect(await database.message('app.test', 'b')).toEqual(messageOf('b'))
  expect(await database.setting('wallet')).toEqual(stateOf(['a', 'b']))
  await arrivals.save(stateOf(['a', 'b']))
  expect(told).toHaveLength(1)
})

test('a message that was known stays read and answered', async () => {
  const { database, arrivals, told } = await open()
  await database.put([{ ...messageOf('a'), isRead: true, answered: 'yes' }])
  arrivals.add({ ...messageOf('a'), title: 'New title' })
  await arrivals.save(stateOf(['a']))
  const message = { ...messageOf('a'), title: 'New title', isRead: true, answered: 'yes' }
  expect(told).toEqual([[{ message, wasKnown: true }]])
})

test('where nothing could be stored neither the state nor a message is there, and the next save has all', async () => {
  const { database, arrivals, told, setFull } = await open()
  await arrivals.save(stateOf([]))
  arrivals.add(messageOf('a'))
  setFull(true)
  await expect(arrivals.save(stateOf(['a']))).rejects.toThrow()
  expect([await database.setting('wallet'), told]).toEqual([stateOf([]), []])
  expect(await database.message('app.test', 'a')).toBeUndefined()
  arrivals.add(messageOf('b'))
  setFull(false)
  await arrivals.save(stateOf(['a', 'b']))
  expect(told.map((stored) => stored.map(({ message }) => message.id))).toEqual([['a', 'b']])
  expect(await database.setting('wallet')).toEqual(stateOf(['a', 'b']))
})
