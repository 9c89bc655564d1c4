import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { run } from '../../src/cli/program.ts'
import { apnsCertificate } from '../support/push/local-tls.ts'
import { type PushWorld, startPushWorld } from '../support/push/push-world.ts'

describe('the command line of push', () => {
  let push: PushWorld
  let home: string
  beforeAll(async () => {
    push = await startPushWorld()
    home = await mkdtemp(join(tmpdir(), 'belfry-push-'))
    await writeFile(join(home, 'service.json'), JSON.stringify(push.fcm.credentials))
    await writeFile(join(home, 'key.p8'), push.apns.credentials.key)
  })
  afterAll(async () => {
    await push[Symbol.asyncDispose]()
    await rm(home, { recursive: true })
  })

  const belfry = async (...words: string[]) => {
    const out: string[] = []
    const err: string[] = []
    using _out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0)
    using _err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0)
    process.exitCode = 0
    const access = ['--server', push.world.url, '--token', push.world.adminToken]
    await run([...words, ...access])
    const code = process.exitCode
    process.exitCode = 0
    return { out: out.join(''), err: err.join(''), code }
  }

  /** At a place of its own: another server may run on this machine. */
  const doctor = () => belfry('doctor', '--port', '0', '--metrics', 'off', '--data', home)

  it('sets credentials from files, shows what may be shown, and has providers look at them', async () => {
    const { keyId, teamId, topic } = push.apns.credentials
    const apple = ['--apns-key', join(home, 'key.p8'), '--apns-key-id', keyId, '--apns-team-id', teamId]
    const words = ['push', 'credentials', '--project', 'p1', '--fcm', join(home, 'service.json')]
    expect(await belfry(...words, ...apple, '--apns-topic', topic)).toMatchObject({ code: 0 })
    const { out } = await belfry('push', 'providers')
    expect(out).toContain(`topic=${topic}`)
    expect(out).toContain('project_id=wallet-project')
    expect(out).not.toContain('PRIVATE KEY')
    expect((await doctor()).out).toMatch(/^ok {7}push fcm of p1: taken/m)
  })

  it('pushes to all devices of a client, and says which provider took it', async () => {
    const client = push.wallet()
    expect(await belfry('push', 'test', '--client', client.did)).toMatchObject({ code: 1 })
    await push.register('p1', client, 'fcm', 'phone')
    const { out, code } = await belfry('push', 'test', '--client', client.did)
    expect(out).toContain('p1  fcm  accepted')
    expect(code).toBe(0)
  })

  it('takes no file that can never be used, and says why', async () => {
    const { keyId, teamId, topic } = push.apns.credentials
    const apple = ['--apns-key-id', keyId, '--apns-team-id', teamId, '--apns-topic', topic]
    const set = (...words: string[]) => belfry('push', 'credentials', '--project', 'p3', ...words)
    await writeFile(join(home, 'none.p8'), 'no key')
    await writeFile(join(home, 'password'), 'wrong')
    await writeFile(join(home, 'apple.p12'), Buffer.from(apnsCertificate.certificate, 'base64'))
    const certificate = ['--apns-certificate', join(home, 'apple.p12'), '--apns-topic', topic]
    for (const [words, why] of [
      [['--apns-key', join(home, 'none.p8'), ...apple], /the key cannot be used/],
      [[...certificate, '--apns-password-file', join(home, 'password')], /the certificate cannot be opened/],
      [['--fcm', join(home, 'none.p8')], /--fcm: .*none\.p8 is not JSON/],
    ] as const)
      expect(await set(...words)).toMatchObject({ code: 1, err: expect.stringMatching(why) })
  })

  it('leaves nothing half done where one of the files cannot be used', async () => {
    const { keyId, teamId, topic } = push.apns.credentials
    const apple = ['--apns-key-id', keyId, '--apns-team-id', teamId, '--apns-topic', topic]
    await writeFile(join(home, 'none.p8'), 'no key')
    const fcm = ['--fcm', join(home, 'service.json')]
    const bad = [...fcm, '--apns-key', join(home, 'none.p8'), ...apple]
    expect(await belfry('push', 'credentials', '--project', 'p4', '--closed', ...bad)).toMatchObject({
      code: 1,
    })
    expect(await belfry('push', 'credentials', '--project', 'p4', '--remove', 'fcm')).toMatchObject({
      code: 1,
    })
    expect((await belfry('push', 'status')).out).not.toContain('p4')

    // What was there stays as it was.
    expect(await belfry('push', 'credentials', '--project', 'p5')).toMatchObject({ code: 0 })
    expect(await belfry('push', 'credentials', '--project', 'p5', '--closed', ...bad)).toMatchObject({
      code: 1,
    })
    expect(await belfry('push', 'credentials', '--project', 'p5', ...fcm, '--remove', 'gcm')).toMatchObject({
      err: expect.stringContaining('--remove takes apns or fcm'),
    })
    const { out } = await belfry('push', 'status', '--json')
    const p5 = JSON.parse(out).projects.find(({ id }: { id: string }) => id === 'p5')
    expect(p5.open).toBe(true)
    expect(p5.providers.filter(({ state }: { state: string }) => state === 'ready')).toHaveLength(2)
    expect(p5.providers.flatMap((one: { credentials: object }) => Object.keys(one.credentials))).toEqual([])
  })

  it('says which credentials are refused', async () => {
    await writeFile(
      join(home, 'other.json'),
      JSON.stringify({ ...push.fcm.credentials, client_email: 'nobody@example.org' }),
    )
    await belfry('push', 'credentials', '--project', 'p2', '--fcm', join(home, 'other.json'), '--closed')
    const { out, code } = await doctor()
    expect(out).toMatch(
      /^failed {3}push fcm of p2: refused.*: set good ones with belfry push credentials\.$/m,
    )
    expect(code).toBe(1)
    expect((await belfry('push', 'status')).out).toContain('p2  0 devices, only with a token')
    const { status } = await push.world.http('POST', '/p2/clients', {
      body: { client_id: push.wallet().did, type: 'fcm', token: 'x' },
    })
    expect(status).toBe(401)
  })
})
