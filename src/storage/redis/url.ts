import type { RedisOptions } from 'ioredis'

export interface RedisAddress extends Pick<RedisOptions, 'username' | 'password' | 'db' | 'tls'> {
  hosts: { host: string; port: number }[]
  isCluster: boolean
}

const FORM = /^(rediss?)(\+cluster)?:\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/(\d*))?$/

/**
 * `redis://[user:password@]host[:port][/db]`, `rediss://…` with TLS, and for a cluster
 * `redis+cluster://[user:password@]host:port,host:port,…` (`rediss+cluster://…`), where a few nodes suffice: they name
 * the others. Throws a plain Error whose sentence never contains the password.
 */
export const parseRedisUrl = (url: string): RedisAddress => {
  const [, scheme, cluster, login, list = '', db] = FORM.exec(url) ?? []
  if (scheme === undefined) {
    throw new Error('It must look like redis://host:port or redis+cluster://host:port,host:port')
  }
  const hosts = list.split(',').map((text) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? []
    const host = bracketed ?? plain
    if (host === undefined) throw new Error(`${text} is not a host and a port`)
    return { host, port: port === undefined ? 6379 : Number(port) }
  })
  if (cluster === undefined && hosts.length > 1) throw new Error('Several hosts need redis+cluster://')
  if (cluster !== undefined && db) throw new Error('A cluster has no numbered databases')
  const [username = '', password] = login?.split(/:(.*)/s).map(decodeURIComponent) ?? []
  return {
    hosts,
    isCluster: cluster !== undefined,
    ...(username !== '' && { username }),
    ...(password !== undefined && { password }),
    ...(db && { db: Number(db) }),
    ...(scheme === 'rediss' && { tls: {} }),
  }
}
