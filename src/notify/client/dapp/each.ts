/** Lists that a server answers by pages, one item after the other. A page is read when its first item is wanted. */
import type { Dapp } from './api.ts'

async function* eachOf<T>(
  read: (after: string | undefined) => Promise<{ items: readonly T[]; next: string | null }>,
): AsyncGenerator<T, void, undefined> {
  let after: string | undefined
  do {
    const { items, next } = await read(after)
    yield* items
    after = next ?? undefined
  } while (after !== undefined)
}

export const createEach = ({
  notifications,
  receipts,
}: Pick<Dapp, 'notifications' | 'receipts'>): Pick<Dapp, 'eachNotification' | 'eachReceipt'> => ({
  eachNotification: (filter = {}) =>
    eachOf(async (after) => {
      const page = await notifications({ ...filter, ...(after !== undefined && { after }) })
      return { items: page.notifications, next: page.next }
    }),
  eachReceipt: (id, filter = {}) =>
    eachOf(async (after) => {
      const page = await receipts(id, { ...filter, ...(after !== undefined && { after }) })
      return { items: page.receipts, next: page.next }
    }),
})
