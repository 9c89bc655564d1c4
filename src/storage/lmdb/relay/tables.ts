import { name } from '../../bytes.ts'
import { BYTES, type Bytes, ROWS, type Rows } from '../bytes.ts'
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
  messages: env.openDB({ name: 'relay.messages', ...BYTES }),
  ids: env.openDB({ name: 'relay.ids', ...BYTES }),
  expiry: env.openDB({ name: 'relay.expiry', ...BYTES }),
  topics: env.openDB({ name: 'relay.topics', ...ROWS }),
  members: env.openDB({ name: 'relay.members', ...ROWS }),
  interests: env.openDB({ name: 'relay.interests', ...BYTES }),
  owners: env.openDB({ name: 'relay.owners', ...BYTES }),
  clients: env.openDB({ name: 'relay.clients', ...ROWS }),
  seen: env.openDB({ name: 'relay.seen', ...BYTES }),
  counters: env.openDB({ name: 'relay.counters', ...ROWS }),
})
