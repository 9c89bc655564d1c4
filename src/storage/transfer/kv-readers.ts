/** Rooms over the port as records: what of their rows is content, whatever the engine. */
import { REGISTRATION_TABLES } from '../../archive/store/registrations.ts'
import { type ArchivedHead, archivedOf, MESSAGE_TABLES } from '../../archive/store/rows.ts'
import { CONTACTS_TABLES } from '../../contacts/store.ts'
import { KEYS_TABLES } from '../../keys/store-rows.ts'
import { MQ_TABLES, placeOf, queueOf } from '../../mq/store-rows.ts'
import { ACTION_ANSWER_TABLES } from '../../notify/store/action-answers.ts'
import { APP_TABLES } from '../../notify/store/app-rows.ts'
import { CLICK_TABLES } from '../../notify/store/click-rows.ts'
import { PROJECT_TABLES } from '../../notify/store/project-rows.ts'
import { PUSHED_TABLES } from '../../notify/store/pushes.ts'
import { SERVER_KEYS } from '../../notify/store/server-keys.ts'
import { WEBHOOKS } from '../../notify/store/webhook-rows.ts'
import type { Job } from '../../platform/jobs/job-queue.ts'
import { MIB_BYTES } from '../../platform/units.ts'
import { PUSH_TABLES } from '../../push/store/rows.ts'
import { WATCH_TABLES } from '../../relay/store-watches.ts'
import { AUDIT_LIFE_MS, CONSOLE_TABLES } from '../../server/console/store.ts'
import { OPERATOR_TABLES } from '../../sessions/operator/store.ts'
import { hash, name, number } from '../bytes.ts'
import { JOB_TABLES } from '../job-queue.ts'
import type { RowSource, SetName } from '../kv.ts'
import { mapped, type Read, read, type TypedTable } from '../table.ts'
import type { Page, Readers, Records, TableReader } from './transfer.ts'

/** A row as `pick` sees it: where it is, its key, and its value. */
interface TypedRow<V> extends SetName {
  key: Buffer
  value: V
}

/** A table as pages of records; `pick` answers undefined for a row that is left out. */
const records = <V, R>(
  source: RowSource,
  typed: TypedTable<V>,
  pick: (row: TypedRow<V>, now: number) => R | undefined,
): TableReader<R> => ({
  async *read({ now, after }) {
    for await (const { rows, cursor } of source.rows(typed.table, after)) {
      const page: Page<R> = { records: [], cursor }
      for (const row of rows) {
        const record = pick({ ...row.set, key: row.key, value: typed.valueOf(row) }, now)
        if (record !== undefined) page.records.push(record)
      }
      yield page
    }
  },
  size: () => source.size(typed.table),
})

/** The same, where a record takes a second row: `and` asks for it, `pick` sees what was found. */
const joined = <V, W, R>(
  source: RowSource,
  typed: TypedTable<V>,
  {
    and,
    pick,
  }: {
    and: (row: TypedRow<V>) => Read<W>
    pick: (row: TypedRow<V>, other: W, now: number) => R | undefined
  },
): TableReader<R> => {
  const rows = records(source, typed, (row) => row)
  return {
    async *read(from) {
      for await (const page of rows.read(from)) {
        const others = await read(source, page.records.map(and))
        const found = page.records.map((row, at) => {
          const other = others[at]
          return other === undefined ? undefined : pick(row, other, from.now)
        })
        yield { records: found.filter((record) => record !== undefined), cursor: page.cursor }
      }
    },
    size: rows.size,
  }
}

const contactsReaders = (
  source: RowSource,
): Pick<Readers, 'contactNonce' | 'contactToken' | 'installations'> => ({
  contactNonce: records(source, CONTACTS_TABLES.nonces, ({ partition, value: [nonce, until] }, now) =>
    until > now ? { accountKey: partition, nonce, until } : undefined,
  ),
  contactToken: records(source, CONTACTS_TABLES.tokens, ({ partition, subject, value: until }, now) =>
    until > now ? { accountKey: partition, id: subject, until } : undefined,
  ),
  installations: records(source, CONTACTS_TABLES.installations, ({ partition, value }, now) => {
    const installations = value.filter(({ expiresAt }) => expiresAt > now)
    return installations.length > 0 ? { accountKey: partition, installations } : undefined
  }),
})

const mqReaders = (source: RowSource): Pick<Readers, 'mqMessage' | 'mqAttended'> => ({
  mqMessage: records(source, MQ_TABLES.messages, ({ partition, key, value }, now) =>
    value.expiresAt > now ? { ...queueOf(partition), place: placeOf(key), ...value } : undefined,
  ),
  mqAttended: records(source, MQ_TABLES.attended, ({ partition, value: until }, now) =>
    until > now ? { ...queueOf(partition), until } : undefined,
  ),
})

/** Rows beside the notification that was clicked, with its names. */
const ofClicked = <V, R>(source: RowSource, typed: TypedTable<V>, pick: (row: TypedRow<V>) => R) =>
  joined(source, typed, {
    and: ({ partition }) => CLICK_TABLES.clicked.in(partition).get(),
    pick(row, { value: clicked }, now) {
      if (!clicked || clicked.expiresAt <= now) return undefined
      const { count: _, firstAt: __, copies: ___, ...names } = clicked
      return { ...names, ...pick(row) }
    },
  })

const notifyReaders = (
  source: RowSource,
): Pick<Readers, 'serverKeys' | 'project' | 'webhook' | 'app' | 'click' | 'clickDay'> => ({
  serverKeys: records(source, SERVER_KEYS, ({ value: keys }) => ({ keys })),
  project: records(source, PROJECT_TABLES.projects, ({ value }) => value),
  webhook: records(source, WEBHOOKS, ({ subject: projectId, value: { webhooks } }) =>
    webhooks.length > 0 ? { projectId, webhooks } : undefined,
  ),
  app: records(source, APP_TABLES.apps, ({ value }) => value),
  click: ofClicked(source, CLICK_TABLES.clicks, ({ key, value: [count, firstAt] }) => ({
    ...{ copyId: key.toString(), count, firstAt },
  })),
  clickDay: ofClicked(source, CLICK_TABLES.days, ({ key, value: count }) => ({ day: key.toString(), count })),
})

const notExpired = ({ value }: TypedRow<Job>, now: number) => (value.expiresAt > now ? value : undefined)

/** What stands before a cursor of the dead letters, which come behind the jobs that wait. */
const DEAD = 'dead '

const jobReader = (source: RowSource): TableReader<Job> => {
  const waiting = records(source, JOB_TABLES.waiting, notExpired)
  const dead = records(source, JOB_TABLES.dead, notExpired)
  return {
    async *read({ now, after }) {
      const isDead = after?.startsWith(DEAD)
      if (!isDead) yield* waiting.read({ now, after })
      const rest = isDead ? after?.slice(DEAD.length) || undefined : undefined
      for await (const { records: found, cursor = '' } of dead.read({ now, after: rest }))
        yield { records: found, cursor: `${DEAD}${cursor}` }
    },
    size: waiting.size,
  }
}

const keysReaders = (source: RowSource): Pick<Readers, 'identity' | 'invite'> => ({
  identity: joined(source, KEYS_TABLES.identities, {
    and: ({ partition }) => KEYS_TABLES.defaults.in(partition).get(),
    pick({ partition: identityKey, key, value }, chosen) {
      const accountKey = key.toString()
      return { identityKey, accountKey, ...value, ...(chosen.value === accountKey && { isDefault: true }) }
    },
  }),
  invite: joined(source, KEYS_TABLES.invites, {
    and: ({ partition, value }) =>
      mapped(KEYS_TABLES.registered.in(value.identityKey).get(name(partition)), ({ value }) => ({
        isNamed: value === true,
      })),
    pick: ({ partition, value }, { isNamed }) => (isNamed ? { accountKey: partition, ...value } : undefined),
  }),
})

/** Microblocks that are read in one go. */
const LOG_PAGE_ROWS = 50

/** Of one chain, in its order. */
async function* microblocksOf(
  source: RowSource,
  { partition: projectId, subject: vbHash, value: { genesisSeed } }: TypedRow<{ genesisSeed: string }>,
): AsyncIterable<Records['microblock'][]> {
  const log = OPERATOR_TABLES.log.in(projectId, vbHash)
  for (let height = 1; ; ) {
    const [rows] = await read(source, [log.range({ from: number(height), limit: LOG_PAGE_ROWS })])
    if (rows.length === 0) return
    yield rows.map(({ key, value }) => ({
      ...{ projectId, vbHash, genesisSeed, height: key.readDoubleBE() },
      ...value,
    }))
    height += rows.length
  }
}

const operatorReaders = (source: RowSource): Pick<Readers, 'approval' | 'microblock'> => {
  const chains = records(source, OPERATOR_TABLES.chains, (row) => row)
  return {
    approval: records(source, OPERATOR_TABLES.approvals, ({ value: { attempt: _, ...approval } }, now) =>
      approval.keptUntil > now ? approval : undefined,
    ),
    microblock: {
      // Chain by chain, because only what follows the last one of its chain can be put back.
      async *read({ now, after }) {
        let begun = after
        for await (const { records: found, cursor } of chains.read({ now, after })) {
          for (const chain of found) {
            for await (const page of microblocksOf(source, chain)) yield { records: page, cursor: begun }
          }
          yield { records: [], cursor }
          begun = cursor
        }
      },
      size: () => source.size(OPERATOR_TABLES.log.table),
    },
  }
}

/** Texts of archived messages that are read in one go. */
const TEXT_PAGE_BYTES = 4 * MIB_BYTES

/** In pieces of bounded size. */
function* pieces(rows: readonly TypedRow<ArchivedHead>[]): Iterable<TypedRow<ArchivedHead>[]> {
  let piece: TypedRow<ArchivedHead>[] = []
  let bytes = 0
  for (const row of rows) {
    piece.push(row)
    bytes += row.value.textBytes
    if (bytes < TEXT_PAGE_BYTES) continue
    yield piece
    piece = []
    bytes = 0
  }
  if (piece.length > 0) yield piece
}

const archiveReaders = (source: RowSource): Pick<Readers, 'archived' | 'registration'> => {
  const messages = records(source, MESSAGE_TABLES.messages, (row, now) =>
    row.value.expiresAt > now ? row : undefined,
  )
  const { texts } = MESSAGE_TABLES
  return {
    archived: {
      async *read({ now, after }) {
        let begun = after
        for await (const { records: rows, cursor } of messages.read({ now, after })) {
          for (const piece of pieces(rows)) {
            const found = await read(
              source,
              piece.map(({ partition, value }) => texts.in(partition).get(hash(value.id))),
            )
            const page = piece.flatMap((row, at) => {
              const text = found[at]?.value
              return text === undefined ? [] : [archivedOf(row.partition, row, text.message)]
            })
            yield { records: page, cursor: begun }
          }
          yield { records: [], cursor }
          begun = cursor
        }
      },
      size: messages.size,
    },
    registration: records(source, REGISTRATION_TABLES.registrations, ({ partition: clientId, value }, now) =>
      value.expiresAt > now ? { clientId, ...value } : undefined,
    ),
  }
}

const watchReader = (source: RowSource): TableReader<Records['watch']> => {
  const clients = records(source, WATCH_TABLES.watches, ({ partition: clientId, value }, now) =>
    value.filter(({ expiresAt }) => expiresAt > now).map((one) => ({ clientId, ...one })),
  )
  return {
    async *read(from) {
      for await (const page of clients.read(from)) yield { ...page, records: page.records.flat() }
    },
    size: clients.size,
  }
}

/** All devices of a client are one record. What is entered elsewhere for them follows from it. */
const pushReaders = (
  source: RowSource,
): Pick<Readers, 'pushProject' | 'pushVapid' | 'pushDevices' | 'pushWaiting' | 'pushed'> => ({
  pushProject: records(source, PUSH_TABLES.projects, ({ value }) => value),
  pushVapid: records(source, PUSH_TABLES.vapid, ({ value: sealed }) => ({ sealed })),
  pushDevices: records(source, PUSH_TABLES.devices, ({ partition: clientId, value }, now) => {
    const devices = value.filter(({ expiresAt }) => expiresAt > now)
    return devices.length > 0 ? { clientId, devices } : undefined
  }),
  // Who has it is of a process that runs.
  pushWaiting: records(source, PUSH_TABLES.waiting, ({ value }, now) => {
    const messages = value.messages.filter(({ expiresAt }) => expiresAt > now)
    return messages.length > 0 ? { ...value, messages, takenUntil: 0 } : undefined
  }),
  pushed: joined(source, PUSHED_TABLES.pushes, {
    and: ({ partition }) => PUSHED_TABLES.pushed.in(partition).get(),
    pick({ key, value: push }, { value: all }, now) {
      if (!all || all.expiresAt <= now) return undefined
      const { pushed: _, refused: __, ...names } = all
      return { ...names, accountKey: key.toString(), push }
    },
  }),
})

const answerReader = (source: RowSource): Readers['actionAnswer'] =>
  records(source, ACTION_ANSWER_TABLES.answers, ({ key, value }, now) =>
    value.expiresAt > now ? { ...value, accountKey: key.toString() } : undefined,
  )

const consoleReaders = (source: RowSource): Pick<Readers, 'passkey' | 'block' | 'audit'> => ({
  passkey: records(source, CONSOLE_TABLES.passkeys, ({ value }) => value),
  block: records(source, CONSOLE_TABLES.blocks, ({ value }, now) =>
    value.expiresAt > now ? value : undefined,
  ),
  audit: records(source, CONSOLE_TABLES.audit, ({ value }, now) =>
    value.at + AUDIT_LIFE_MS > now ? value : undefined,
  ),
})

export const readersOfRows = (source: RowSource) => ({
  ...contactsReaders(source),
  ...mqReaders(source),
  ...notifyReaders(source),
  job: jobReader(source),
  ...keysReaders(source),
  ...operatorReaders(source),
  ...archiveReaders(source),
  watch: watchReader(source),
  ...pushReaders(source),
  actionAnswer: answerReader(source),
  ...consoleReaders(source),
})
