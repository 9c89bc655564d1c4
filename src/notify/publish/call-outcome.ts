/** Collects the outcome of each account over a whole call; every form is named once under each heading. */
import type { AccountOutcome } from './fan-out.ts'

export interface NotifyOutcome {
  sent: string[]
  failed: { account: string; reason: string }[]
  not_found: string[]
  /** Present when something was scheduled. */
  scheduled?: string[]
  /** In the order of the messages. */
  notifications: { notification_id: string; status: 'queued' | 'scheduled' }[]
}

export class CallOutcome {
  readonly #sent = new Set<string>()
  readonly #failed = new Map<string, string>()
  readonly #notFound = new Set<string>()
  readonly #scheduled = new Set<string>()
  readonly #notifications: NotifyOutcome['notifications'] = []

  queued(id: string, outcomes: readonly AccountOutcome[]): void {
    this.#notifications.push({ notification_id: id, status: 'queued' })
    for (const { accounts, became, reason = '' } of outcomes) {
      for (const account of accounts) {
        if (became === 'sent') this.#sent.add(account)
        else if (became === 'failed') this.#failed.set(account, reason)
        else this.#notFound.add(account)
      }
    }
  }

  scheduled(id: string, accounts: readonly string[]): void {
    this.#notifications.push({ notification_id: id, status: 'scheduled' })
    for (const account of accounts) this.#scheduled.add(account)
  }

  answer(): NotifyOutcome {
    return {
      sent: [...this.#sent],
      failed: [...this.#failed].map(([account, reason]) => ({ account, reason })),
      not_found: [...this.#notFound],
      ...(this.#scheduled.size > 0 && { scheduled: [...this.#scheduled] }),
      notifications: this.#notifications,
    }
  }
}
