import { createHash } from 'node:crypto'
import { ProtocolError } from '../../protocol/errors.ts'
import type { RelayStore, Watch } from '../../relay/store.ts'
import type { Channels } from './channels.ts'
import type { RedisConnection } from './connection.ts'
import { GRACE, name } from './relay-rows.ts'
import { relayWatch } from './scripts/relay-watch.ts'
import { whole } from './scripts.ts'

type Verbs = Pick<RelayStore, 'watch' | 'unwatch' | 'watches' | 'hasWatches' | 'onWatch'>

const CHANNEL = 'watches'

const parse = (json: string): Watch => {
  const { clientId, service, url, type, tags, statuses, expiresAt }: Watch = JSON.parse(json)
  return { clientId, service, url, type, tags, statuses, expiresAt }
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
  const field = ({ service, url }: Pick<Watch, 'service' | 'url'>) =>
    createHash('sha256').update(`${service}\0${url}`).digest('base64url')
  const tell = (clientId: string) => channels.publish([{ channel: CHANNEL, text: `${instance} ${clientId}` }])

  return {
    async watch(watch, { now, limit }) {
      const { clientId, expiresAt } = watch
      const key = keyOf(clientId)
      await redis.batch<unknown>(() => [
        client.zremrangebyscore(watched, '-inf', now - GRACE),
        client.zadd(watched, 'GT', expiresAt, clientId),
      ])
      const args = [field(watch), JSON.stringify(watch), now, limit, GRACE]
      if (whole(await redis.one(() => redis.script(relayWatch, [key], args))) === 0)
        throw new ProtocolError('rate_limited', `more than ${limit} webhooks`)
      tell(clientId)
    },

    async unwatch(watch) {
      await redis.one(() => client.hdel(keyOf(watch.clientId), field(watch)))
      tell(watch.clientId)
    },

    async watches(clientIds, now) {
      const rows = await redis.batch(() => clientIds.map((clientId) => client.hvals(keyOf(clientId))))
      return rows
        .flat()
        .map(parse)
        .filter(({ expiresAt }) => expiresAt > now)
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
