import { expect, it } from 'vitest'
import { z } from 'zod'
import { type Action, digestOf, registryOf } from '../../src/contacts/erc1056.ts'
import { createKeysClient } from '../../src/keys/client.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { didWeb } from '../../src/protocol/did.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { contactsClient } from '../../src/sdk/contacts.ts'
import { createPerson } from '../support/person.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { sharedRedis } from '../support/redis.ts'
import { temporaryHome } from '../support/story.ts'
import { HEX, newSigner } from '../support/world/contacts.ts'

const bytes = (...all: number[]) => Uint8Array.from(all)

it('two processes on one Redis are one registry, and one of them may die', { timeout: 120_000 }, async () => {
  await using home = await temporaryHome()
  await using other = await temporaryHome()
  const ports = [await freePort(), await freePort()]
  const env = {
    REDIS_URL: (await sharedRedis()).url,
    BELFRY_SECRET: 'a secret of 32 bytes, or so it is',
    BELFRY_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`,
  }
  const start = (path: string, port: number | undefined) =>
    startServerProcess(path, { port: port ?? 0, env, args: ['--rooms', 'keys,contacts'] })
  await using a = await start(home.path, ports[0])
  await using b = await start(other.path, ports[1])
  const serverDid = didWeb(`127.0.0.1:${ports[0]}`)
  const [atA, atB] = [a, b].map(({ url }) => contactsClient({ url, serverDid }))
  if (!atA || !atB) throw new Error('There are two')

  const person = createPerson()
  const identityKey = person.newKey()
  const did = `did:pkh:${person.account}`
  await createKeysClient({ clock: systemClock, fetch }, { url: a.url }).registerIdentity(
    person.cacao(identityKey, Date.now()),
  )
  // What one has answered, the other knows, keys and installations alike.
  for (const [at, client] of [atB, atA, atB].entries()) {
    await client.grant(did, { name: HEX, value: bytes(at) }, { identityKey })
  }
  expect(await atA.fetch(did)).toEqual(['00', '01', '02'])
  await atA.revoke(did, { name: HEX, value: bytes(1) }, { identityKey })
  expect(await atB.fetch(did)).toEqual(['00', '02'])

  // A hundred times the same, half of them at each, at once: one change.
  const signer = newSigner()
  const action: Action = { act: 'set', name: HEX, value: bytes(1), validity: 60 }
  const registry = registryOf(serverDid)
  const nonce = await atA.nonce(signer.address)
  const signature = signer.sign(digestOf(action, { registry, nonce, identity: signer.address }))
  const bySignature = { did: signer.address, name: HEX, value: '01', validity: 60, signature }
  const iat = Math.floor(Date.now() / 1000)
  const claims = { sub: did, aud: serverDid, act: 'grant_installation', name: HEX, value: '09', jti: 'one' }
  const byToken = { did, jwt: signJwt({ iss: identityKey.did, ...claims, iat, exp: iat + 60 }, identityKey) }
  const handIn = async (url: string, params: unknown) => {
    const response = await fetch(`${url}/rpc/v1`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'grantInstallation', params }),
    })
    const { error } = z
      .object({ error: z.object({ code: z.number() }).optional() })
      .parse(await response.json())
    return error?.code ?? 'granted'
  }
  for (const params of [bySignature, byToken]) {
    const racers = Array.from({ length: 100 }, (_, at) => handIn(at % 2 === 0 ? a.url : b.url, params))
    const outcomes = await Promise.all(racers)
    expect(outcomes.filter((outcome) => outcome === 'granted')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 403)).toHaveLength(99)
  }
  expect(await atA.nonce(signer.address)).toBe(nonce + 1)
  expect(await atB.fetch(signer.address)).toEqual(['01'])

  await b.end('SIGKILL')
  expect(await atA.fetch(did)).toEqual(['00', '02', '09'])
  expect(await handIn(a.url, byToken)).toBe(403)
  await expect(atB.fetch(did)).rejects.toMatchObject({ code: 'unavailable' })
})
