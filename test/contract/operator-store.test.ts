import { expect, it } from 'vitest'
import { engines } from '../support/engines.ts'
import { lmdb } from '../support/stores.ts'
import { operatorStoreContract } from './operator-store.ts'

for (const engine of engines) operatorStoreContract(engine)

it('forgets approvals that were kept long enough, and nothing else (LMDB; Redis does so by itself)', async () => {
  await using stores = await lmdb.open()
  const { kv, operator } = stores
  const kept = (id: string, keptUntil: number) =>
    operator.createApproval(
      { id, projectId: 'p', microblock: id, signer: 's', expiresAt: keptUntil - 1, keptUntil },
      keptUntil - 10,
    )
  await kept('old', 1000)
  await kept('older', 995)
  await kept('new', 2000)
  await kv.sweep(994, 100)
  for (const id of ['old', 'older', 'new']) expect((await operator.approval(id))?.id).toBe(id)
  await kv.sweep(1990, 100)
  expect(await operator.approval('old')).toBeUndefined()
  expect(await operator.approval('older')).toBeUndefined()
  expect((await operator.approval('new'))?.id).toBe('new')
})
