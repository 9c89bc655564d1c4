/** Whom an entry of the outbox is about. */
import type { OutboxEntry } from './store.ts'

/** Whether the entry belongs to the account, or names it anywhere, on whatever chain and however it is written. */
export const concerns = ({ task }: OutboxEntry, accountKey: string): boolean => {
  if ('accountKey' in task && task.accountKey === accountKey) return true
  const address = accountKey.slice(accountKey.indexOf(':') + 1)
  return JSON.stringify(task).toLowerCase().includes(address)
}
