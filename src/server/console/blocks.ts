/**
 * Who is kept out: address blocks, names of payers, and clients of the relay, each until it ends. Blocks lie in the store; a
 * process has them in memory, is told when they change, and reads them again every 10 s, because that may be lost.
 */
import { isIP } from 'node:net'
import { networkOf } from '../../platform/net/client-address.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Block, ConsoleStore } from './store.ts'

const REFRESH_EVERY_MS = 10_000

export interface Blocks extends AsyncDisposable {
  isAddressBlocked(address: string): boolean
  isClientBlocked(clientId: string): boolean
  /** Throws `blocked`. */
  demand(who: { address: string; clientId?: string }): void
  /** Reads them from the store. */
  load(): Promise<void>
  /** Calls the listener when somebody was blocked. */
  onBlocked(listener: () => void): void
}

export const blocked = (): ProtocolError => new ProtocolError('blocked')

/** The address block that an operator means: of an IPv6 address its /64. Undefined for what is no address. */
export const addressNamed = (value: string): string | undefined => {
  const [address = '', prefix] = value.trim().split('/')
  const kind = isIP(address)
  if (kind === 0 || (prefix !== undefined && prefix !== (kind === 6 ? '64' : '32'))) return undefined
  return networkOf(address.replace(/^::ffff:(?=\d+\.)/i, ''))
}

export const createBlocks = (deps: {
  store: Pick<ConsoleStore, 'blocks' | 'onBlocks'>
  payerOf: (address: string) => string
  clock: Clock
  log: Log
}): Blocks => {
  const { store, payerOf, clock, log } = deps
  const ending = new AbortController()
  const listeners = new Set<() => void>()
  let known = new Map<string, Block>()
  let hasPayers = false

  const load = async (): Promise<void> => {
    const found = await store.blocks(clock.now())
    known = new Map(found.map((block) => [`${block.kind} ${block.value}`, block]))
    hasPayers = found.some(({ kind }) => kind === 'payer')
    if (found.length > 0) for (const listener of listeners) listener()
  }
  const reload = () =>
    load().catch((err: unknown) => log.warn({ err }, 'Blocks could not be read; those that are known hold'))

  const listening = store.onBlocks(() => void reload())
  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      await pause(clock, REFRESH_EVERY_MS, ending.signal)
      if (!ending.signal.aborted) await reload()
    }
  }
  const running = run()

  const has = (kind: Block['kind'], value: string): boolean =>
    (known.get(`${kind} ${value}`)?.expiresAt ?? 0) > clock.now()
  const isAddressBlocked = (address: string): boolean => {
    if (known.size === 0 || address === '') return false
    return has('address', address) || (hasPayers && has('payer', payerOf(address)))
  }
  const isClientBlocked = (clientId: string): boolean => known.size > 0 && has('client', clientId)

  return {
    isAddressBlocked,
    isClientBlocked,
    demand({ address, clientId }) {
      if (isAddressBlocked(address) || (clientId !== undefined && isClientBlocked(clientId))) throw blocked()
    },
    load,
    onBlocked: (listener) => void listeners.add(listener),
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]()
      ending.abort()
      await running
    },
  }
}
