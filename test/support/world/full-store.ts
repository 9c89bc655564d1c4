/** A large store, written as fast as the engine takes it: subscriptions with their topics, and histories. */
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import { app, notification, project, record, subscription, target } from '../../contract/notify-samples.ts'
import { client, hex, message } from '../../contract/relay-samples.ts'

const DAY = 86_400_000
const BATCH = 2_000

/** Of every hundred subscriptions each has one notification, and one of ten a second that it has read. */
export const fillStore = async (path: string, size: number, now: number): Promise<void> => {
  await using stores = await openLmdb({ path })
  const { notify, relay, keys } = stores
  const month = { createdAt: now, expiresAt: now + 30 * DAY }
  await notify.serverKeys({ relay: 'sealed' })
  await notify.createProject(project('project'))
  await notify.createApp(app('app.example'))
  const news = await Promise.all(
    ['first', 'second'].map((id) => notify.putNotification(notification(id, month))),
  )
  for (let from = 0; from < size; from += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, size - from) }, (_, at) => from + at)
    const people = numbers.map((n) => ({
      n,
      accountKey: `eip155:0x${hex(`${n}`).slice(0, 40)}`,
      id: hex(`id ${n}`).slice(0, 36),
    }))
    await Promise.all(
      people.map(({ n, accountKey, id }) =>
        notify.commit({
          accountKey,
          expectedVersion: 0,
          record: record([
            subscription(id, { ...month, topic: hex(`P ${n}`), account: accountKey.replace(':', ':1:') }),
          ]),
          outbox: [],
        }),
      ),
    )
    for (const [which, one] of news.entries()) {
      const receivers = people.filter(({ n }) => n % (which === 0 ? 1 : 10) === 0)
      const targets = receivers.map(({ n, accountKey, id }) => target(accountKey, id, `${which} ${n}`))
      await notify.enqueue(one, targets)
      await notify.completeOutbox(
        targets.map(({ outbox }) => ({ id: outbox.id })),
        now,
      )
      if (which === 0) continue
      await Promise.all(
        receivers.map(({ n, accountKey, id }) =>
          notify.markRead({
            accountKey,
            subscriptionId: id,
            ids: [`${which} ${n}`],
            at: now,
            outbox: [],
            outboxIfChanged: [],
          }),
        ),
      )
    }
    await relay.subscribe(
      client('notify server'),
      numbers.map((n) => hex(`P ${n}`)),
      { now: Date.now() },
    )
    const some = people.filter(({ n }) => n % 50 === 0)
    await Promise.all(
      some.map(({ n }) => relay.subscribe(client(`wallet ${n}`), [hex(`P ${n}`)], { now: Date.now() })),
    )
    await relay.publish(
      some.map(({ n }) => message(hex(`P ${n}`), `text ${n}`, { publishedAt: now, expiresAt: now + DAY })),
    )
    await Promise.all(
      some.map(({ n, accountKey }) =>
        keys.registerIdentity({ identityKey: `did:key:z${n}`, accountKey, account: accountKey, cacao: '{}' }),
      ),
    )
  }
}
