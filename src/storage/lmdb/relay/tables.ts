import { name } from '../../bytes.ts'
import type { Bytes, Rows } from '../checked-rows.ts'
import type { Env } from '../env.ts'
import type { ClientRow, MemberRow, TopicRow } from './rows.ts'

/** The counter below which no topic without a row may use a seq. */
export const FLOOR = name('floor')

/** The tables of the relay; what is in them is said in `store.ts`. */
export interface RelayTables {
  messages: Bytes
  ids: Bytes
  expiry: Bytes
  topics: Rows<TopicRow>
  members: Rows<MemberRow>
  interests: Bytes
  owners: Bytes
  clients: Rows<ClientRow>
  seen: Bytes
  counters: Rows<number>
}

export const openRelayTables = (env: Env): RelayTables => ({
  messages: env.bytes('relay.messages'),
  ids: env.bytes('relay.ids'),
  expiry: env.bytes('relay.expiry'),
  topics: env.rows('relay.topics'),
  members: env.rows('relay.members'),
  interests: env.bytes('relay.interests'),
  owners: env.bytes('relay.owners'),
  clients: env.rows('relay.clients'),
  seen: env.bytes('relay.seen'),
  counters: env.rows('relay.counters'),
})
