import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Anchoring, Approval } from '../../src/sessions/operator/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'

const T = Date.now()
const approval = (id: string, change: Partial<Approval> = {}): Approval => ({
  id,
  projectId: 'project',
  microblock: `microblock of ${id}`,
  signer: 'SIG:SECP256K1:PK{02}',
  expiresAt: T + 1000,
  keptUntil: T + 2000,
  ...change,
})

const hashOf = (height: number, branch = '') => `hash-${height}${branch.replaceAll(' ', '-')}`
/** Of one chain, whose name is the hash of its first microblock. */
const anchoring = (id: string, height: number, change: Partial<Anchoring> = {}, branch = ''): Anchoring => ({
  id,
  projectId: 'project',
  attempt: `attempt of ${id}`,
  outcome: { vbHash: hashOf(1), mbHash: hashOf(height, branch), height },
  previousHash: height === 1 ? 'seed' : hashOf(height - 1),
  genesisSeed: height === 1 ? 'seed' : hashOf(height - 1),
  microblock: `sealed ${height}${branch}`,
  ...change,
})

/** What the operator may rely on, whatever the engine. */
export const operatorStoreContract = (engine: Engine): void => {
  describe(`the operator's store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.operator
    const page = { after: 0, limit: 100 }
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('gives an approval back as it was', async () => {
      const { signer: _, ...open } = approval('open', { actorId: 0 })
      const named = approval('named', { vbHash: hashOf(1) })
      for (const one of [open, named]) await store().createApproval(one, T)
      expect(await store().approval('open')).toEqual(open)
      expect(await store().approval('named')).toEqual(named)
      expect(await store().approval('other')).toBeUndefined()
    })

    it('names the signer once, of many who come at once', async () => {
      const { signer: _, ...open } = approval('open', { actorId: 3 })
      await store().createApproval(open, T)
      const signers = Array.from({ length: 20 }, (_, at) => `signer ${at}`)
      await Promise.all(signers.map((one) => store().nameSigner('open', one, `microblock for ${one}`)))
      const named = await store().approval('open')
      expect(signers).toContain(named?.signer)
      expect(named).toEqual({ ...open, signer: named?.signer, microblock: `microblock for ${named?.signer}` })
    })

    it('leaves a signer who was named, and makes no approval by naming one', async () => {
      await store().createApproval(approval('named'), T)
      await store().nameSigner('named', 'another', 'another')
      expect(await store().approval('named')).toEqual(approval('named'))
      await store().nameSigner('nothing', 'another', 'another')
      expect(await store().approval('nothing')).toBeUndefined()
    })

    it('anchors an approval: it is finished, and its microblock the end of the chain', async () => {
      await store().createApproval(approval('a'), T)
      expect(await store().chain('project', hashOf(1))).toBeUndefined()
      expect(await store().anchor(anchoring('a', 1), T)).toBe('anchored')
      expect(await store().approval('a')).toEqual(approval('a', { outcome: anchoring('a', 1).outcome }))
      expect(await store().chain('project', hashOf(1))).toEqual({
        vbHash: hashOf(1),
        genesisSeed: 'seed',
        height: 1,
        head: hashOf(1),
      })
      expect(await store().microblocks('project', hashOf(1), page)).toEqual([
        { height: 1, microblock: 'sealed 1' },
      ])
    })

    it('anchors one of many attempts at one approval', async () => {
      await store().createApproval(approval('a'), T)
      const attempts = Array.from({ length: 30 }, (_, at) =>
        store().anchor(anchoring('a', 1, { attempt: `attempt ${at}` }), T),
      )
      const answers = await Promise.all(attempts)
      expect(answers.filter((one) => one === 'anchored')).toHaveLength(1)
      expect(answers.filter((one) => one === 'finished')).toHaveLength(29)
      expect(await store().microblocks('project', hashOf(1), page)).toHaveLength(1)
    })

    it('tells the same attempt the same again', async () => {
      await store().createApproval(approval('a'), T)
      expect(await store().anchor(anchoring('a', 1), T)).toBe('anchored')
      expect(await store().anchor(anchoring('a', 1), T + 5000)).toBe('anchored')
      expect(await store().microblocks('project', hashOf(1), page)).toHaveLength(1)
    })

    it('anchors one of many approvals that would extend a chain at one place', async () => {
      await store().createApproval(approval('first'), T)
      await store().anchor(anchoring('first', 1), T)
      const ids = Array.from({ length: 10 }, (_, at) => `second ${at}`)
      for (const id of ids) await store().createApproval(approval(id), T)
      const answers = await Promise.all(ids.map((id) => store().anchor(anchoring(id, 2, {}, id), T)))
      expect(answers.filter((one) => one === 'anchored')).toHaveLength(1)
      expect(answers.filter((one) => one === 'moved')).toHaveLength(9)
      const winner = ids[answers.indexOf('anchored')]
      expect(await store().chain('project', hashOf(1))).toEqual({
        vbHash: hashOf(1),
        genesisSeed: 'seed',
        height: 2,
        head: hashOf(2, winner),
      })
      const loser = ids[answers.indexOf('moved')] ?? ''
      expect((await store().approval(loser))?.outcome).toBeUndefined()
    })

    it('anchors nothing that does not follow the end of its chain', async () => {
      await store().createApproval(approval('a'), T)
      await store().createApproval(approval('b'), T)
      expect(await store().anchor(anchoring('a', 2), T)).toBe('moved')
      await store().anchor(anchoring('a', 1), T)
      for (const wrong of [
        anchoring('b', 1),
        anchoring('b', 3),
        anchoring('b', 2, { previousHash: 'another' }),
        anchoring('b', 2, { projectId: 'another' }),
      ]) {
        expect(await store().anchor(wrong, T)).not.toBe('anchored')
      }
      expect((await store().approval('b'))?.outcome).toBeUndefined()
      expect(await store().microblocks('project', hashOf(1), page)).toHaveLength(1)
    })

    it('anchors nothing for an approval that is not there, or has expired', async () => {
      expect(await store().anchor(anchoring('nothing', 1), T)).toBe('unknown')
      await store().createApproval(approval('late'), T)
      expect(await store().anchor(anchoring('late', 1), T + 1000)).toBe('unknown')
      expect(await store().chain('project', hashOf(1))).toBeUndefined()
    })

    it('keeps chains of projects apart', async () => {
      for (const projectId of ['one', 'two']) {
        await store().createApproval(approval(projectId, { projectId }), T)
        expect(await store().anchor(anchoring(projectId, 1, { projectId }), T)).toBe('anchored')
      }
      expect(await store().chain('three', hashOf(1))).toBeUndefined()
      expect(await store().microblocks('two', hashOf(1), page)).toHaveLength(1)
    })

    it('puts back a log in its order, and goes on behind it; a second time changes nothing', async () => {
      const logged = [1, 2, 3].map((height) => ({
        ...{ projectId: 'project', vbHash: hashOf(1), genesisSeed: 'seed' },
        ...{ height, mbHash: hashOf(height), microblock: `sealed ${height}` },
      }))
      await store().restoreMicroblocks(logged)
      await store().restoreMicroblocks(logged.slice(1))
      await store().createApproval(approval('next'), T)
      expect(await store().anchor(anchoring('next', 4), T)).toBe('anchored')
      expect(await store().chain('project', hashOf(1))).toEqual({
        ...{ vbHash: hashOf(1), genesisSeed: 'seed' },
        ...{ height: 4, head: hashOf(4) },
      })
      expect(await store().microblocks('project', hashOf(1), page)).toEqual(
        [1, 2, 3, 4].map((height) => ({ height, microblock: `sealed ${height}` })),
      )
    })

    it('keeps a finished approval that is put back finished', async () => {
      const done = approval('done', { outcome: anchoring('done', 1).outcome })
      await store().createApproval(done, T)
      expect(await store().approval('done')).toEqual(done)
      expect(await store().anchor(anchoring('done', 1), T)).toBe('finished')
    })

    it('pages through a log, also after a restart', async () => {
      for (let height = 1; height <= 12; height++) {
        const id = `approval ${height}`
        await store().createApproval(approval(id), T)
        expect(await store().anchor(anchoring(id, height), T)).toBe('anchored')
      }
      await stores.reopen()
      const heightsOf = async (after: number, limit: number) =>
        (await store().microblocks('project', hashOf(1), { after, limit })).map(({ height }) => height)
      expect(await heightsOf(0, 5)).toEqual([1, 2, 3, 4, 5])
      expect(await heightsOf(5, 100)).toEqual([6, 7, 8, 9, 10, 11, 12])
      expect(await heightsOf(12, 100)).toEqual([])
      expect((await store().chain('project', hashOf(1)))?.height).toBe(12)
    })
  })
}
