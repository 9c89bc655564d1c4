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
  subscriberPage,
}: Pick<Dapp, 'notifications' | 'receipts' | 'subscriberPage'>): Pick<
  Dapp,
  'eachNotification' | 'eachReceipt' | 'eachSubscriber'
> => ({
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
  eachSubscriber: (filter = {}) =>
    eachOf(async (after) => {
      const page = await subscriberPage({ ...filter, ...(after !== undefined && { after }) })
      return { items: page.subscribers, next: page.next }
    }),
})
