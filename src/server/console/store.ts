/**
 * What the operator's way in keeps: sessions of the console, passkeys and their challenges, what operators did, and who is
 * blocked. All of it is one partition, written over the port, so every process on the store knows it.
 *
 * Bounds: `MAX_SESSIONS`, `MAX_PASSKEYS`, `MAX_BLOCKS`, `MAX_AUDIT_ROWS`. A challenge is paid for by the address that asked.
 */
import { createHash, randomBytes } from 'node:crypto'
import * as z from 'zod'
import { ProtocolError } from '../../protocol/errors.ts'
import { behind, name, number } from '../../storage/bytes.ts'
import { json } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'

export const MAX_SESSIONS = 50
export const MAX_PASSKEYS = 20
export const MAX_BLOCKS = 1_000
export const MAX_AUDIT_ROWS = 10_000
/** The log may hold so many rows more before the oldest are removed. */
const AUDIT_SLACK_ROWS = 200

const text = z.string()
const time = z.number()

const sessionSchema = z.object({
  /** Names it in lists; says nothing of its token. */
  id: text,
  method: z.enum(['token', 'passkey']),
  /** The passkey's name; '' with the token. */
  passkey: text,
  /** The address block that it was opened from. */
  address: text,
  createdAt: time,
  usedAt: time,
  expiresAt: time,
})
export type Session = z.infer<typeof sessionSchema>

export const passkeySchema = z.object({
  /** Credential id, base64url. */
  id: text,
  name: text,
  /** COSE, base64url. */
  publicKey: text,
  /** The authenticator's; it only rises. */
  counter: z.number(),
  createdAt: time,
  usedAt: time.nullable(),
})
export type Passkey = z.infer<typeof passkeySchema>

const challengeSchema = z.object({ kind: z.enum(['register', 'signIn']), session: text, expiresAt: time })
export type Challenge = z.infer<typeof challengeSchema>

export const auditSchema = z.object({
  /** Where it stands: later ones are greater. */
  id: text,
  at: time,
  /** `token`, or `session` with its id. */
  by: z.enum(['token', 'session']),
  session: text,
  passkey: text,
  address: text,
  /** Method and pattern of the path. */
  action: text,
  /** On what: names out of the path and the body, never a secret. */
  subject: z.record(text, text),
  status: z.number(),
  /** Why it failed; '' for what was done. */
  failure: text,
})
export type AuditRow = z.infer<typeof auditSchema>

export const BLOCK_KINDS = ['address', 'client', 'payer'] as const
export const blockSchema = z.object({
  kind: z.enum(BLOCK_KINDS),
  value: text,
  note: text,
  createdAt: time,
  expiresAt: time,
})
export type Block = z.infer<typeof blockSchema>

const ends = { ends: true } as const
export const CONSOLE_TABLES = {
  /** The key is the hash of the token. */
  sessions: defineTable({
    name: 'console.sessions',
    shape: 'ordered',
    codec: json(sessionSchema),
    ...ends,
  }),
  passkeys: defineTable({ name: 'console.passkeys', shape: 'ordered', codec: json(passkeySchema) }),
  challenges: defineTable({
    name: 'console.challenges',
    shape: 'map',
    codec: json(challengeSchema),
    ...ends,
  }),
  audit: defineTable({ name: 'console.audit', shape: 'ordered', codec: json(auditSchema), ...ends }),
  blocks: defineTable({ name: 'console.blocks', shape: 'ordered', codec: json(blockSchema), ...ends }),
}

const PARTITION = 'console'
const BLOCKS_CHANNEL = 'console.blocks'
export const AUDIT_LIFE_MS = 90 * 86_400_000
const sessions = CONSOLE_TABLES.sessions.in(PARTITION)
const passkeys = CONSOLE_TABLES.passkeys.in(PARTITION)
const challenges = CONSOLE_TABLES.challenges.in(PARTITION)
const audit = CONSOLE_TABLES.audit.in(PARTITION)
const blocks = CONSOLE_TABLES.blocks.in(PARTITION)

/** Keys of what must not be read off the store. */
const hashed = (secret: string): Buffer => createHash('sha256').update(secret).digest()
const blockKey = ({ kind, value }: Pick<Block, 'kind' | 'value'>): Buffer => name(`${kind} ${value}`)

export interface ConsoleStore {
  /** The token is kept hashed. Above `MAX_SESSIONS` the one that was not used for longest ends. */
  openSession(token: string, session: Session): Promise<void>
  session(token: string, now: number): Promise<Session | undefined>
  /** Leaves a session alone that has ended meanwhile. */
  prolongSession(token: string, session: Session): Promise<void>
  sessions(now: number): Promise<Session[]>
  /** Returns whether there was one. */
  endSession(id: string): Promise<boolean>

  passkeys(): Promise<Passkey[]>
  /** Throws `conflict` for one that is there, or above `MAX_PASSKEYS`. */
  addPasskey(passkey: Passkey): Promise<void>
  /** Notes a use. False when the counter did not rise since it was read, or the passkey is gone. */
  usePasskey(used: Pick<Passkey, 'id' | 'counter'>, at: number): Promise<boolean>
  removePasskey(id: string): Promise<boolean>

  addChallenge(challenge: string, about: Challenge, now: number): Promise<void>
  /** Each is answered once, whatever comes of it. */
  takeChallenge(challenge: string, now: number): Promise<Challenge | undefined>

  /** Kept for 90 days, and the newest `MAX_AUDIT_ROWS`. */
  record(row: Omit<AuditRow, 'id'>): Promise<void>
  restoreAudit(rows: readonly AuditRow[]): Promise<void>
  /** Newest first. */
  audit(page: { after?: string | undefined; limit: number; now: number }): Promise<AuditRow[]>

  blocks(now: number): Promise<Block[]>
  /** Throws `conflict` above `MAX_BLOCKS`. */
  block(block: Block, now: number): Promise<void>
  unblock(block: Pick<Block, 'kind' | 'value'>): Promise<boolean>
  /** Calls the listener, soon, when blocks changed here or in another process. Calls may be lost. */
  onBlocks(listener: () => void): Disposable
}

const sessionVerbs = (
  kv: Kv,
): Pick<ConsoleStore, 'openSession' | 'session' | 'prolongSession' | 'sessions' | 'endSession'> => {
  const all = async () => {
    const [rows] = await read(kv, [sessions.range({ limit: MAX_SESSIONS * 2 })])
    return rows
  }
  return {
    async openSession(token, session) {
      const live = (await all()).filter(({ value }) => value.expiresAt > session.createdAt)
      const oldest = live.sort((a, b) => a.value.usedAt - b.value.usedAt)
      const ended = oldest.slice(0, Math.max(0, oldest.length - MAX_SESSIONS + 1))
      const put = sessions.put({ key: hashed(token), value: session, expiresAt: session.expiresAt })
      const writes = [...ended.map(({ key }) => sessions.remove(key)), put]
      await kv.commit([{ partition: PARTITION, writes }], session.createdAt)
    },
    async session(token, now) {
      const [{ value }] = await read(kv, [sessions.get(hashed(token))])
      return value && value.expiresAt > now ? value : undefined
    },
    async prolongSession(token, session) {
      const key = hashed(token)
      const writes = [sessions.put({ key, value: session, expiresAt: session.expiresAt })]
      await kv.commit([{ partition: PARTITION, checks: [sessions.isPresent(key)], writes }], session.usedAt)
    },
    async sessions(now) {
      const live = (await all()).map(({ value }) => value).filter(({ expiresAt }) => expiresAt > now)
      return live.sort((a, b) => b.usedAt - a.usedAt)
    },
    async endSession(id) {
      const found = (await all()).filter(({ value }) => value.id === id)
      const writes = found.map(({ key }) => sessions.remove(key))
      if (writes.length > 0) await kv.commit([{ partition: PARTITION, writes }], 0)
      return writes.length > 0
    },
  }
}

const passkeyVerbs = (
  kv: Kv,
): Pick<
  ConsoleStore,
  'passkeys' | 'addPasskey' | 'usePasskey' | 'removePasskey' | 'addChallenge' | 'takeChallenge'
> => ({
  async passkeys() {
    const [rows] = await read(kv, [passkeys.range({ limit: MAX_PASSKEYS })])
    return rows.map(({ value }) => value)
  },
  async addPasskey(passkey) {
    const key = name(passkey.id)
    const [count] = await read(kv, [passkeys.count()])
    if (count >= MAX_PASSKEYS) throw new ProtocolError('conflict', `at most ${MAX_PASSKEYS} passkeys`)
    const writes = [passkeys.put({ key, value: passkey })]
    const [outcome] = await kv.commit(
      [{ partition: PARTITION, checks: [passkeys.isAbsent(key)], writes, isOnce: true }],
      passkey.createdAt,
    )
    if (!outcome?.isDone) throw new ProtocolError('conflict', 'the passkey is registered')
  },
  usePasskey({ id, counter }, at) {
    const key = name(id)
    return transact(kv, at, async () => {
      const [{ value, isUnchanged }] = await read(kv, [passkeys.get(key)])
      // Zero: the authenticator does not count.
      if (!value || (value.counter >= counter && counter + value.counter > 0)) return { answer: false }
      const writes = [passkeys.put({ key, value: { ...value, counter, usedAt: at } })]
      return { answer: true, batch: { partition: PARTITION, checks: [isUnchanged], writes } }
    })
  },
  async removePasskey(id) {
    const writes = [passkeys.remove(name(id))]
    const [outcome] = await kv.commit([{ partition: PARTITION, writes, isOnce: true }], 0)
    return outcome?.isDone === true && outcome.results[0] === 1
  },
  async addChallenge(challenge, about, now) {
    const put = challenges.put({ key: hashed(challenge), value: about, expiresAt: about.expiresAt })
    await kv.commit([{ partition: PARTITION, writes: [put] }], now)
  },
  takeChallenge(challenge, now) {
    const key = hashed(challenge)
    return transact(kv, now, async () => {
      const [{ value, isUnchanged }] = await read(kv, [challenges.get(key)])
      if (!value) return { answer: undefined }
      const batch = { partition: PARTITION, checks: [isUnchanged], writes: [challenges.remove(key)] }
      return { answer: value.expiresAt > now ? value : undefined, batch }
    })
  },
})

const putAudit = (row: AuditRow) =>
  audit.put({ key: Buffer.from(row.id, 'hex'), value: row, expiresAt: row.at + AUDIT_LIFE_MS })

const auditVerbs = (kv: Kv): Pick<ConsoleStore, 'record' | 'restoreAudit' | 'audit'> => ({
  async record(row) {
    const id = Buffer.concat([number(row.at), randomBytes(4)]).toString('hex')
    const [count] = await read(kv, [audit.count()])
    const excess = count > MAX_AUDIT_ROWS + AUDIT_SLACK_ROWS ? count - MAX_AUDIT_ROWS : 0
    const [oldest] = excess > 0 ? await read(kv, [audit.keys({ limit: excess })]) : [[]]
    const writes = [putAudit({ ...row, id }), ...oldest.map((key) => audit.remove(key))]
    await kv.commit([{ partition: PARTITION, writes }], row.at)
  },
  async restoreAudit(rows) {
    await kv.commit([{ partition: PARTITION, writes: rows.map(putAudit) }], Date.now())
  },
  async audit({ after, limit, now }) {
    const to = after === undefined ? {} : { to: Buffer.from(after, 'hex') }
    const [rows] = await read(kv, [audit.range({ ...to, limit, isReverse: true })])
    return rows.map(({ value }) => value).filter(({ at }) => at + AUDIT_LIFE_MS > now)
  },
})

const blockVerbs = (kv: Kv): Pick<ConsoleStore, 'blocks' | 'block' | 'unblock' | 'onBlocks'> => {
  const live = async (now: number) => {
    const found: Block[] = []
    for (let from: Buffer | undefined; ; ) {
      const [rows] = await read(kv, [blocks.range({ limit: MAX_BLOCKS, ...(from && { from }) })])
      found.push(...rows.map(({ value }) => value).filter(({ expiresAt }) => expiresAt > now))
      const last = rows.at(-1)
      if (!last || rows.length < MAX_BLOCKS) return found
      from = behind(last.key)
    }
  }
  return {
    blocks: live,
    async block(block, now) {
      const others = (await live(now)).filter((one) => !blockKey(one).equals(blockKey(block)))
      if (others.length >= MAX_BLOCKS) throw new ProtocolError('conflict', `at most ${MAX_BLOCKS} blocks`)
      const put = blocks.put({ key: blockKey(block), value: block, expiresAt: block.expiresAt })
      await kv.commit([{ partition: PARTITION, writes: [put] }], now)
      kv.publish(BLOCKS_CHANNEL, ['changed'])
    },
    async unblock(block) {
      const writes = [blocks.remove(blockKey(block))]
      const [outcome] = await kv.commit([{ partition: PARTITION, writes, isOnce: true }], 0)
      kv.publish(BLOCKS_CHANNEL, ['changed'])
      return outcome?.isDone === true && outcome.results[0] === 1
    },
    onBlocks: (listener) => kv.listen([BLOCKS_CHANNEL], () => listener()),
  }
}

export const createConsoleStore = (kv: Kv): ConsoleStore => ({
  ...sessionVerbs(kv),
  ...passkeyVerbs(kv),
  ...auditVerbs(kv),
  ...blockVerbs(kv),
})
