import { describe, expect, it } from 'vitest'
import { createVault } from '../../src/notify/apps/vault.ts'
import { loadServerKeys, type ServerKeys } from '../../src/notify/server.ts'
import { utf8 } from '../../src/protocol/bytes.ts'
import { startNotify } from '../support/world/notify.ts'

const secret = (byte: number) => new Uint8Array(32).fill(byte)

describe('the vault', () => {
  it('opens what it sealed, and seals the same twice differently', () => {
    const vault = createVault(secret(1))
    const bytes = utf8('a key')
    const [a, b] = [vault.seal(bytes), vault.seal(bytes)]
    expect(a).not.toBe(b)
    expect([vault.open(a), vault.open(b)]).toEqual([bytes, bytes])
    expect(createVault(secret(1)).open(a)).toEqual(bytes)
  })

  it('opens nothing that was sealed with another secret, changed, or cut', () => {
    const sealed = createVault(secret(1)).seal(utf8('a key'))
    expect(() => createVault(secret(2)).open(sealed)).toThrow('does not open')
    const vault = createVault(secret(1))
    expect(() => vault.open(`B${sealed.slice(1)}`)).toThrow('does not open')
    expect(() => vault.open(sealed.slice(0, -4))).toThrow('does not open')
    expect(() => vault.open('')).toThrow('does not open')
  })

  it('does not take a secret that can be guessed', () => {
    expect(() => createVault(utf8('short'))).toThrow('at least 16 bytes')
  })
})

it("the server's keys are made once, for all processes and over restarts", async () => {
  await using world = await startNotify()
  const { serverKeys, store } = world
  const vault = createVault(Uint8Array.from({ length: 32 }, (_, at) => at))
  const deps = { store, vault, clock: world.clock, secret: utf8('not the first one') }
  const namesOf = ({ authentication, subscribe, relay, root }: ServerKeys) => ({
    ...{ authentication, subscribe, relay, root },
  })
  const [a, b] = await Promise.all([loadServerKeys(deps), loadServerKeys(deps)])
  expect(namesOf(a)).toEqual(namesOf(serverKeys))
  expect(namesOf(b)).toEqual(namesOf(serverKeys))
  await world.restart()
  expect(namesOf(world.serverKeys)).toEqual(namesOf(serverKeys))
  expect(new Set([a.authentication.did, a.relay.did]).size).toBe(2)
})
