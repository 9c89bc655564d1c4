import { createHash } from 'node:crypto'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { RelayStore, Watch, WatchName } from '../../../relay/store.ts'
import type { Channels } from '../channels.ts'
import type { RedisConnection } from '../connection.ts'
import { relayWatch, relayWatchChange } from '../lua/relay/watch.ts'
import { whole } from '../script.ts'
import { KEY_GRACE_MS, name } from './rows.ts'

type Verbs = Pick<RelayStore, 'watch' | 'changeWatch' | 'watches' | 'hasWatches' | 'onWatch'>

const CHANNEL = 'watches'

const parse = (json: string): Watch => {
  const { clientId, service, url, type, tags, statuses, expiresAt, ...standing }: Watch = JSON.parse(json)
  const { issuedAt, state, refusals, failingSince } = standing
  return { clientId, service, url, type, tags, statuses, expiresAt, issuedAt, state, refusals, failingSince }
}

/** Clients that have a watch, by when the last of them ends. */
export const watchedOf = (prefix: string): string => `${prefix}{watched}`

/**
 * Webhooks that are told of a client's messages. The list of watched clients is entered first and left to time, so it
 * never misses one. Other processes are told through one channel: the sender, a space, the client.
 */
export const createWatches = (deps: {
  redis: RedisConnection
  channels: Channels
  instance: string
}): Verbs => {
  const { redis, channels, instance } = deps
  const { prefix, client } = redis
  const keyOf = (clientId: string) => `${prefix}{w:${name(clientId)}}`
  const watched = watchedOf(prefix)
  const field = ({ service, url }: Pick<WatchName, 'service' | 'url'>) =>
    createHash('sha256').update(`${service}\0${url}`).digest('base64url')
  const tell = (clientId: string) => channels.publish([{ channel: CHANNEL, text: `${instance} ${clientId}` }])

  return {
    async watch(watch, { now, limit }) {
      const { clientId, expiresAt } = watch
      const key = keyOf(clientId)
      await redis.batch<unknown>(() => [
        client.zremrangebyscore(watched, '-inf', now - KEY_GRACE_MS),
        client.zadd(watched, 'GT', expiresAt, clientId),
      ])
      const args = [field(watch), JSON.stringify(watch), now, limit, KEY_GRACE_MS]
      const outcome = whole(await redis.one(() => redis.script(relayWatch, [key], args)))
      if (outcome === 2) throw new ProtocolError('jwt_expired', 'a newer one is known')
      if (outcome === 0) throw new ProtocolError('rate_limited', `more than ${limit} webhooks`)
      tell(clientId)
    },

    async changeWatch(watchName, change) {
      const args = [field(watchName), change === 'gone' ? '' : JSON.stringify(change)]
      await redis.one(() => redis.script(relayWatchChange, [keyOf(watchName.clientId)], args))
      tell(watchName.clientId)
    },

    async watches(clientIds, now, withEnded = false) {
      const rows = await redis.batch(() => clientIds.map((clientId) => client.hvals(keyOf(clientId))))
      return rows
        .flat()
        .map(parse)
        .filter(({ expiresAt, state }) => expiresAt > now && (withEnded || state !== 'ended'))
    },

    async hasWatches(now) {
      return (await redis.one(() => client.zcount(watched, `(${now}`, '+inf'))) > 0
    },

    onWatch: (listener) =>
      channels.listen([CHANNEL], (text) => {
        const [from, clientId] = text.split(' ')
        if (from !== instance && clientId !== undefined) listener(clientId)
      }),
  }
}
