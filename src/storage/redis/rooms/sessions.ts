/**
 * Wallet sessions in Redis.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{ses:<id>}` | hash | createdAt, expiresAt, initiator, joiner; an endpoint is `<process> <socket>` |
 * | `{sesp:<process>}` | string | until when the process lives, if it does not say so again |
 * | `{sessions}` | stream | what processes say to each other's connections: see `redis/rooms/sessions-adapter.ts` |
 */
import { type Endpoint, type Session, type SessionsStore, SIDES } from '../../../sessions/relay/store.ts'
import type { RedisConnection } from '../connection.ts'
import { sessionsCreate } from '../lua/sessions/create.ts'
import { sessionsEnd } from '../lua/sessions/end.ts'
import { sessionsEnter } from '../lua/sessions/enter.ts'
import { KEY_GRACE_MS, name } from '../relay/rows.ts'
import { list, text, whole } from '../script.ts'

const endpointText = ({ process, socket }: Endpoint) => `${process} ${socket}`
const endpointFrom = (said: string): Endpoint => {
  const [process = '', socket = ''] = said.split(' ')
  return { process, socket }
}

/** From the flat list of HGETALL in a script; undefined for one that is not there. */
const sessionFrom = (answer: unknown): Session | undefined => {
  const flat = list(answer).map(text)
  const fields = new Map(flat.flatMap((field, at) => (at % 2 === 0 ? [[field, flat[at + 1] ?? '']] : [])))
  if (fields.size === 0) return undefined
  const session: Session = {
    createdAt: whole(fields.get('createdAt')),
    expiresAt: whole(fields.get('expiresAt')),
  }
  for (const side of SIDES) {
    const endpoint = fields.get(side)
    if (endpoint !== undefined) session[side] = endpointFrom(endpoint)
  }
  return session
}

export const createRedisSessions = (redis: RedisConnection): SessionsStore => {
  const { prefix, client } = redis
  const sessionAt = (id: string) => `${prefix}{ses:${name(id)}}`
  const processAt = (process: string) => `${prefix}{sesp:${name(process)}}`

  return {
    async create(id, { createdAt, expiresAt }) {
      const keep = Math.max(1, expiresAt - createdAt) + KEY_GRACE_MS
      await redis.one(() => redis.script(sessionsCreate, [sessionAt(id)], [createdAt, expiresAt, keep]))
    },
    async enter(id, side, { endpoint, now, lifetimeMs = 0 }) {
      const args = [side, endpointText(endpoint), now, lifetimeMs, KEY_GRACE_MS]
      const answer = await redis.one(() => redis.script(sessionsEnter, [sessionAt(id)], args))
      if (answer === 'not_found' || answer === 'taken' || answer === 'not_initialized') {
        return { outcome: answer }
      }
      const session = sessionFrom(answer)
      return session ? { outcome: 'entered', session } : { outcome: 'not_found' }
    },
    async session(id, now) {
      const fields = await redis.one(() => client.hgetall(sessionAt(id)))
      const session = sessionFrom(Object.entries(fields).flat())
      return session && session.expiresAt > now ? session : undefined
    },
    async end(id) {
      return sessionFrom(await redis.one(() => redis.script(sessionsEnd, [sessionAt(id)], [])))
    },
    async heartbeat(process, until) {
      await redis.one(() => client.set(processAt(process), until, 'PX', KEY_GRACE_MS))
    },
    async deadProcesses(processes, now) {
      const untils = await redis.batch(() => processes.map((process) => client.get(processAt(process))))
      return processes.filter((_, at) => Number(untils[at] ?? 0) <= now)
    },
  }
}
