import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Addition, QueueName, WaitingMessage, WaitingPush } from '../../src/push/store.ts'
import { eventually } from '../support/eventually.ts'
import type { Engine, TestStores } from '../support/stores.ts'

const MINUTE = 60_000
const LIMIT = 8

/** What push may rely on of what waits, whatever the engine. */
export const pushWaitingContract = (engine: Engine): void => {
  describe(`what waits to be pushed on ${engine.name}`, () => {
    let stores: TestStores
    const now = Date.now()
    const queue: QueueName = { projectId: 'p', provider: 'fcm' }
    const store = () => stores.push
    const message = (id: string, change: Partial<WaitingMessage> = {}): WaitingMessage => ({
      ...{ topic: 'ab'.repeat(32), id: Buffer.from(id).toString('hex').padStart(64, '0'), tag: 4002 },
      ...{ rank: 2, at: now, expiresAt: now + 10 * MINUTE, seq: 7 },
      ...change,
    })
    const addition = (clientId: string, ...messages: WaitingMessage[]): Addition => ({
      ...{ clientId, deviceId: 'd', ...queue, at: now, messages },
    })
    const add = (...additions: Addition[]) => store().add(additions, { limit: LIMIT, now })
    const take = (at = now, limit = 10) => store().take(queue, { limit, now: at, until: at + MINUTE })
    const takeOne = async (at = now): Promise<WaitingPush> => {
      const [push] = await take(at, 1)
      if (!push) throw new Error('nothing was due')
      return push
    }
    const idsOf = ({ messages }: Pick<WaitingPush, 'messages'>) => messages.map(({ id }) => id)
    const waiting = (clientId: string) => store().waitingFor({ clientId, deviceId: 'd', ...queue })
    const idOf = (id: string) => message(id).id

    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('keeps the last ones of those that came within one millisecond', async () => {
      const ids = Array.from({ length: LIMIT + 2 }, (_, at) => `same ${at}`)
      for (const id of ids) await add(addition('same', message(id)))
      const { messages, more } = await takeOne()
      expect(messages).toEqual(ids.slice(2).map((id) => message(id)))
      expect(more).toBe(2)
    })

    it('gives what waits back as it came, after a restart too', async () => {
      const legacy = message('x', { topic: '', id: 'x', text: 'é', isForeign: true, flags: 1 })
      const { seq: _, ...foreign } = legacy
      await add(addition('one', message('a'), foreign))
      await stores.reopen()
      expect(await takeOne()).toMatchObject({
        clientId: 'one',
        deviceId: 'd',
        messages: [message('a'), foreign],
      })
    })

    it('has one push for a device, with each message once', async () => {
      await add(addition('one', message('a')))
      await Promise.all(['a', 'b', 'c', 'b'].map((id) => add(addition('one', message(id)))))
      expect(await store().countWaiting(queue)).toBe(1)
      const push = await takeOne()
      expect(idsOf(push).toSorted()).toEqual(['a', 'b', 'c'].map(idOf).toSorted())
      expect(await take()).toEqual([])
    })

    it('keeps the strongest messages, of one rank the newest, and counts those that gave way', async () => {
      const all = Array.from({ length: 10 }, (_, at) => message(`m${at}`, { at: now + at }))
      await add(addition('one', message('request', { rank: 3, at: now - 1_000 }), ...all))
      const push = await takeOne()
      expect(idsOf(push)).toEqual([idOf('request'), ...all.slice(-7).map(({ id }) => id)])
      expect(push.more).toBe(3)
      await store().finish(push, { handed: idsOf(push), dropped: [], now })
      expect(await waiting('one')).toBeUndefined()
    })

    it('gives each push to one of many who take', async () => {
      const clients = Array.from({ length: 40 }, (_, at) => `client ${at}`)
      await add(...clients.map((one) => addition(one, message('a'))))
      const taken = (await Promise.all(Array.from({ length: 6 }, () => take(now, 10)))).flat()
      const rest = await take(now, 40)
      expect([...taken, ...rest].map(({ clientId }) => clientId).toSorted()).toEqual(clients.toSorted())
    })

    it('keeps what comes while a push is under way for the next one', async () => {
      await add(addition('one', message('a')))
      const push = await takeOne()
      await add(addition('one', message('b')))
      expect(await take()).toEqual([])
      await store().finish(push, { handed: [idOf('a')], dropped: [], now })
      expect(idsOf(await takeOne())).toEqual([idOf('b')])
    })

    it('gives a push again when its worker is not heard of, and then hears that worker for its messages alone', async () => {
      await add(addition('one', message('a'), message('b')))
      const lost = await takeOne()
      expect(await take(now + MINUTE - 1)).toEqual([])
      const again = await takeOne(now + MINUTE + 1)
      expect(idsOf(again)).toEqual(idsOf(lost))
      await store().finish(lost, { handed: [idOf('a')], dropped: [], now: now + MINUTE + 1 })
      expect(await take(now + MINUTE + 2)).toEqual([])
      await store().finish(again, { handed: [], dropped: [idOf('b')], now: now + MINUTE + 2 })
      expect(await waiting('one')).toBeUndefined()
    })

    it('has what failed wait until its time, whatever comes meanwhile', async () => {
      await add(addition('one', message('a')))
      const again = { at: now + 5_000, attempts: 1 }
      await store().finish(await takeOne(), { handed: [], dropped: [], again, now })
      await add(addition('one', message('b')))
      expect(await take(now + 4_999)).toEqual([])
      const push = await takeOne(now + 5_001)
      expect([idsOf(push), push.attempts]).toEqual([[idOf('a'), idOf('b')], 1])
    })

    it('makes all of a queue due when asked to, but what is under way', async () => {
      await add(addition('busy', message('a')))
      await takeOne()
      for (const one of ['one', 'two']) {
        const later = { ...addition(one, message('a')), at: now + MINUTE }
        await add(later, { ...later, provider: 'apns' })
      }
      expect(await take()).toEqual([])
      await store().hurry(queue, now)
      expect((await take()).map(({ clientId }) => clientId).toSorted()).toEqual(['one', 'two'])
      expect(await store().take({ ...queue, provider: 'apns' }, { limit: 9, now, until: now + 1 })).toEqual(
        [],
      )
    })

    it('makes what waits for one device due when asked to, but not what is under way', async () => {
      const later = (clientId: string) => ({ ...addition(clientId, message('a')), at: now + MINUTE })
      await add(later('one'), later('two'))
      await store().hurryDevice({ clientId: 'one', deviceId: 'd', ...queue }, now)
      await store().hurryDevice({ clientId: 'nobody', deviceId: 'd', ...queue }, now)
      expect((await take()).map(({ clientId }) => clientId)).toEqual(['one'])
      await store().hurryDevice({ clientId: 'one', deviceId: 'd', ...queue }, now)
      expect(await take()).toEqual([])
    })

    it('remembers what was handed to a device lately', async () => {
      await add(addition('one', message('a'), message('b')))
      const push = await takeOne()
      await store().finish(push, { handed: [idOf('a')], dropped: [idOf('b')], now })
      await stores.reopen()
      expect([...(await store().handed(push, ['a', 'b'].map(idOf)))]).toEqual([idOf('a')])
      expect([...(await store().handed({ ...push, clientId: 'two' }, [idOf('a')]))]).toEqual([])
    })

    it('leaves out what has expired when something is added', async () => {
      await add(addition('one', message('old', { expiresAt: now + 1_000 })))
      const at = now + 2_000
      await store().add([addition('one', message('new'))], { limit: LIMIT, now: at })
      expect(idsOf(await takeOne(at))).toEqual([idOf('new')])
    })

    it('tells of queues in which something waits, and restores what waited, also twice', async () => {
      const told: QueueName[] = []
      using _ = store().onWaiting((name) => void told.push(name))
      let nth = 0
      await eventually(async () => {
        nth += 1
        await add(addition('one', message(`${nth}`)))
        expect(told).toContainEqual(queue)
      })
      await add(addition('two', message('a')))
      const pushes = await take()
      await using other = await engine.open()
      for (let times = 0; times < 2; times++) await other.push.restoreWaiting(pushes, now)
      expect(await other.push.countWaiting(queue)).toBe(2)
      const restored = await other.push.take(queue, { limit: 9, now: now + MINUTE, until: now + 2 * MINUTE })
      expect(restored.map(({ clientId }) => clientId).toSorted()).toEqual(['one', 'two'])
    })
  })
}
