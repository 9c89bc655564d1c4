import type { ReceiptsStore } from '../../notify/store-receipts.ts'

const notYet = async (): Promise<never> => {
  throw new Error('Receipts are not kept on Redis yet')
}

/** To be written. */
export const createRedisReceipts = (): Omit<ReceiptsStore, 'completeOutbox'> => ({
  refuse: notYet,
  markDelivered: notYet,
  receipts: notYet,
  receiptCounts: notYet,
  cancelQueued: notYet,
  notifications: notYet,
})
