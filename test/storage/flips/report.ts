/** What a store answers to everything that the rooms ask, read first and then changed. */
import { createHash } from 'node:crypto'
import type { Stores } from '../../../src/storage/stores.ts'
import { TABLE_NAMES } from '../../../src/storage/transfer/transfer.ts'
import { drain } from '../../contract/notify-samples.ts'
import { client, hex, message, textsOf, topic } from '../../contract/relay-samples.ts'
import { allOf, HOUR } from '../../contract/transfer-samples.ts'
import { questionsTo } from '../../contract/transfer-seen.ts'

export interface Report {
  /** The start was refused with this sentence. */
  refused?: string
  /** A digest of each answer, or why there was none. */
  answers: Record<string, { digest: string } | { failure: string }>
  /** What was logged as a warning or an error. */
  said: string[]
}

const plain = (_: string, value: unknown): unknown =>
  value instanceof Set ? [...value].sort() : value instanceof Map ? [...value] : value
const digestOf = (value: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(value, plain) ?? 'undefined')
    .digest('base64url')
    .slice(0, 16)

const reasonOf = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error)

const writesTo = ({ notify, relay, jobQueue, mq }: Stores, now: number) => ({
  publish: async () => {
    const at = ['box', 'quiet', 'many 7', 'owned'].map(topic)
    const times = { publishedAt: now, expiresAt: now + HOUR }
    const published = await relay.publish([
      ...at.map((one) => message(one, `new ${one}`, times)),
      message(topic('box'), 'text 3 é', times),
    ])
    // Subscribers are in no order, and an engine may begin a topic with any number.
    return published.map((one) => [
      one.outcome,
      new Set('subscribers' in one ? one.subscribers.map(({ clientId }) => clientId) : []),
    ])
  },
  acknowledge: async () => {
    await relay.acknowledge(client('a'), [{ topic: topic('box'), id: hex('text 2 é') }])
    return textsOf(relay, client('a'), topic('box'), { now })
  },
  subscribe: async () => {
    const { total } = await relay.subscribe(client('a'), [topic('another')], { now })
    await relay.unsubscribe(client('many'), [topic('many 3')])
    return total
  },
  lease: () => jobQueue.take({ queue: 'calls', limit: 10, now: now + 2 * HOUR, until: now + 3 * HOUR }),
  queue: () => mq.take({ domain: 'default', hashDID: 'reader' }, { now, id: 'mq 5' }),
  drain: async () => (await drain(notify, now)).filter((id) => id !== 'late'),
  sweepNotify: async () => {
    for (let swept = 1; swept > 0; ) swept = await notify.sweep(now + 2 * HOUR, 10_000)
  },
  sweepRelay: async () => void (await relay.sweep(now + 2 * HOUR, 10_000)),
})

/** Reads everything and then changes some of it; `said` is what the opening and all of this logged. */
export const reportOf = async (stores: Stores, now: number, said: string[]): Promise<Report> => {
  const answers: Report['answers'] = {}
  const ask = async (what: string, question: () => Promise<unknown>) => {
    try {
      answers[what] = { digest: digestOf(await question()) }
    } catch (error) {
      answers[what] = { failure: reasonOf(error) }
    }
  }
  const tables = async (when: string, at: number) => {
    for (const table of TABLE_NAMES)
      await ask(`${when}${table}`, () => allOf(stores.transfer.read, table, at))
  }
  await tables('', now)
  for (const [what, question] of Object.entries(questionsTo(stores, now))) await ask(what, question)
  for (const [what, write] of Object.entries(writesTo(stores, now))) await ask(`${AFTER}${what}`, write)
  await tables(AFTER, now)
  return { answers, said }
}

const AFTER = 'then '

export type Outcome =
  | 'harmless'
  | 'repaired'
  | 'refused'
  | 'found'
  | 'unnamed'
  | 'silent'
  | 'crashed'
  | 'hung'

/** What a sentence must have, so that an operator knows what is meant. */
const NAMED = /the (table [\w.]+|list of (tables|free pages))|meta page/

/** How a report differs from that of the sound store. */
export const outcomeOf = (sound: Report, report: Report): { outcome: Outcome; why: string } => {
  if (report.refused !== undefined) {
    const isKnown = NAMED.test(report.refused) || /written by|is cut short/.test(report.refused)
    return { outcome: isKnown ? 'refused' : 'unnamed', why: report.refused }
  }
  const said = report.said.find((one) => NAMED.test(one))
  if (said !== undefined && /last commit/.test(said)) return { outcome: 'found', why: said }
  let found: string | undefined
  for (const [what, expected] of Object.entries(sound.answers)) {
    const answer = report.answers[what]
    if (answer === undefined) return { outcome: 'silent', why: `${what}: nothing` }
    if ('failure' in answer) {
      if ('failure' in expected && expected.failure === answer.failure) continue
      if (!NAMED.test(answer.failure)) return { outcome: 'unnamed', why: `${what}: ${answer.failure}` }
      found ??= `${what}: ${answer.failure}`
      // What could not be changed differs from there on.
      if (what.startsWith(AFTER)) break
    } else if (!('digest' in expected) || answer.digest !== expected.digest) {
      if (found !== undefined && what.startsWith(AFTER)) break
      return {
        outcome: 'silent',
        why: `${what} is another one${found === undefined ? '' : `, and ${found}`}`,
      }
    }
  }
  if (found !== undefined) return { outcome: 'found', why: found }
  return said === undefined ? { outcome: 'harmless', why: '' } : { outcome: 'repaired', why: said }
}
