/** A store in which every table of a transfer has something, and what must not be copied lies beside it. */

import { EXPIRED } from '../../src/notify/store/receipts.ts'
import type { Webhook } from '../../src/notify/store/store.ts'
import type { Job } from '../../src/platform/jobs/job-queue.ts'
import type { Watch } from '../../src/relay/store.ts'
import type { Stores } from '../../src/storage/stores.ts'
import {
  type Readers,
  type Records,
  TABLE_NAMES,
  type TableName,
} from '../../src/storage/transfer/transfer.ts'
import {
  app,
  become,
  DAY,
  entry,
  notification,
  project,
  record,
  subscription,
  target,
  watcher,
} from './notify-samples.ts'
import { client, hex, message, topic } from './relay-samples.ts'
import {
  wholeApp,
  wholeJob,
  wholeNotification,
  wholeProject,
  wholeSubscription,
  wholeTasks,
  wholeWatcher,
  wholeWebhook,
} from './transfer-whole.ts'

type Rooms = Pick<
  Stores,
  | 'keys'
  | 'notify'
  | 'relay'
  | 'jobQueue'
  | 'contacts'
  | 'mq'
  | 'operator'
  | 'archive'
  | 'push'
  | 'console'
  | 'transfer'
>

export const HOUR = 3_600_000

/** Operators: a session, which is not copied, a passkey, blocks, and what was done. */
const furnishConsole = async (store: Rooms['console'], now: number): Promise<void> => {
  const used = { createdAt: now, usedAt: now, expiresAt: now + HOUR }
  await store.openSession('token', { id: 's', method: 'token', passkey: '', address: '203.0.113.7', ...used })
  const passkey = { id: 'AAEC', name: 'Laptop é', publicKey: 'pQEC', counter: 3, createdAt: now }
  await store.addPasskey({ ...passkey, usedAt: null })
  const block = { kind: 'address' as const, value: '203.0.113.9', note: 'loud', createdAt: now }
  await store.block({ ...block, expiresAt: now + DAY }, now)
  await store.block({ ...block, value: '203.0.113.8', expiresAt: now - 1 }, now - HOUR)
  const by = { by: 'session' as const, session: 's', passkey: 'Laptop é', address: '203.0.113.7' }
  const what = { action: 'POST /admin/apps', subject: { domain: 'app.example' }, status: 200, failure: '' }
  await store.record({ at: now, ...by, ...what })
}

/** Devices of every kind, one of them over; what waits for them; a project with credentials. */
const furnishPush = async (push: Rooms['push'], now: number): Promise<void> => {
  const credentials = { id: 'c1', sealed: 'sealed:1:x', shown: { topic: 'org.example' }, setAt: now }
  await push.changeProject(
    'wallets',
    () => ({
      ...{ id: 'wallets', createdAt: now, isOpen: false },
      credentials: { apns: { ...credentials, stopped: { at: now, reason: 'Forbidden' } } },
    }),
    { limit: 10, now },
  )
  await push.vapidKey('sealed:1:vapid')
  const device = {
    ...{ projectId: 'wallets', form: 'hidden' as const, isLegacy: false, isProven: true },
    expiresAt: now + 9 * DAY,
    ...{ sealKey: hex('seal'), tags: [4002], quiet: { from: 1_320, to: 420, timeZone: 'Europe/Berlin' } },
  } as const
  const web = { provider: 'webpush', endpoint: 'https://push.example/ä', p256dh: 'p', auth: 'a' } as const
  const limits = { now, devices: 8 }
  await push.register(client('a'), { ...device, id: 'one', tags: [4002], address: web }, limits)
  const apns = { provider: 'apns', token: 'abc', isSandbox: true } as const
  await push.register(client('a'), { ...device, id: 'two', tags: [], address: apns }, limits)
  const old = { provider: 'fcm', token: 'old' } as const
  const past = { now: now - HOUR, devices: 8 }
  await push.register(client('b'), { ...device, id: 'old', tags: [], address: old, expiresAt: now - 1 }, past)
  const message = {
    ...{
      topic: topic('box'),
      id: hex('text 8 é'),
      tag: 4002,
      rank: 2,
      at: now,
      expiresAt: now + HOUR,
      seq: 9,
    },
  }
  const foreign = { ...message, id: 'm1', text: 'AAEC', isForeign: true as const, flags: 1, seq: 1 }
  const to = { clientId: client('a'), deviceId: 'one', projectId: 'wallets', provider: 'webpush' } as const
  await push.add([{ ...to, at: now + HOUR, messages: [message, foreign] }], { limit: 8, now })
}

/** Everything is as of `now`, because Redis removes what expired long ago. */
export const furnish = async (
  { keys, notify, relay, jobQueue, contacts, mq, operator, archive, push, console }: Rooms,
  now: number,
): Promise<void> => {
  const month = { createdAt: now, expiresAt: now + 30 * DAY }
  const sub = (id: string, change = {}) =>
    subscription(id, { ...month, topic: hex(`notify ${id}`), ...change })

  const claimed = { identityKey: 'did:key:a', accountKey: 'eip155:0x0', account: 'eip155:1:0x0', cacao: '{}' }
  await keys.registerIdentity(claimed)
  await keys.registerIdentity({
    identityKey: 'did:key:a',
    accountKey: 'eip155:0xc',
    account: 'eip155:1:0xC',
    cacao: '{"h":"ä"}',
    isProven: true,
    isDefault: true,
  })
  await keys.registerIdentity({
    identityKey: 'did:key:b',
    accountKey: 'eip155:0xb',
    account: 'eip155:1:0xB',
    cacao: '',
    revokedAt: now,
  })
  for (const [account, inviteKey] of [
    ['eip155:0xa', 'did:key:x'],
    ['eip155:0xc', 'did:key:y'],
  ] as const) {
    await keys.registerInvite(account, { inviteKey, account: `CAIP of ${account}`, identityKey: 'did:key:a' })
  }
  // This one goes with its identity key.
  await keys.registerInvite('eip155:0xd', { inviteKey: 'did:key:z', account: 'D', identityKey: 'did:key:d' })
  await keys.unregisterIdentity('did:key:d', 'eip155:0xd')

  await notify.serverKeys({ relay: 'sealed', identity: 'sealed, too' })
  for (const one of [wholeProject(now), project('other')]) await notify.createProject(one)
  await notify.createApp(app('b.example'))
  await notify.createApp(wholeApp(now))

  const address = `eip155:0x${'ab'.repeat(20)}`
  const moved = watcher('did:key:w', { expiresAt: now + DAY, topic: hex('w') })
  await become(
    notify,
    address,
    record(
      [sub('one', { account: `eip155:1:0x${'aB'.repeat(20)}` }), wholeSubscription(now, 'two')],
      [moved, wholeWatcher(now)],
    ),
    { requestId: { id: hex('request'), expiresAt: now + HOUR } },
  )
  await become(notify, 'solana:Odd', record([sub('three', { expiresAt: now - 1, account: 'solana:x:Odd' })]))
  // Its watcher was another account's, whose record still has it.
  await become(notify, 'eip155:0xw', record([], [{ ...moved, key: 'sealed by the later' }]))
  await become(notify, 'eip155:0xgone', record([sub('ended')]))

  const tell = (id: string, change = {}) =>
    notification(id, { ...month, title: `Title ${id} ✓`, ...change, id })
  const enqueue = async (account: string, to: string, ids: string[], change = {}) => {
    await Promise.all(
      ids.map(async (id) => {
        const one = await notify.putNotification(tell(id, change))
        await notify.enqueue(one, [target(account, to, `copy of ${id} for ${to}`)])
      }),
    )
  }
  const many = Array.from({ length: 450 }, (_, at) => `n${at}`)
  await enqueue(address, 'one', many)
  await enqueue(address, 'two', ['n0', 'same'], { domain: 'b.example', url: null, icon: 'https://i.example' })
  await enqueue(address, 'two', ['old'], {
    domain: 'b.example',
    createdAt: now - 2 * HOUR,
    expiresAt: now - HOUR,
  })
  await enqueue('eip155:0xgone', 'ended', ['n0'])
  await become(notify, 'eip155:0xgone', record())
  const read = ['copy of n3 for one', 'copy of n448 for one']
  await notify.markRead({
    accountKey: address,
    subscriptionId: 'one',
    ids: read,
    at: now,
    outbox: [],
    outboxIfChanged: [],
  })

  // The second takes the place of the first; some are not sent, and one cannot be.
  const key = wholeNotification(now, 'any')
  for (const id of ['c1', 'c2']) await enqueue(address, 'one', [id], key)
  await enqueue(address, 'one', ['cancelled', 'late'])
  const of = (id: string) => ({ projectId: 'project', domain: 'app.example', id })
  const became = (id: string, change: { became: 'published' | 'failed'; reason?: string }) => ({
    id: `copy of ${id} for one`,
    receipt: { of: of(id), accountKey: address, subscriptionId: 'one', ...change },
  })
  await notify.cancelQueued(of('cancelled'), 10, now)
  await notify.completeOutbox(
    [
      became('late', { became: 'failed', reason: EXPIRED }),
      ...['n5', 'n6'].map((id) => became(id, { became: 'published' })),
    ],
    now,
  )
  const delivered = { accountKey: address, subscriptionId: 'one', deliveredId: 'copy of n5 for one', at: now }
  await notify.markDelivered([delivered])
  const nobody = ['eip155:1:0xN', 'solana:5:Nobody'].map((account) => ({
    ...{ accountKey: account.toLowerCase(), account, reason: 'Not subscribed ü' },
  }))
  await notify.refuse(of('n0'), nobody, now)
  for (const [id, at] of [
    ['n0', now],
    ['n0', now + 1],
    ['n1', now - 5],
  ] as const) {
    await notify.click(tell(id), `copy of ${id} for one`, at)
  }
  await notify.click(tell('n0'), 'copy of n0 for another', now + 3)

  // Only what stands below is left to be sent.
  for (;;) {
    const sent = await notify.takeOutbox({ worker: 'w', limit: 1_000, now, until: now + 1 })
    if (sent.length === 0) break
    await notify.completeOutbox(
      sent.map(({ id }) => ({ id })),
      now,
    )
  }
  const account = await notify.account(address)
  const lines = ['first', 'second', 'third', 'fourth'].map((id) => entry(id, month))
  lines.push(entry('late', { createdAt: now - DAY, expiresAt: now - 1 }))
  lines.push(
    ...Object.entries(wholeTasks(address)).map(([kind, task]) => entry(`a ${kind}`, { ...month, task })),
  )
  for (const one of lines) {
    const { version } = await notify.account(address)
    await notify.commit({
      accountKey: address,
      expectedVersion: version,
      record: account.record,
      outbox: [one],
      requestId: { id: `request of ${one.id}`, expiresAt: now + HOUR },
    })
  }

  const waiting = target(address, 'one', 'copy of waits for one')
  const waits = { ...waiting, outbox: { ...waiting.outbox, ...month } }
  await notify.enqueue(await notify.putNotification(tell('waits')), [waits])
  // Queues: in order, with a gap where one was taken, and what has expired.
  const [queue, other] = [
    { domain: 'default', hashDID: 'reader' },
    { domain: 'vault.csc', hashDID: 'reader' },
  ]
  for (let at = 0; at < 8; at++) {
    const one = { id: `mq ${at}`, message: `text ${at} é`, expiresAt: now + HOUR + at }
    await mq.put(
      queue,
      at % 2
        ? {
            ...one,
            sender: 'did:key:s',
            ...(at > 2 && { messageSigned: true as const, payer: `payer ${at}` }),
          }
        : one,
      { now, most: 10 },
    )
  }
  await mq.take(queue, { now, id: 'mq 3' })
  await mq.put(other, { id: 'mq 0', message: 'alone', expiresAt: now + DAY }, { now, most: 10 })
  const past = { now: now - HOUR, most: 10 }
  await mq.put(other, { id: 'dead', message: 'dead', expiresAt: now - 1 }, past)
  await mq.attend(queue, now + HOUR, now)
  await mq.attend(other, now - 1, now - HOUR)
  // Approvals: open, given and forgotten; two logs, one of them longer than a page.
  const kept = { projectId: 'project', microblock: 'mb', expiresAt: now + HOUR, keptUntil: now + DAY }
  await operator.createApproval({ ...kept, id: 'dead', signer: 's', keptUntil: now - 1 }, now - HOUR)
  await operator.createApproval({ ...kept, id: 'open', actorId: 0 }, now)
  await operator.createApproval({ ...kept, id: 'named', signer: 's', vbHash: 'vb 1' }, now)
  const genesis = { genesisSeed: 'seed', previousHash: 'seed' }
  for (const [chain, length] of [
    ['one', 60],
    ['two', 1],
  ] as const) {
    for (let height = 1; height <= length; height++) {
      const id = `given ${chain} ${height}`
      const outcome = { vbHash: `${chain}-1`, mbHash: `${chain}-${height}`, height }
      const link = height === 1 ? genesis : { ...genesis, previousHash: `${chain}-${height - 1}` }
      await operator.createApproval({ ...kept, id, signer: 's' }, now)
      const sealed = { microblock: `sealed ${chain} ${height}`, attempt: id }
      await operator.anchor({ ...{ id, outcome, projectId: 'project' }, ...link, ...sealed }, now)
    }
  }

  // Mailboxes: acknowledged in order, out of order, by one who left, and what has expired.
  const [box, quiet, dead] = [topic('box'), topic('quiet'), topic('dead')]
  const live = { publishedAt: now, expiresAt: now + HOUR }
  await relay.subscribe(client('a'), [box, quiet], { now: now })
  await relay.subscribe(client('b'), [box], { now: now })
  await relay.subscribe(client('left'), [box, dead], { now: now })
  for (let at = 0; at < 12; at++) await relay.publish([message(box, `text ${at} é`, live)])
  await relay.publish([message(box, 'own', { ...live, publisher: client('a'), attestation: 'ätt', tag: 0 })])
  await relay.publish([message(dead, 'dead', { publishedAt: now - HOUR, expiresAt: now - 1 })])
  const receipts = (...which: number[]) => which.map((at) => ({ topic: box, id: hex(`text ${at} é`) }))
  await relay.acknowledge(client('a'), receipts(0, 1, 4, 5, 9))
  await relay.acknowledge(client('left'), receipts(2))
  await relay.acknowledge(client('never'), receipts(7))
  await relay.unsubscribe(client('left'), [box, dead])
  // Its owner alone gets what others publish there.
  await relay.subscribe(client('owner'), [topic('owned')], { now, exclusive: true })
  await relay.publish([message(topic('owned'), 'to the owner', live)])
  // A client of so many topics gets hints on one engine.
  await relay.subscribe(
    client('many'),
    Array.from({ length: 300 }, (_, at) => topic(`many ${at}`)),
    { now: now },
  )
  await relay.publish([message(topic('many 7'), 'for many', live)])

  const watch = {
    ...{ clientId: client('a'), service: 'https://s.example', url: 'https://hook.example/ä' },
    ...{ type: 'subscriber', tags: [4002, 0], statuses: ['queued'], expiresAt: now + DAY },
    ...{ issuedAt: 1_800_000_000, state: 'asked', refusals: 4, failingSince: now - 5 },
  } satisfies Watch
  const bounds = { now, limit: 5 }
  await relay.watch(watch, bounds)
  await relay.watch({ ...watch, url: 'https://other.example', type: 'publisher' }, bounds)
  await relay.watch({ ...watch, clientId: client('b'), expiresAt: now - 1 }, bounds)
  await relay.watch({ ...watch, clientId: client('b'), url: 'https://ended.example', state: 'ended' }, bounds)

  const webhook = {
    ...{ id: 'hook', url: 'https://dapp.example', events: ['subscribed', 'read'], secret: 'sealed' },
    ...{ state: 'enabled', reason: '', createdAt: now },
  } satisfies Webhook
  const webhooks = [webhook, wholeWebhook(now)]
  await notify.commitWebhooks({ projectId: 'project', expectedVersion: 0, webhooks })
  await notify.commitWebhooks({ projectId: 'other', expectedVersion: 0, webhooks: [webhook] })
  await notify.commitWebhooks({ projectId: 'other', expectedVersion: 1, webhooks: [] })

  const job = (id: string, change: Partial<Job> = {}): Job => ({
    ...{
      queue: 'calls',
      id,
      group: 'g',
      at: now,
      expiresAt: now + DAY,
      attempts: 0,
      body: { text: id, n: [1] },
    },
    ...change,
  })
  await jobQueue.add([
    ...[job('now'), job('later', { at: now + HOUR, attempts: 3 }), job('dead'), job('over', { group: 'h' })],
    ...[job('now', { queue: 'broadcasts', body: null }), job('gone', { expiresAt: now - 1 })],
    wholeJob(now),
  ])
  const archived = (at: string, text: string, change = {}) => ({
    ...{ topic: topic(at), id: hex(text), message: text, tag: 5000, at: now, expiresAt: now + DAY },
    ...change,
  })
  const owner = hex('owner')
  const gone = archived('box', 'archived and gone', { expiresAt: now - 1 })
  const some = ['one', 'two ü', 'three'].map((text) => archived('box', `archived ${text}`, { owner }))
  const limits = { messages: 100, bytes: 1_000_000 }
  await archive.keep([...some, gone, archived('elsewhere', 'archived one', { tag: 0 })], limits, now - 10)
  await archive.drop(topic('box'), hex('archived two ü'), owner)
  const owners = { [topic('box')]: owner }
  await archive.register({ clientId: client('a'), tags: [5000, 5002], owners, expiresAt: now + DAY }, now)
  await archive.register({ clientId: client('b'), tags: [], owners: {}, expiresAt: now - 1 }, now)

  await jobQueue.complete('calls', [
    { id: 'dead', kind: 'failed', attempts: 8, failure: 'Never answered' },
    { id: 'over', kind: 'failed', attempts: 1, failure: 'Refused' },
  ])

  await furnishPush(push, now)
  await furnishConsole(console, now)
  const got = { state: 'pushed', provider: 'fcm', at: now } as const
  await notify.notePush(tell('n0'), 'eip155:0xa', got)
  await notify.notePush(tell('n0'), 'eip155:0xb', { ...got, state: 'refused', reason: 'TopicDisallowed' })

  const said = { action: 'yes', at: now, jwt: 'a.b.c', cacao: '{"h":"ü"}', subscriptionId: 'one' }
  await notify.keepAnswer(tell('n0'), 'eip155:0xa', said)
  await notify.keepAnswer(tell('n0'), 'eip155:0xb', { ...said, action: 'no', at: now + 1 })

  const bound = { now, most: 20 }
  const granted = { name: 'xmtp/installation/hex', value: 'c-_', expiresAt: now + DAY }
  for (const [nonce, value] of ['first', 'second', 'gone', 'third'].entries()) {
    const ticket = { kind: 'nonce', nonce, first: 0, until: now + DAY } as const
    await contacts.grant('eip155:0xa', ticket, { ...granted, value, expiresAt: now + DAY - nonce }, bound)
  }
  const token = (id: string, until = now + HOUR) => ({ kind: 'token', id, until }) as const
  await contacts.revoke('eip155:0xa', token('used'), { ...granted, value: 'gone' }, now)
  await contacts.grant('did:web:a.example', token('used'), granted, bound)
  await contacts.grant('did:web:a.example', token('over', now - 1), { ...granted, value: 'b' }, bound)
  await contacts.grant(
    'did:key:a',
    { kind: 'nonce', nonce: 0, first: 0, until: now + DAY },
    { ...granted, expiresAt: now - 1 },
    bound,
  )
}

/** All records of a table, sorted; places in the outbox are the engine's own. */
export const allOf = async <T extends TableName>(
  readers: Readers,
  table: T,
  now: number,
): Promise<unknown[]> => {
  const found: Records[T][] = []
  for await (const { records } of readers[table].read({ now })) found.push(...records)
  const shown = found.map((one) => ('entry' in one ? one.entry : one))
  const written = shown.map((value) => ({
    value,
    text: JSON.stringify(value, Object.keys(flat(value)).sort()),
  }))
  return written.sort((a, b) => (a.text < b.text ? -1 : 1)).map(({ value }) => value)
}
const flat = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {})

export const contentOf = async (readers: Readers, now: number): Promise<Record<string, unknown[]>> => {
  const content: Record<string, unknown[]> = {}
  for (const table of TABLE_NAMES) content[table] = await allOf(readers, table, now)
  return content
}

/** Loads everything of one store into another. */
export const copyAll = async (from: Rooms, to: Rooms, now: number): Promise<number> => {
  let left = 0
  const copy = async <T extends TableName>(table: T) => {
    for await (const { records } of from.transfer.read[table].read({ now })) {
      left += (await to.transfer.write[table].write(records)).length
    }
  }
  for (const table of TABLE_NAMES) await copy(table)
  return left
}
