import type { NotifyStore } from '../../../notify/store/store.ts'
import { groupBy } from '../group-by.ts'
import { settleSeveralScript } from '../lua/notify/receipts/settle-several.ts'
import { inCalls } from '../partition-calls.ts'
import type { NotifyDeps } from './deps.ts'
import type { Notifications } from './notifications.ts'
import type { Outbox } from './outbox.ts'
import { partitionOf } from './rows/layout.ts'
import { DIGITS, writeName, writeTime } from './rows/receipt-rows.ts'

/** Copies that one script call settles. */
const MAX_CALL_COPIES = 500

interface SettleDeps extends NotifyDeps {
  notifications: Notifications
  outbox: Outbox
}

/** A copy as the script is told it. */
interface Settled {
  p: number
  args: (string | number)[]
}

/** Tells each partition what became of its copies; they may lie in more than one script reaches. */
const settle = async (
  deps: SettleDeps,
  receiptKey: string,
  all: readonly Settled[],
  head: readonly (string | number)[],
) => {
  const shares = [...groupBy(all, ({ p }) => p)]
  await inCalls(deps.redis, shares, async (some) => {
    const keys = some.flatMap(([p]) => {
      const at = deps.layout.partition(p)
      return [at.entries, at.free, at.order, ...at.receipts(receiptKey)]
    })
    const args = some.flatMap(([, own]) => [own.length, ...own.flatMap((one) => one.args)])
    await deps.ask(() => deps.redis.script(settleSeveralScript, keys, [...head, ...args]))
    return []
  })
}

export const createRedisSettleNotifications = (
  shared: NotifyDeps,
  notifications: Notifications,
  outbox: Outbox,
): Pick<NotifyStore, 'settleNotifications'> => {
  const deps: SettleDeps = { ...shared, notifications, outbox }

  return {
    async settleNotifications(entries, { published, others }, when) {
      const [first] = entries
      if (!first) return
      const { createdAt, task } = first
      const { projectId, domain, notificationId } = task
      const found = await notifications.receiptKeyOf({ projectId, domain, id: notificationId })
      const copies = [
        ...published.map(({ accountKey, deliveredId }): Settled => {
          return { p: partitionOf(accountKey), args: [writeName(accountKey), deliveredId, 0, ''] }
        }),
        ...others.map(({ accountKey, outbox: entry }): Settled => {
          return { p: partitionOf(accountKey), args: [writeName(accountKey), ...outbox.args([entry])] }
        }),
      ]
      const ttl = outbox.ttlOf(others.map((one) => one.outbox))
      const head = [DIGITS.published, writeTime(when), ttl, writeTime(createdAt)]
      for (let from = 0; found && from < copies.length; from += MAX_CALL_COPIES) {
        await settle(deps, found.receiptKey, copies.slice(from, from + MAX_CALL_COPIES), head)
      }
      await outbox.remove(entries.map(({ id }) => id))
      if (others.length > 0) outbox.ring()
    },
  }
}
